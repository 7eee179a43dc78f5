"""What a run has found out on the way to its verdict, as far as it has come."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunewise.approaches.shown import Shown
from tunewise.data.dataset import Dataset
from tunewise.data.split import Split
from tunewise.decide.measurements import TrainedArm
from tunewise.evaluate.judge import Judgement
from tunewise.evaluate.runner import Decoding, ScoredRun
from tunewise.evaluate.selection import PromptChoice
from tunewise.models.base import BaseModel
from tunewise.records import Consistency, ModelRecord, ParityCertificate
from tunewise.run_spec import RunSpec
from tunewise.time_plan import TimePlan
from tunewise.train.fine_tune import TrainingSummary


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """One of the models that a run trained."""

    name: str
    """Of the approach."""
    record: ModelRecord
    training: TrainingSummary
    parity: ParityCertificate

    def as_arm(self) -> TrainedArm:
        """What a verdict looks at."""
        return TrainedArm(self.name, self.record.id, self.training.seconds, self.parity)


@dataclass(slots=True)
class Evidence:
    """Of one run. What has a default is filled in by its stages, in this order."""

    spec: RunSpec
    """As asked for."""
    dataset: Dataset
    split: Split
    base: BaseModel
    base_sha256: str
    decoding: Decoding
    shown: Shown
    plan: TimePlan = field(default_factory=TimePlan)
    choice: PromptChoice = field(default_factory=PromptChoice)
    trained: list[TrainedModel] = field(default_factory=list)
    runs: dict[str, ScoredRun] = field(default_factory=dict)
    """The test answers, by approach, in the order in which they were asked."""
    consistency: dict[str, Consistency] = field(default_factory=dict)
    """By approach."""
    judgements: tuple[Judgement, ...] = ()
    passages_hold: dict[str, float] = field(default_factory=dict)
    """By test example: the share of its answer that stands in the passages found for it."""

    @property
    def spec_within_time(self) -> RunSpec:
        """The spec without the rivals that the plan left out."""
        return self.plan.drop_from(self.spec)
