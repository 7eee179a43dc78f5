"""How steady answers are: the same questions asked again, with the shots in another order, and laid out anew.

On validation, in a bounded number of calls. What it finds is told beside a verdict and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tunewise.approaches.base import Approach
from tunewise.approaches.few_shot_nearest import FewShotNearest
from tunewise.approaches.prompted import Prompted
from tunewise.approaches.rag import Rag
from tunewise.data.strict_json import read_object
from tunewise.engines.base import Engine
from tunewise.evaluate.metrics.json_fields import name_leaves
from tunewise.evaluate.metrics.reading import find_json, strip_fence
from tunewise.evaluate.metrics.scoring import FORM
from tunewise.evaluate.runner import Decoding, ScoredRun, run_approach
from tunewise.progress import Progress, SilentProgress
from tunewise.records import Consistency, Example, Grammar, Message, Score

DEPLOYMENT_TEMPERATURE = 1.0
"""What OpenAI-compatible APIs, tunewise's own among them, sample at where a request does not say."""
NUM_REPEATS = 5
"""As Atil et al. 2024 ("Non-determinism of 'deterministic' LLM settings") ask; they make 10 pairs."""
MAX_ORDERS = 3
"""Of the shots; each rotation gives another one the last place, beside the input, which counts most."""
LAYOUTS = ("{}", "Input: {}\nOutput:", "INPUT:\n\n{}\n\nOUTPUT:")
"""Of what the user typed. They differ in what Sclar et al. 2023 found to matter though it means nothing:
words, case and separators around the input. The first is that of the test."""
NUM_INPUTS, MIN_INPUTS = 20, 10
"""20 inputs make 200 calls for a prompt with shots, as many as one rival's test usually has, and 200 pairs,
which give an agreement of 0.8 to within about 0.15. From fewer than 10 nothing is told."""
MAX_CALLS = (NUM_REPEATS + MAX_ORDERS + len(LAYOUTS) - 1) * NUM_INPUTS
_CHANCE_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class _LaidOut:
    """An `Approach` whose user turns are laid out otherwise, those of its shots as well."""

    approach: Approach
    layout: str

    @property
    def name(self) -> str:
        return self.approach.name

    @property
    def model(self) -> str:
        return self.approach.model

    @property
    def grammar(self) -> Grammar | None:
        return self.approach.grammar

    def prepare(self, examples: Sequence[Example]) -> None:
        self.approach.prepare(examples)

    def messages(self, example: Example) -> tuple[Message, ...]:
        before, after = self.layout.split("{}")
        return tuple(
            replace(turn, content=f"{before}{turn.content}{after}") if turn.role == "user" else turn
            for turn in self.approach.messages(example)
        )


def measure_consistency(
    approach: Approach,
    validation: Sequence[Example],
    engine: Engine,
    decoding: Decoding,
    seed: int,
    progress: Progress,
) -> Consistency | None:
    """Ask `approach` about the last `NUM_INPUTS` validation examples, as often as the constants above say.

    Prompts are chosen on the first ones, which so would flatter the order and layout that were chosen. None,
    and no call, where there are fewer than `MIN_INPUTS`.
    """
    inputs = validation[-NUM_INPUTS:]
    if len(inputs) < MIN_INPUTS:
        return None
    variants = [approach, *_other_orders(approach), *(_LaidOut(approach, one) for one in LAYOUTS[1:])]
    num_calls = (NUM_REPEATS + len(variants)) * len(inputs)
    progress.say(f"steadiness: {num_calls} calls on validation for {approach.name}")
    with progress.task(f"steadiness of {approach.name}", num_calls) as task:

        def ask(variant: Approach, sampled: Decoding) -> ScoredRun:
            run = run_approach(variant, inputs, engine, sampled, SilentProgress())
            task.advance(len(inputs))
            return run

        repeats = [
            ask(approach, replace(decoding, temperature=DEPLOYMENT_TEMPERATURE, seed=seed + number))
            for number in range(NUM_REPEATS)
        ]
        varied = [ask(variant, decoding) for variant in variants]
    scoring = decoding.scoring
    return Consistency(
        # Texts may say the same in many ways, so that unequal ones do not disagree.
        agreement=None if scoring.answers == "texts" else _agreement(repeats, _read),
        raw_agreement=_agreement(repeats, lambda score: score.answer),
        spread=_spread(varied, scoring.primary, np.random.default_rng(seed)),
        form_rate=_form_rate([*repeats, *varied]),
        inputs=len(inputs),
        temperature=DEPLOYMENT_TEMPERATURE,
    )


def describe(name: str, seen: Consistency) -> str:
    """One line for the terminal."""
    told = {
        f"equal answers in {{}} of pairs at temperature {seen.temperature:g}": seen.agreement,
        "equal texts in {}": seen.raw_agreement,
        "order and layout move the score by {} beyond chance": seen.spread,
        "form kept in {}": seen.form_rate,
    }
    known = [words.format(f"{share:.0%}") for words, share in told.items() if share is not None]
    return f"  {name}: {', '.join(known) or 'no call was answered'}"


def _other_orders(approach: Approach) -> list[Approach]:
    if not isinstance(approach, Prompted | FewShotNearest | Rag):
        return []
    return [approach.rotate_shots(places) for places in range(1, min(MAX_ORDERS, approach.num_shots))]


def _agreement(repeats: Sequence[ScoredRun], read: Callable[[Score], object]) -> float | None:
    """The share of the pairs of answers to one input that say the same, as `read` reads them."""
    agree: list[bool] = []
    for answers in zip(*(run.scores for run in repeats), strict=True):
        said = [read(score) for score in answers if score.status == "answered"]
        agree += [first == second for first, second in combinations(said, 2)]
    return fmean(agree) if agree else None


def _read(score: Score) -> object:
    """The answer as `exact_match` reads it."""
    wanted = read_object(strip_fence(score.expected))
    document = None if wanted is None else find_json(score.answer, wanted)
    return strip_fence(score.answer) if document is None else name_leaves(document)


def _spread(varied: Sequence[ScoredRun], metric: str, rng: np.random.Generator) -> float | None:
    """Between the best and the worst mean, less what is to be expected if the variants are all the same.

    That is the mean over random exchanges of each input's scores among the variants: on 20 inputs even equal
    variants lie some 10 points apart. An input counts where all variants have a value.
    """
    rows = [
        [score.metrics.get(metric) for score in scores]
        for scores in zip(*(run.scores for run in varied), strict=True)
    ]
    defined = [row for row in rows if None not in row]
    if not defined:
        return None
    scores: NDArray[np.float64] = np.array(defined, dtype=np.float64)
    exchanged = rng.permuted(np.broadcast_to(scores, (_CHANCE_DRAWS, *scores.shape)), axis=2)
    by_chance = float(np.ptp(exchanged.mean(axis=1), axis=1).mean())
    return max(0.0, float(np.ptp(scores.mean(axis=0))) - by_chance)


def _form_rate(runs: Iterable[ScoredRun]) -> float | None:
    kept = [value for run in runs for score in run.scores if (value := score.metrics.get(FORM)) is not None]
    return fmean(kept) if kept else None
