"""What each rival is, in words for somebody who has never trained a model, and which two matter most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunewise.approaches.names import FINE_TUNED, FINE_TUNED_RAG, FROM_SCRATCH, RAG, TRAINED, is_remote
from tunewise.records import ApproachResult, Verdict

Kind = Literal["floor", "prompt", "documents", "trained", "control"]

KIND_NAMES: dict[Kind, str] = {
    "trained": "Trained on your examples",
    "prompt": "A prompt, nothing trained",
    "documents": "A prompt with your documents",
    "control": "A control",
    "floor": "A floor: no model at all",
}
_DESCRIPTIONS: dict[str, tuple[Kind, str]] = {
    "majority": ("floor", "always gives the most common answer"),
    "pattern-majority": ("floor", "the most common answer to questions worded alike"),
    "nearest-copy": ("floor", "copies the answer of the most similar example"),
    "zero-shot": ("prompt", "the bare question"),
    "instructed": ("prompt", "the question with written instructions"),
    "few-shot": ("prompt", "instructions and a few worked examples"),
    "few-shot-nearest": ("prompt", "instructions and the most similar worked examples"),
    RAG: ("documents", "the passages found for each question go into the prompt"),
    FINE_TUNED: ("trained", "the model after training on your examples"),
    FINE_TUNED_RAG: ("trained", "trained, with the passages found for each question"),
    FROM_SCRATCH: ("control", "the same training from random weights"),
}


def describe(name: str) -> tuple[Kind, str]:
    """The kind of an approach and one line on what it does. Unknown names count as prompts."""
    if name in _DESCRIPTIONS:
        return _DESCRIPTIONS[name]
    if is_remote(name):
        return "prompt", "another model, asked over the network"
    return "prompt", ""


@dataclass(frozen=True, slots=True)
class Contest:
    """The approaches that the verdict is about. Any may be missing."""

    tuned: ApproachResult | None
    untrained: ApproachResult | None
    closed_book: ApproachResult | None
    """The best untrained one that was given no documents."""

    @property
    def untrained_title(self) -> str:
        """`best prompt` when it is one; RAG and floors are called what they are."""
        if self.untrained is None or describe(self.untrained.name)[0] == "prompt":
            return "best prompt"
        return "best without training"


def find_contest(verdict: Verdict, manifest: Mapping[str, Any]) -> Contest:
    """The tuned model that the verdict is about, and the best rival that needed no training.

    Which approach `verdict.model` stands for, and which was best without documents, the manifest says; where
    it does not, the plain tuned model stands for the first.
    """
    by_name = {result.name: result for result in verdict.approaches}
    named = name_of_model(manifest, verdict.model)
    wanted = [name for name in (named, *TRAINED) if name is not None]
    tuned = next((by_name[name] for name in wanted if name in by_name), None)
    findings = manifest.get("findings")
    closed_book = findings.get("best_closed_book") if isinstance(findings, Mapping) else None
    return Contest(tuned, by_name.get(verdict.best_without_training or ""), by_name.get(closed_book or ""))


def name_of_model(manifest: Mapping[str, Any], model: str | None) -> str | None:
    """The approach that the model of this id is asked by, where the manifest says."""
    models = manifest.get("models")
    ids = models if isinstance(models, Mapping) else {}
    return next((str(name) for name, model_id in ids.items() if model and model_id == model), None)
