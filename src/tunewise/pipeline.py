"""READ FIRST: the main job, from a file of examples to a verdict and a deployed model.

    check -> split (test set sealed) -> prompting baselines -> train -> evaluate -> decide -> deploy

Each step is a call into a package; what passes between packages is in `records.py`. A stage's
result is kept in the run folder as soon as it is there, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from pathlib import Path

from tunewise import publish, remote_rivals
from tunewise.approaches.names import CONTROLS, TRAINED
from tunewise.approaches.shown import gather
from tunewise.approaches.wordings import list_wordings
from tunewise.data.dataset import read_dataset
from tunewise.data.instructions import common_instruction
from tunewise.data.split import split_examples
from tunewise.decide.compare import compare
from tunewise.decide.verdict import decide
from tunewise.engines import open_engine
from tunewise.errors import SpecError
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import choose_decoding
from tunewise.evidence import Evidence
from tunewise.findings import gather_findings, look_into_passages
from tunewise.judging import find_judge
from tunewise.models.base import find_base, sha256_of_base
from tunewise.progress import Progress, SilentProgress
from tunewise.records import Verdict
from tunewise.run_spec import RunSpec
from tunewise.settings import HOURLY_PRICE, ORGANIZATION, Settings, get_settings
from tunewise.stages import Stages
from tunewise.store.registry import Registry
from tunewise.time_plan import PLANNED_SHARE
from tunewise.train.rows import check_rows


def run(
    spec: RunSpec,
    out: Path,
    progress: Progress | None = None,
    settings: Settings | None = None,
    consent: remote_rivals.Consent = remote_rivals.refuse,
) -> Verdict:
    """Measure every rival on the user's own examples, decide, and deploy the tuned model if it won.

    Writes `verdict.json`, `report.html`, `scores.jsonl` and `manifest.json` into `out`. Examples go to
    another machine only if `spec` names a remote rival and `consent` agrees. Raises a `TunewiseError` for
    anything that the user can mend.
    """
    progress = progress or SilentProgress()
    settings = settings or get_settings()
    settings.check(HOURLY_PRICE, ORGANIZATION)
    registry = Registry(settings.registry)
    started = time.monotonic()

    dataset = read_dataset(spec.data, spec.group_key, spec.given_sides, spec.reading, spec.own_system)
    progress.say(dataset.describe())
    split = split_examples(dataset.examples, spec.seed, path=spec.data, given=dataset.given_examples)
    progress.say(split.describe())
    scoring = choose_scoring(split.train, spec.metric)
    progress.say(scoring.describe())
    instruction = spec.instructions or common_instruction(split.train)
    wordings = list_wordings(split.train, instruction)
    remote_rivals.ask_consent(spec, split, wordings, out, consent, settings, progress)

    progress.say(f"base model: {spec.base} (made ready once per machine, which takes up to a minute)")
    base = find_base(spec.base, settings)
    base_sha256 = sha256_of_base(base.folder)
    judge = find_judge(spec.judge, settings)
    with publish.open_run(out, spec, dataset, base_sha256, registry) as folder, ExitStack() as opened:
        split.test.on_read = lambda read: folder.log_test_read(read.purpose, read.at)
        if {*TRAINED, *CONTROLS}.intersection(spec.approaches):
            check_rows(base, split.train, split.validation, spec.train_spec, spec.data)
        engine = opened.enter_context(closing(open_engine(base, name=spec.engine, settings=settings)))
        decoding = choose_decoding(engine, scoring, split.train)

        shown = gather(
            spec.approaches, split.train, spec.docs, spec.reading.encoding, engine, decoding.max_tokens,
            spec.seed, settings.cache / "vectors", progress,
        )  # fmt: skip
        found = Evidence(spec, dataset, split, base, base_sha256, decoding, shown)
        stages = Stages(found, engine, folder, wordings, instruction, settings, progress)
        if spec.max_minutes is not None:
            stages.plan_time(PLANNED_SHARE * 60 * spec.max_minutes - (time.monotonic() - started))
        stages.test_floors()
        stages.test_prompts()
        stages.test_remote_rivals()
        stages.plan_training()
        stages.train_and_test(registry)
        stages.ask_judge(judge)
        if not found.runs:
            raise SpecError("nothing is left to measure: add to --approaches, or give --instructions FILE")
        findings = gather_findings(found, settings, progress)
        verdict = decide(compare(found.runs, findings), forced=spec.force)
        found.passages_hold = look_into_passages(found)
        publish.publish(folder, found, findings, verdict, settings, registry)
    return verdict
