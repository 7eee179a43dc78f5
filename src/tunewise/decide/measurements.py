"""What a verdict is made of: every number the rules and the reasons may look at, and nothing else. Pure.

`Findings` is what a run knows beside its test answers, and what its manifest keeps; `Measurements` adds what
those answers showed. A part that is None, or empty, was not measured: no rule that needs it applies, and
`Measurements.not_measured` says so. Scores and shares are in 0..1, money is in the run's currency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tunewise.approaches.names import CONTROLS, FINE_TUNED, TRAINED, WITH_DOCUMENTS
from tunewise.decide.costs import Saving, cost
from tunewise.evaluate.judge import Judgement
from tunewise.evaluate.stats import PairedGain, gain_over_all
from tunewise.records import (
    ApproachResult,
    Consistency,
    Estimate,
    Gain,
    ParityCertificate,
    TokenPrice,
)

MIN_DUPLICATE_GROUPS = 20
"""From fewer inputs that occur twice, how often answers disagree cannot be told."""
RIGHT_OR_WRONG = frozenset({"exact_match", "numeric_match"})
"""The metrics by which one answer is right, and whatever differs from it wrong."""


@dataclass(frozen=True, slots=True)
class FactOrSkill:
    """Whether answers can be worked out from their prompts (a skill) or have to be looked up (facts)."""

    own_auc: float
    """How well the words of an answer tell its own prompt from others: 0.5 is not at all, 1 always."""
    mismatch: float
    """Share of the answers of which another prompt holds much more than their own does."""
    own_coverage: float
    """Mean share of an answer that its own prompt holds."""
    distinct_answers: int
    gap_closed: Estimate | None
    """Of what is to be known beyond the best floor: the share that the tuned model knows, on the test set."""
    near_miss: float | None
    """How much nearer its wrong test answers come to their own expected answer than to others of the same
    pattern; of questions, which `scores.jsonl` does not hold."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """How often the passages that were found hold the answer."""

    hit_rate: float | None
    random_hit_rate: float | None
    """The same for passages drawn at random, as common words stand everywhere.

    Both are None where no answer holds anything that could be found, or there are too few passages."""
    shortened_share: float | None = None
    """Of the prompts of `rag`, those in which not all passages that were found have room, or not whole."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How often one input has several answers in the data, before duplicates are removed."""

    share: float
    """Of the pairs of rows with equal inputs, those whose answers differ; the mean over inputs."""
    duplicate_groups: int
    """Inputs that occur more than once."""

    @property
    def is_known(self) -> bool:
        """Whether enough inputs occur twice."""
        return self.duplicate_groups >= MIN_DUPLICATE_GROUPS


@dataclass(frozen=True, slots=True)
class CurveForecast:
    """What the tuned model would gain with twice the training examples: 10%, 50% and 90% quantiles."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What training changed on prompts that have nothing to do with the task."""

    kl_divergence: float
    """From the base model, in nats per token of its own answers."""
    kl_tolerance: float
    """That of the base quantised to 3 bits: damage that people are known to live with."""
    retention: Estimate
    """Change of the share of checkable prompts that are answered right; negative is forgotten."""
    task_form_share: float
    """Share of those prompts that are answered in the form of the task."""


@dataclass(frozen=True, slots=True)
class TrainedArm:
    """A model that this run trained, and that it may recommend."""

    name: str
    """Of the approach: one of `TRAINED`."""
    model: str | None
    """Its `ft:` id."""
    training_seconds: float
    parity: ParityCertificate | None = None
    """Whether the model that was tested is the one that was trained."""
    forgetting: Forgetting | None = None
    """No run measures it yet."""

    @property
    def is_served_as_trained(self) -> bool:
        """As far as that was looked at; a model that is not has scores that say nothing of its training."""
        return self.parity is None or self.parity.passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a run knows beside its test scores, from data and validation.

    Of the test set it holds only how near the tuned model's answers came (`fact_or_skill`), and what a judge
    said of them.
    """

    primary_metric: str
    unique_examples: int
    """After duplicates were dropped, all sides of the split together."""
    floors: tuple[str, ...]
    """The names of the trivial rivals, which need no model."""
    best_untrained: str | None
    """The best rival without training, as chosen on validation; never a floor."""
    best_closed_book: str | None
    """The same among those that are given no documents."""
    seed: int
    """Of the resampling tests."""
    currency: str
    hourly_price: float
    hourly_price_is_assumed: bool
    test_is_given: bool = False
    """Whether the test examples are a file of their own, which more examples elsewhere do not enlarge."""
    token_prices: dict[str, TokenPrice] = field(default_factory=dict)
    """What endpoints charge, by remote approach; those that are missing are not known."""
    arms: tuple[TrainedArm, ...] = ()
    fact_or_skill: FactOrSkill | None = None
    retrieval: Retrieval | None = None
    """None where no documents were given."""
    disagreement: Disagreement | None = None
    neighbours_gain: float | None = None
    """What the commonest label among the five most similar training examples scores on validation, beyond the
    commonest of all. None where answers are no labels, or too few to tell."""
    learning_curve: CurveForecast | None = None
    """Of more examples than there are; no run measures it yet."""
    consistency: dict[str, Consistency] = field(default_factory=dict)
    """By approach."""
    general_use: bool = False
    """Whether the tuned model is to answer other things than its task as well; no run asks for it yet."""
    calls_per_month: float | None = None
    """As declared by the user; None where nothing was."""
    upkeep_per_month: float = 0.0
    """Of serving the tuned model, beyond its calls; no run asks for it yet."""
    left_out: tuple[str, ...] = ()
    """What there was no time for, in words."""
    judgements: tuple[Judgement, ...] = ()
    """How test answers of trained models fare beside the best prompt's, where a judge was asked."""


@dataclass(frozen=True, slots=True)
class KnowingGain:
    """A paired gain in what is known, whatever the form it is said in."""

    gain: PairedGain
    examples: int
    """Test examples on which it is defined for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements(Findings):
    """One run, as measured on its test set."""

    test_examples: int
    test_groups: int
    compared_examples: int
    """Test examples on which the primary metric is defined for the main trained model and the best untrained
    rival, as far as those were tested: what the main comparison rests on."""
    commonest_answer: float
    """Share of the test examples whose expected answer is the commonest one."""
    approaches: tuple[ApproachResult, ...]
    """Everything that was measured, floors, trained models and controls included."""
    gains: Mapping[str, Mapping[str, PairedGain]]
    """`gains[a][b]` is what approach `a` gains over `b`."""
    knowing: Mapping[str, float] = field(default_factory=dict)
    """By approach: the share of answers that say what is right; empty where that is undefined."""
    knowing_gains: Mapping[str, Mapping[str, KnowingGain]] = field(default_factory=dict)
    form_scores: Mapping[str, float] = field(default_factory=dict)
    """By approach: the share of answers that kept the form; empty where answers have none."""
    lenient_gains: Mapping[str, Mapping[str, PairedGain]] = field(default_factory=dict)
    """What trained models gain over untrained rivals where form costs neither of them anything.

    Among the rivals are prompts that the engine held to the form, where those were best on validation."""

    without_score: frozenset[str] = frozenset()
    """Approaches for which the primary metric is defined on no test example: their 0 says nothing."""

    def __post_init__(self) -> None:
        named = {*self.floors, *self.gains, *(rival for gains in self.gains.values() for rival in gains)}
        named |= {name for name in (self.best_untrained, self.best_closed_book) if name is not None}
        if unknown := named - {row.name for row in self.approaches}:
            raise ValueError(f"compared with {', '.join(sorted(unknown))}, which has no result")
        if unknown := {arm.name for arm in self.arms} - set(TRAINED):
            raise ValueError(f"{', '.join(sorted(unknown))} is no name of a trained model")

    def row(self, name: str | None) -> ApproachResult | None:
        """The result of this approach, if it was measured."""
        return next((row for row in self.approaches if row.name == name), None)

    @property
    def untrained(self) -> tuple[str, ...]:
        """Every rival without training that asks a model."""
        others = {*self.floors, *TRAINED, *CONTROLS}
        return tuple(row.name for row in self.approaches if row.name not in others)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The untrained rivals that are given no documents."""
        return tuple(name for name in self.untrained if name not in WITH_DOCUMENTS)

    @property
    def rival(self) -> ApproachResult | None:
        """The best untrained rival's row, if there is one."""
        return self.row(self.best_untrained)

    def arm(self, name: str) -> TrainedArm | None:
        """The trained model of this approach, if it was tested."""
        return next((arm for arm in self.arms if arm.name == name and self.row(name) is not None), None)

    @property
    def tested_arms(self) -> tuple[TrainedArm, ...]:
        """The trained models whose scores are those of their training, the main one first."""
        arms = (self.arm(name) for name in TRAINED)
        return tuple(arm for arm in arms if arm is not None and arm.is_served_as_trained)

    @property
    def main_arm(self) -> TrainedArm | None:
        """The trained model that a verdict is about unless it recommends another one."""
        return next((arm for name in TRAINED if (arm := self.arm(name)) is not None), None)

    @property
    def tuned(self) -> ApproachResult | None:
        """The row of `main_arm`."""
        return self.row(self.main_arm.name) if self.main_arm is not None else None

    def rivals_of(self, name: str) -> tuple[str, ...]:
        """All that this trained approach has to beat: the one with documents also the one without."""
        simpler = (FINE_TUNED,) if name != FINE_TUNED and self.arm(FINE_TUNED) is not None else ()
        return (*self.floors, *self.untrained, *simpler)

    def gain_over(self, name: str, rival: str | None) -> PairedGain | None:
        """What `name` gains over `rival`, if both were measured."""
        return None if rival is None else self.gains.get(name, {}).get(rival)

    @property
    def gain_over_rival(self) -> PairedGain | None:
        """What the main trained model gains over the best untrained rival."""
        return None if self.main_arm is None else self.gain_over(self.main_arm.name, self.best_untrained)

    def gain(self, name: str) -> Gain | None:
        """Its gain over the best untrained rival, with the lowest end and largest p over all rivals."""
        gains = {
            rival: gain for rival in self.rivals_of(name) if (gain := self.gain_over(name, rival)) is not None
        }
        if self.best_untrained is None or self.best_untrained not in gains:
            return None
        return gain_over_all(gains, self.best_untrained)

    @property
    def ceiling(self) -> float:
        """The best score that can be expected of anybody.

        Two answers that are each right with probability c agree at least as often as both are right, c * c;
        so their disagreement d leaves at most c = sqrt(1 - d), where answers are right or wrong and nothing
        between. 1 where that is not known, or something surely scores more: then repeated inputs are not
        like the others.
        """
        if self.disagreement is None or not self.disagreement.is_known or not self._scores_right_or_wrong:
            return 1.0
        bound = math.sqrt(1 - self.disagreement.share)
        if any(row.low > bound for row in self.approaches):
            return 1.0
        return max([bound, *(row.score for row in self.approaches)])

    @property
    def _scores_right_or_wrong(self) -> bool:
        return self.primary_metric in RIGHT_OR_WRONG

    def training_cost(self, arm: TrainedArm) -> float:
        """What training this model cost."""
        return cost(arm.training_seconds, self.hourly_price)

    def saving(self, arm: TrainedArm, rival: str | None) -> Saving | None:
        """What calls to this model save over calls to `rival`; None where one of the costs is not known."""
        costs = {row.name: row.cost_per_1000_calls for row in self.approaches}
        mine, other = costs.get(arm.name), costs.get(rival or "")
        if mine is None or other is None:
            return None
        return Saving(self.training_cost(arm), other / 1000, mine / 1000)

    @property
    def not_measured(self) -> tuple[str, ...]:
        """What could have changed the verdict and was not looked at, in words."""
        arm = self.main_arm
        absent = {
            "what guessing would score": not self.floors,
            "whether the answers are facts or a skill": self.fact_or_skill is None,
            "answers from your documents, as none were given": self.retrieval is None,
            "how often searching your documents finds the answers": self.retrieval is not None
            and self.retrieval.hit_rate is None,
            "what is known whatever the form it is said in": not self.knowing,
            "how often your answers contradict each other": self.disagreement is None
            or not self.disagreement.is_known,
            "the best possible score, as the metric gives part marks": not self._scores_right_or_wrong,
            "how steady the answers are": not self.consistency,
            "what twice the examples would give": arm is not None and self.learning_curve is None,
            "whether the served model is the trained one": arm is not None and arm.parity is None,
            "what training made the model forget": arm is not None and arm.forgetting is None,
            "what training saves, as no number of calls a month was declared": arm is not None
            and self.calls_per_month is None,
            "what calls to another machine cost, as the price of its tokens is not known": any(
                row.cost_per_1000_calls is None for row in self.approaches
            ),
        }
        no_time = tuple(f"for lack of time, {words}" for words in self.left_out)
        return no_time + tuple(words for words, is_absent in absent.items() if is_absent)
