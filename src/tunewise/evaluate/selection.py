"""Choices that belong to the prompted rivals, made on validation: the test set is not for choosing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewise.approaches.prompted import (
    Prompted,
    common_instruction,
    draw_shots,
    few_shot,
    instructed,
    zero_shot,
)
from tunewise.engines.base import Engine
from tunewise.evaluate.runner import Decoding, ScoredRun, run_approach
from tunewise.progress import Progress, SilentProgress
from tunewise.records import Example

NUMBERS_OF_SHOTS = (2, 4, 8)
ROUNDS = (12, 36)
"""How many validation examples the candidates of each round have been asked about at its end."""


@dataclass(frozen=True, slots=True)
class PromptChoice:
    """What validation said about prompting."""

    instruction: str | None
    num_shots: int
    best: str | None
    """The name of the best prompted rival; None when none was asked for."""
    scores: dict[str, float]
    """Mean primary metric on validation, by candidate, the best first."""


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
    """Try every prompt, and few-shot with each number of shots, within a fixed number of calls.

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
    scores = _halving_rounds(candidates, validation, engine, decoding, metric, progress)
    best_first = [candidates[label] for label in scores]
    num_shots = next((len(rival.shots) for rival in best_first if rival.name == "few-shot"), 0)
    return PromptChoice(instruction, num_shots, best_first[0].name if best_first else None, scores)


def _halving_rounds(
    candidates: Mapping[str, Prompted],
    validation: Sequence[Example],
    engine: Engine,
    decoding: Decoding,
    metric: str,
    progress: Progress,
) -> dict[str, float]:
    """Successive halving (Jamieson & Talwalkar 2016): the better half goes on to more examples.

    Returns each candidate's mean over the examples it was asked about, the best first: one that stayed
    longer is better than one that was dropped before. Of equals the one listed first wins.
    """
    left, asked = list(candidates), 0
    runs: dict[str, list[ScoredRun]] = {label: [] for label in left}
    for until in ROUNDS:
        examples = validation[asked:until]
        if not examples or not left:
            break
        with progress.task(f"choosing among {len(left)} prompts on validation", len(left)) as task:
            for label in left:
                runs[label].append(
                    run_approach(candidates[label], examples, engine, decoding, SilentProgress())
                )
                task.advance(1, label)
        asked = until
        means = {label: _mean(runs[label], metric) for label in left}
        # sorted() is stable: of equals, the one listed first stays.
        left = sorted(left, key=lambda label: -means[label])[: math.ceil(len(left) / 2)]
    means = {label: _mean(run, metric) for label, run in runs.items()}
    return {
        label: means[label] for label in sorted(means, key=lambda label: (-len(runs[label]), -means[label]))
    }


def _mean(runs: Sequence[ScoredRun], metric: str) -> float:
    return ScoredRun(tuple(score for run in runs for score in run.scores), 0.0).score(metric)
