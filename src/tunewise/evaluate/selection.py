"""Choices that belong to the prompted rivals, made on validation examples: the test set is not for choosing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.approaches.prompted import Prompted, common_instruction, draw_shots, few_shot, instructed, zero_shot
from tunewise.engines.base import Engine
from tunewise.evaluate.runner import Decoding, run_approach
from tunewise.progress import Progress
from tunewise.records import Example

NUMBERS_OF_SHOTS = (2, 4, 8)
MAX_VALIDATION_CALLS = 40
"""Validation examples that each candidate is asked about."""


@dataclass(frozen=True, slots=True)
class PromptChoice:
    """What validation said about prompting."""

    instruction: str | None
    num_shots: int
    best: str | None
    """The name of the best prompted rival; None when none was asked for."""
    scores: dict[str, float]
    """Mean primary metric on validation, by candidate."""


def prompted_rivals(
    names: Sequence[str], choice: PromptChoice, train: Sequence[Example], model: str, seed: int
) -> list[Prompted]:
    """The rivals of `names` as they go to the test, with what was chosen for them."""
    shots = draw_shots(train, choice.num_shots, seed)
    rivals = [zero_shot(model), few_shot(model, choice.instruction, shots)]
    if choice.instruction is not None:
        rivals.insert(1, instructed(model, choice.instruction))
    return [rival for rival in rivals if rival.name in names]


def choose_prompts(
    names: Sequence[str],
    train: Sequence[Example],
    validation: Sequence[Example],
    instruction: str | None,
    engine: Engine,
    decoding: Decoding,
    metric: str,
    seed: int,
    progress: Progress,
) -> PromptChoice:
    """Try every prompt, and few-shot with each number of shots; the better one wins, of equals the shorter.

    `instruction` overrides the data's own. Candidates that do not fit the context score 0.
    """
    model = engine.base_id
    instruction = instruction or common_instruction(train)
    shots = draw_shots(train, max(NUMBERS_OF_SHOTS), seed)
    candidates: dict[str, Prompted] = {}
    if "zero-shot" in names:
        candidates["zero-shot"] = zero_shot(model)
    if "instructed" in names and instruction is not None:
        candidates["instructed"] = instructed(model, instruction)
    if "few-shot" in names:
        for number in NUMBERS_OF_SHOTS:
            candidates[f"few-shot, {number} shots"] = few_shot(model, instruction, shots[:number])
    asked = validation[:MAX_VALIDATION_CALLS]
    scores = {
        label: run_approach(candidate, asked, engine, decoding, progress, label=f"choosing: {label}").mean(metric)
        for label, candidate in candidates.items()
    }
    by_score = sorted(scores, key=lambda label: scores[label], reverse=True)
    with_shots = [label for label in by_score if candidates[label].name == "few-shot"]
    num_shots = len(candidates[with_shots[0]].shots) if with_shots else 0
    best = candidates[by_score[0]].name if by_score else None
    return PromptChoice(instruction, num_shots, best, scores)
