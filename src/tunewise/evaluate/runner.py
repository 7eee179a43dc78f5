"""Asking every rival the same questions in the same way, and scoring the answers with the same parser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunewise.approaches.base import Approach, Floor
from tunewise.engines.base import Engine
from tunewise.evaluate.metrics.label_sets import SET_METRICS, score_set
from tunewise.evaluate.metrics.reading import strip_thinking
from tunewise.evaluate.metrics.scoring import Scoring
from tunewise.progress import Progress
from tunewise.records import ChatRequest, Completion, Example, Score, write_answer

MIN_ANSWER_TOKENS = 20
"""Room beyond the longest training answer, for a rival that wraps its answer in words."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How answers are produced and read; one for all rivals."""

    scoring: Scoring
    max_tokens: int
    """Answers are cut here; the end of turn stops an answer before that."""
    temperature: float = 0.0
    """Greedy, but where steadiness is measured."""
    seed: int | None = None
    """Of sampling."""


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """What one approach answered, and how long all of it took together."""

    scores: tuple[Score, ...]
    seconds: float

    def mean(self, metric: str) -> float:
        """The mean of a metric; no answer counts as 0, and where the metric is undefined not at all."""
        values = [value_of(score, metric) for score in self.scores]
        defined = [value for value in values if value is not None]
        return sum(defined) / len(defined) if defined else 0.0

    def score(self, metric: str) -> float:
        """What the metric says of all answers together: their mean, unless it is one of the whole set."""
        return score_set(self.scores) if metric in SET_METRICS else self.mean(metric)

    @property
    def failed(self) -> tuple[Score, ...]:
        """The calls that got no answer; `answer` says why."""
        return tuple(score for score in self.scores if score.status == "failed")

    def to_json(self) -> dict[str, Any]:
        """For the run folder."""
        return {"scores": [asdict(score) for score in self.scores], "seconds": self.seconds}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ScoredRun:
        """The inverse of `to_json`."""
        return cls(tuple(Score(**score) for score in value["scores"]), value["seconds"])


def value_of(score: Score, metric: str) -> float | None:
    """The metric's value, where a failed or missing answer is 0 (it was no help) and undefined is None.

    So is a failed answer to an example for which the metric is undefined whoever answers.
    """
    if score.status == "answered" or (score.status == "failed" and metric not in score.metrics):
        return score.metrics.get(metric)
    return 0.0


def group_by_approach(scores: Iterable[Score]) -> dict[str, list[Score]]:
    """Scores as a file holds them, by who answered, in their order."""
    by_approach: dict[str, list[Score]] = {}
    for score in scores:
        by_approach.setdefault(score.approach, []).append(score)
    return by_approach


def choose_decoding(engine: Engine, scoring: Scoring, train: Sequence[Example]) -> Decoding:
    """Room for twice the longest training answer, and at least `MIN_ANSWER_TOKENS` more than it."""
    longest = max(train, key=lambda example: len(example.answer.encode()))
    tokens = engine.count_answer_tokens(engine.base_id, longest.answer)
    return Decoding(scoring, tokens + max(tokens, MIN_ANSWER_TOKENS))


def run_approach(
    approach: Approach,
    examples: Sequence[Example],
    engine: Engine,
    decoding: Decoding,
    progress: Progress,
) -> ScoredRun:
    """Ask a model about every example, all queued at once, and score what it says."""
    with progress.task(f"testing {approach.name}", len(examples)) as task:
        (scores,), seconds = ask_together([approach], examples, engine, decoding, task.advance)
    return ScoredRun(scores, seconds)


def ask_together(
    approaches: Sequence[Approach],
    examples: Sequence[Example],
    engine: Engine,
    decoding: Decoding,
    on_answer: Callable[[], None],
) -> tuple[list[tuple[Score, ...]], float]:
    """The scores of each approach on every example, and the seconds that all calls took, queued at once.

    What is looked up for the prompts takes no part of them: a second rival that needs it finds it there.
    """
    for approach in approaches:
        approach.prepare(examples)
    asked = [(approach, example) for approach in approaches for example in examples]
    requests = [
        ChatRequest(
            approach.model,
            approach.messages(example),
            decoding.max_tokens,
            decoding.temperature,
            seed=decoding.seed,
            grammar=approach.grammar,
            tools=example.tools,
            parallel_tool_calls=example.parallel_tool_calls,
        )
        for approach, example in asked
    ]
    started = time.perf_counter()
    completions = engine.generate(requests, lambda _: on_answer())
    seconds = time.perf_counter() - started
    scores = [
        _score(approach.name, example, completion, decoding.scoring)
        for (approach, example), completion in zip(asked, completions, strict=True)
    ]
    number = len(examples)
    return [tuple(scores[i * number : (i + 1) * number]) for i in range(len(approaches))], seconds


def run_floor(floor: Floor, examples: Sequence[Example], scoring: Scoring) -> ScoredRun:
    """Score a rival that needs no model."""
    started = time.perf_counter()
    completions = [Completion(floor.answer(example), "stop", 0, 0, 0.0) for example in examples]
    seconds = time.perf_counter() - started
    pairs = zip(examples, completions, strict=True)
    return ScoredRun(tuple(_score(floor.name, e, c, scoring) for e, c in pairs), seconds)


def _score(
    approach: str,
    example: Example,
    completion: Completion,
    scoring: Scoring,
) -> Score:
    failed = completion.error is not None
    written = write_answer(completion.text, completion.tool_calls)
    answer = strip_thinking(written, example.answer)
    return Score(
        approach=approach,
        example_id=example.id,
        group=example.group,
        status="failed" if failed else "answered",
        answer=completion.error or "" if failed else answer,
        expected=example.answer,
        metrics=scoring.score_failed(example) if failed else scoring.score(answer, example),
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        latency_ms=round(completion.latency_ms, 3),
    )
