"""What a run leaves behind: its files, its model's files, and both in the registry."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tunewise.data.dataset import Dataset, sha256_of_data
from tunewise.data.split import TrainingSplit
from tunewise.decide.compare import saved_per_call
from tunewise.decide.guards import describe_other_model
from tunewise.decide.measurements import Findings
from tunewise.errors import TunewiseError
from tunewise.evaluate.runner import ScoredRun
from tunewise.evidence import Evidence, TrainedModel
from tunewise.models.base import BaseModel, is_whole_model, sha256_of_base
from tunewise.models.ids import tuned_model_id
from tunewise.records import TRAINS, Example, ModelRecord, ParityCertificate, RunRecord, Verdict
from tunewise.report.html import render_report
from tunewise.report.model_card import render_model_card
from tunewise.run_spec import DECIDES_ONLY, TuneSpec
from tunewise.settings import Settings
from tunewise.store.files import write_json, write_jsonl, write_text
from tunewise.store.registry import Registry
from tunewise.store.run_folder import MANIFEST_FILE, SCORES_FILE, RunFolder
from tunewise.train.fine_tune import MODEL_FOLDER, TrainingSummary

_RECORDED_VERSIONS = ("tunewise", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy")


@dataclass(frozen=True, slots=True)
class TrainingEvidence:
    """What a training alone found out."""

    spec: TuneSpec
    dataset: Dataset
    split: TrainingSplit
    base: BaseModel
    base_sha256: str
    training: TrainingSummary
    parity: ParityCertificate


@contextmanager
def open_run(
    out: Path, spec: TuneSpec, dataset: Dataset, base_sha256: str, registry: Registry
) -> Iterator[RunFolder]:
    """Claim the run folder, and keep the registry's record of how the run goes.

    What identifies a run is what decides its numbers: the same spec, data and base resume it.
    """
    identity = {
        **spec.model_dump(mode="json", exclude={*DECIDES_ONLY, "training", "reading"}),
        **spec.reading.model_dump(mode="json"),
        "data": dataset.sha256,
        **{side: given.sha256 for side, given in dataset.given.items()},
        **{name: sha256_of_data(path) for name, path in spec.other_files.items()},
        "base_sha256": base_sha256,
        **spec.training.identity(),
        "start_sha256": sha256_of_base(spec.training.start) if spec.training.start else None,
        "tunewise": version("tunewise"),
    }
    files = {"data": spec.data} | spec.given_sides | spec.other_files
    names = {name: f"what {file} holds" for name, file in files.items()}
    with RunFolder(out, identity, names) as folder:
        record = RunRecord(str(out), str(spec.data), spec.base, spec.seed, "running", int(time.time()))
        registry.add_run(record)
        try:
            yield folder
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            why = None if stopped else f"stopped by an error: {error}"
            ended = replace(
                record,
                status="interrupted" if stopped else "failed",
                finished_at=int(time.time()),
                headline=why,
            )
            # On a full disk that fails too, and what filled it is the error to be told.
            with suppress(TunewiseError):
                registry.update_run(ended)
            raise


def register_candidate(
    base: BaseModel,
    spec: TuneSpec,
    out: Path,
    folder: Path,
    training: TrainingSummary,
    settings: Settings,
    registry: Registry,
) -> ModelRecord:
    """Give a model that the run in `out` trained into `folder` its id.

    From here on it can be asked, whatever becomes of it.
    """
    path = (folder / MODEL_FOLDER).resolve()
    model_id = tuned_model_id(
        base.name, settings.organization, spec.suffix, str(path), training.weights_sha256
    )
    record = ModelRecord(
        model_id,
        base.source,
        str(path),
        "candidate",
        "not compared yet",
        str(out.resolve()),
        int(time.time()),
    )
    registry.add_model(record)
    return record


def publish(
    folder: RunFolder,
    evidence: Evidence,
    findings: Findings,
    verdict: Verdict,
    settings: Settings,
    registry: Registry,
) -> None:
    """Write the models' files and the run's, `verdict.json` last, and tell the registry how it ended."""
    test = evidence.split.test.read("report")
    manifest = build_manifest(evidence, findings, folder, settings)
    for model in evidence.trained:
        record, own = settle_state(model, verdict), manifest | _trained(model)
        write_json(Path(record.path) / "tunewise.json", {"id": record.id, "scores": record.metrics, **own})
        is_whole = is_whole_model(Path(record.path))
        write_text(
            Path(record.path) / "README.md", render_model_card(record, verdict, own, is_whole=is_whole)
        )
        registry.add_model(record)
    named = next((model for model in evidence.trained if model.record.id == verdict.model), None)
    write_run_files(folder.path, verdict, evidence.runs, manifest | _trained(named), test)
    run = registry.run(str(folder.path))
    registry.update_run(
        replace(
            run,
            status="done",
            finished_at=int(time.time()),
            recommendation=verdict.recommendation,
            headline=verdict.headline,
            model=verdict.model,
        )
    )


def settle_state(model: TrainedModel, verdict: Verdict) -> ModelRecord:
    """The model's record with its state, why, and the scores of its run.

    A model that failed the parity certificate was rejected for that, and one that the verdict is not about
    for that, whatever else was ruled.
    """
    is_meant = verdict.model == model.record.id
    reason = verdict.reasons[0].text
    if not model.parity.passed:
        reason = f"{describe_other_model(model.parity)}."
    elif not is_meant:
        reason = f"the verdict of its run is about another model, {verdict.model}"
    elif verdict.deployed and verdict.recommendation not in TRAINS:
        reason = f"deployed by --force, although: {reason}"
    return replace(
        model.record,
        state="deployed" if verdict.deployed and is_meant else "rejected",
        state_reason=reason,
        metrics={row.name: row.score for row in verdict.approaches},
    )


def write_run_files(
    folder: Path,
    verdict: Verdict,
    runs: Mapping[str, ScoredRun],
    manifest: Mapping[str, Any],
    test: Sequence[Example],
) -> None:
    """`scores.jsonl`, `manifest.json`, `report.html` and last `verdict.json`, each whole or not at all."""
    scores = [score for run in runs.values() for score in run.scores]
    inputs = {example.id: "\n".join(turn.content for turn in example.turns) for example in test}
    write_jsonl(folder / SCORES_FILE, (asdict(score) for score in scores))
    write_json(folder / MANIFEST_FILE, manifest)
    write_text(folder / "report.html", render_report(verdict, scores, manifest, inputs))
    write_json(folder / "verdict.json", asdict(verdict))


def publish_training(
    folder: RunFolder,
    tuned: TrainingEvidence,
    record: ModelRecord,
    settings: Settings,
    registry: Registry,
) -> ModelRecord:
    """Write what a training alone leaves, and tell the registry; returns the model's record.

    The model stays a candidate, or is rejected where what is served is not what was trained.
    """
    manifest = _origin(tuned, folder, settings) | _trained(tuned)
    reason = "trained; `tunewise run` says whether it beats a prompt"
    if not tuned.parity.passed:
        reason = f"{describe_other_model(tuned.parity)}."
    record = replace(
        record,
        state="candidate" if tuned.parity.passed else "rejected",
        state_reason=reason,
        metrics={"validation_loss": tuned.training.validation_loss},
    )
    write_json(folder.path / MANIFEST_FILE, manifest)
    write_json(Path(record.path) / "tunewise.json", {"id": record.id, "scores": record.metrics, **manifest})
    registry.add_model(record)
    run = registry.run(str(folder.path))
    headline = f"trained {record.id}, validation loss {tuned.training.validation_loss:.4g}"
    registry.update_run(
        replace(run, status="done", finished_at=int(time.time()), headline=headline, model=record.id)
    )
    return record


def build_manifest(
    evidence: Evidence, findings: Findings, folder: RunFolder, settings: Settings
) -> dict[str, Any]:
    """What it would take to do the run again, and what it took to do it."""
    split = evidence.split
    saved = saved_per_call(evidence.runs, evidence.choice.best, settings.hourly_price, findings.token_prices)
    manifest = _origin(evidence, folder, settings)
    manifest["split"] |= {
        "test": len(split.test),
        "seal": split.test.seal,
        "detectable_difference": split.detectable_difference,
    }
    return manifest | {
        "decoding": {"max_tokens": evidence.decoding.max_tokens},
        "metrics": list(evidence.decoding.scoring.metrics),
        "time_plan": evidence.plan.to_json(),
        "prompting": asdict(evidence.choice),
        "passages_hold": dict(evidence.passages_hold),
        "saved_per_call": asdict(saved) if saved else None,
        "test_reads": folder.test_reads(),
        # With scores.jsonl, all that `tunewise decide` needs.
        "findings": asdict(findings),
        "models": {model.name: model.record.id for model in evidence.trained},
        "test_seconds": {name: run.seconds for name, run in evidence.runs.items()},
    }


def _trained(model: TrainedModel | TrainingEvidence | None) -> dict[str, Any]:
    """How the model that the file is about was trained."""
    if model is None:
        return {"training": None, "parity": None}
    return {"training": asdict(model.training), "parity": asdict(model.parity)}


def _origin(evidence: Evidence | TrainingEvidence, folder: RunFolder, settings: Settings) -> dict[str, Any]:
    """Where a model, or a run, comes from: all that both have in common."""
    spec, split = evidence.spec, evidence.split
    training = spec.train_spec.resolve(len(split.train)).model_dump(mode="json")
    return {
        "command": sys.argv,
        "data": {
            "path": str(spec.data),
            "sha256": evidence.dataset.sha256,
            "rows": evidence.dataset.num_rows,
            "examples": len(evidence.dataset.examples),
            "duplicates_removed": evidence.dataset.num_duplicates,
            "respaced_removed": evidence.dataset.num_respaced,
            "leaked_lines": list(evidence.dataset.leaked_lines),
            "own_system": evidence.dataset.own_system,
            "given": {
                side: {"path": str(given.path), "sha256": given.sha256}
                for side, given in evidence.dataset.given.items()
            },
        },
        "split": {
            "train": len(split.train),
            "validation": len(split.validation),
            "groups": len({example.group for example in evidence.dataset.examples}),
        },
        "base": {"id": evidence.base.name, "source": evidence.base.source, "sha256": evidence.base_sha256},
        "spec": {**spec.model_dump(mode="json"), "training": training},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in _RECORDED_VERSIONS},
        },
        "machine": {"processor": platform.processor() or platform.machine(), "system": platform.system()},
        "timings": folder.timings(),
        "hourly_price": settings.hourly_price,
        "hourly_price_is_assumed": settings.hourly_price_is_assumed,
        "currency": settings.currency,
    }
