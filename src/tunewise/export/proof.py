"""The proof that an exported GGUF file answers as the model does: llama.cpp and this engine, asked the same.

It is training's parity certificate, with llama.cpp in the place of the engine and the engine in the place of
the trainer; and beside it, greedy answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from tunewise.chat.template import ChatTemplate
from tunewise.engines.base import Engine
from tunewise.engines.llama_cpp import LlamaCpp
from tunewise.engines.local import LocalEngine
from tunewise.evaluate.parity import certify, serve_row
from tunewise.export.questions import Questions, choose_questions
from tunewise.export.source import ExportSource
from tunewise.models.base import load_base
from tunewise.progress import Progress, Task
from tunewise.records import ChatRequest, Message, ParityCertificate, TrainedTokens

Outcome = Literal["equal", "tied", "other"]


@dataclass(frozen=True, slots=True)
class ExportProof:
    """What `parity.json` holds, field for field."""

    runtime: str
    """What read the exported files."""
    rows_from: Literal["validation", "examples"]
    certificate: ParityCertificate
    """Of the token ids and log-probabilities of the expected answers."""
    answers: int
    """Greedy answers that were compared."""
    answers_equal: int
    answers_tied: int
    """Part from ours where the next token of either is as likely as the other's, within the tolerance."""
    passed: bool


def prove(source: ExportSource, model: Path, adapter: Path | None, progress: Progress) -> ExportProof:
    """Ask llama.cpp about the exported files, and this engine about the model's own, and compare."""
    loaded = load_base(source.base)
    engine = LocalEngine(loaded)
    if source.folder is not None:
        engine.load(source.id, source.folder)
    questions = choose_questions(source, engine)
    ours = tuple(serve_row(engine, questions.approach, row) for row in questions.rows)
    # The coarser of the two computations decides what can be told apart.
    exact = loaded.model.dtype == torch.float32
    reference = TrainedTokens("float16" if exact else str(loaded.model.dtype).removeprefix("torch."), ours)
    stop_ids = ChatTemplate(loaded.tokenizer, source.template()).stop_ids
    max_context = max((len(row.ids) for row in ours), default=0) + questions.max_tokens
    with (
        progress.task("asking llama.cpp", 2 * len(ours)) as task,
        LlamaCpp(source.id, model, adapter, stop_ids, max_context) as served,
    ):
        proof = compare(engine, served, questions, reference, task)
    engine.close()
    return proof


def compare(
    engine: Engine, served: LlamaCpp, questions: Questions, reference: TrainedTokens, task: Task
) -> ExportProof:
    """Both sides on all rows; `reference` is what `engine` makes of the expected answers."""
    scored = []
    for row in questions.rows:
        scored.append(serve_row(served, questions.approach, row))
        task.advance()
    certificate = certify(reference, scored)
    prompts = [questions.approach.messages(row) for row in questions.rows]
    requests = [ChatRequest(questions.approach.model, prompt, questions.max_tokens) for prompt in prompts]
    outcomes: list[Outcome] = []
    for request, ours in zip(requests, engine.generate(requests), strict=True):
        theirs = served.answer(request.messages, questions.max_tokens)
        outcomes.append(compare_answers(engine, request, ours.text, theirs, certificate.tolerance))
        task.advance()
    equal, tied = outcomes.count("equal"), outcomes.count("tied")
    return ExportProof(
        runtime=served.version,
        rows_from=questions.origin,
        certificate=certificate,
        answers=len(outcomes),
        answers_equal=equal,
        answers_tied=tied,
        passed=certificate.passed and equal + tied == len(outcomes),
    )


def compare_answers(
    engine: Engine, request: ChatRequest, ours: str, theirs: str, tolerance: float
) -> Outcome:
    """Whether two greedy answers are the same, and if not, whether that is more than rounding.

    Where they part, each side took the token that it found likelier. If neither side is off by more than
    `tolerance`, then what the engine makes of the two tokens lies within twice that.
    """
    # Space around an answer, and half of a character where it was cut, are not written alike by both sides.
    ours, theirs = (text.rstrip("\ufffd").strip() for text in (ours, theirs))
    if ours == theirs:
        return "equal"
    answered = [(*request.messages, Message("assistant", text)) for text in (ours, theirs)]
    first, second = (engine.token_ids(request.model, turns) for turns in answered)
    parting = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    if parting is None:
        return "other"
    likely, unlikely = (engine.score(request.model, turns) for turns in answered)
    at = parting - (len(first) - len(likely))
    return "tied" if likely[at] - unlikely[at] <= 2 * tolerance else "other"


def describe(proof: ExportProof) -> str:
    """One line for the terminal."""
    found = proof.certificate
    rows = f"{found.rows} {'validation rows' if proof.rows_from == 'validation' else 'example prompts'}"
    largest = "no number" if found.max_difference is None else f"{found.max_difference:.2g}"
    tied = f" and {proof.answers_tied} tied" if proof.answers_tied else ""
    return (
        f"llama.cpp on {rows}: {'the same' if found.ids_equal else 'OTHER'} token ids, log-probabilities of "
        f"{found.tokens} answer tokens within {largest} nats ({found.tolerance:g} allowed), "
        f"{proof.answers_equal} of {proof.answers} greedy answers the same{tied}"
    )
