"""The training stage alone: from a file of examples to a registered model, with nothing measured against it.

`pipeline.py` trains by the same code, between its prompting baselines and its test.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunewise import publish
from tunewise.approaches.prompted import fine_tuned
from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_for_training
from tunewise.engines import open_model_engine
from tunewise.evaluate.parity import certify_served, describe
from tunewise.models.base import find_base, sha256_of_base
from tunewise.progress import Progress, SilentProgress
from tunewise.records import ModelRecord, ParityCertificate
from tunewise.run_spec import TuneSpec
from tunewise.settings import HOURLY_PRICE, ORGANIZATION, Settings, get_settings
from tunewise.store.registry import Registry
from tunewise.train.fine_tune import TrainingSummary, fine_tune, read_trained_tokens, remove_checkpoints
from tunewise.train.watch import Watch


def tune(
    spec: TuneSpec,
    out: Path,
    progress: Progress | None = None,
    settings: Settings | None = None,
    watches: Sequence[Watch] = (),
) -> ModelRecord:
    """Train a model and register it as a candidate, which can be asked by its id.

    Writes `model/`, `metrics.jsonl` and `manifest.json` into `out`. Stopped in any way, it goes on when it is
    called again. Raises a `TunewiseError` for anything that the user can mend.
    """
    progress = progress or SilentProgress()
    settings = settings or get_settings()
    settings.check(HOURLY_PRICE, ORGANIZATION)
    registry = Registry(settings.registry)

    dataset = read_dataset(spec.data, spec.group_key, spec.given_sides, spec.reading)
    progress.say(dataset.describe())
    split = split_for_training(dataset.examples, spec.seed, path=spec.data, given=dataset.given_examples)
    progress.say(split.describe())
    base = find_base(spec.base, settings)
    base_sha256 = sha256_of_base(base.folder)

    with publish.open_run(out, spec, dataset, base_sha256, registry) as folder:

        def train() -> dict[str, Any]:
            return asdict(fine_tune(
                base, split.train, split.validation, spec.train_spec, out, spec.data, progress,
                watches=watches, settings=settings,
            ))  # fmt: skip

        training = TrainingSummary(**folder.stage("train", train).value)
        remove_checkpoints(out)
        record = publish.register_candidate(base, spec, out, out, training, settings, registry)

        def certify() -> dict[str, Any]:
            tuned, trained = fine_tuned(record.id), read_trained_tokens(out)
            with closing(open_model_engine(record, settings=settings)) as engine:
                return asdict(certify_served(engine, tuned, split.validation, trained))

        parity = ParityCertificate(**folder.stage("parity", certify).value)
        progress.say(describe(parity))
        tuned_model = publish.TrainingEvidence(spec, dataset, split, base, base_sha256, training, parity)
        return publish.publish_training(folder, tuned_model, record, settings, registry)
