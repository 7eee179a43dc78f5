"""The stages of a run that ask models or train them, each added to the evidence.

What a stage finds is kept in the run folder at once; a run that was stopped reads it back and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from tunewise.approaches.base import Approach
from tunewise.approaches.floors import all_floors
from tunewise.approaches.names import TRAINED
from tunewise.approaches.rivals import build, list_setups
from tunewise.approaches.wordings import Wording
from tunewise.arms import Arm, certify_arm, list_arms, train_arm
from tunewise.decide.criteria import fail_too_often
from tunewise.engines import open_tuned
from tunewise.engines.base import Engine
from tunewise.evaluate.consistency import describe as describe_consistency
from tunewise.evaluate.consistency import measure_consistency
from tunewise.evaluate.parity import describe
from tunewise.evaluate.runner import ScoredRun, run_approach, run_floor
from tunewise.evaluate.selection import PromptChoice, choose_prompts
from tunewise.evidence import Evidence, TrainedModel
from tunewise.judging import Judge, judge_trained
from tunewise.progress import Progress
from tunewise.publish import register_candidate
from tunewise.records import Consistency, Example, ParityCertificate
from tunewise.rehearsal import plan_time
from tunewise.remote_rivals import ask_remote, choose_remote_prompts, open_remote
from tunewise.settings import Settings
from tunewise.store.registry import Registry
from tunewise.store.run_folder import RunFolder
from tunewise.time_plan import PLANNED_SHARE, STEADINESS, TRAINING_PLANNED_SHARE, TimePlan
from tunewise.train.fine_tune import TrainingSummary, remove_checkpoints

if TYPE_CHECKING:
    from tunewise.engines.remote import RemoteEngine


PLANNING = "plan-time"
"""The stage whose end the time that is left is counted from."""


class Stages:
    """Those of one run, to be gone through in the order of `pipeline.run`."""

    def __init__(
        self,
        found: Evidence,
        engine: Engine,
        folder: RunFolder,
        wordings: Sequence[Wording],
        instruction: str | None,
        settings: Settings,
        progress: Progress,
    ) -> None:
        self.found = found
        self._engine, self._folder = engine, folder
        self._wordings, self._instruction = wordings, instruction
        self._settings, self._progress = settings, progress

    def plan_time(self, seconds: float) -> None:
        """Leave out what does not fit into `seconds`, and say so, before anything is tested."""
        found = self.found
        setups = list_setups(found.spec.approaches, self._wordings)
        arms = self._list_arms()
        kept = self._folder.stage(PLANNING, lambda: plan_time(
            seconds, setups, arms, found.shown, found.split, found.base, self._instruction, self._engine,
            found.decoding, self._settings, self._progress,
        ).to_json())  # fmt: skip
        found.plan = TimePlan.from_json(kept.value)
        assert found.spec.max_minutes is not None
        self._progress.say(found.plan.describe(found.spec.max_minutes))

    def test_floors(self) -> None:
        """Those that need no model."""
        found = self.found
        for floor in all_floors():
            if floor.name in found.spec_within_time.approaches:
                floor.prepare(found.split.train)
                self._test(floor.name, partial(run_floor, floor, scoring=found.decoding.scoring))

    def test_prompts(self) -> None:
        """Choose each rival's prompt on validation, test it, and ask the best of all again."""
        found = self.found
        setups = found.plan.limit_prompts(list_setups(found.spec_within_time.approaches, self._wordings))
        kept = self._folder.stage("choose-prompts", lambda: choose_prompts(
            setups, found.shown, found.split.validation, self._engine, found.decoding,
            found.decoding.scoring.primary, self._progress,
        ).to_json())  # fmt: skip
        found.choice = PromptChoice.from_json(kept.value)
        self._progress.say(found.choice.describe())
        for setup in found.choice.setups.values():
            self._test_model(build(setup, found.shown), self._engine)
        if found.choice.best is not None:
            self._ask_again(build(found.choice.setups[found.choice.best], found.shown), self._engine)

    def test_remote_rivals(self) -> None:
        """Models of another machine, in the prompt that is best for each; asked again is none of them."""
        for name in self.found.spec.remotes:
            with closing(open_remote(name, self.found.spec, self._settings)) as remote:
                self._test_remote_rival(name, remote)

    def plan_training(self) -> None:
        """How much of it fits into what the tests left of the time, where time is limited."""
        before, max_minutes = self.found.plan, self.found.spec.max_minutes
        if before.seconds_left is None or max_minutes is None or not before.paces:
            return
        planned_for = before.seconds_left + (TRAINING_PLANNED_SHARE - PLANNED_SHARE) * 60 * max_minutes

        def fit() -> dict[str, Any]:
            # What other machines took comes on top of the time given.
            remote = self.found.spec.remotes
            timings = self._folder.timings()
            spent = sum(s for stage, s in timings.items() if stage != PLANNING and not stage.endswith(remote))
            tested = {name: run.seconds for name, run in self.found.runs.items()}
            return before.fit_training_into(planned_for - spent, tested).to_json()

        self.found.plan = TimePlan.from_json(self._folder.stage("plan-training", fit).value)
        self._progress.say(self.found.plan.describe_training(before))

    def train_and_test(self, registry: Registry) -> None:
        """Each model that is asked for: trained, registered, certified, tested and asked again."""
        for arm in self._list_arms():
            if arm.note:
                self._progress.say(f"{arm.name}: {arm.note}")
            self.found.trained.append(self._train_and_test(self.found.plan.shorten(arm), registry))

    def ask_judge(self, judge: Judge | None) -> None:
        """How the test answers of the trained models fare beside the best prompt's, if there is a judge."""
        found = self.found
        found.judgements = judge_trained(
            judge, [model.name for model in found.trained if model.name in TRAINED], found.choice.best,
            found.runs, found.split.test, found.spec, found.base, self._engine, self._folder, self._settings,
            self._progress,
        )  # fmt: skip

    def _list_arms(self) -> list[Arm]:
        found, out = self.found, self._folder.path
        spec = found.spec_within_time
        return list_arms(spec, found.split, found.shown, found.choice, self._engine, out)

    def _test_remote_rival(self, name: str, remote: RemoteEngine) -> None:
        found = self.found
        kept = self._folder.stage(f"choose-prompts-{name}", lambda: choose_remote_prompts(
            name, self._wordings, found.shown, found.split.validation, remote, found.decoding,
            found.decoding.scoring.primary, self._progress,
        ).to_json())  # fmt: skip
        own = PromptChoice.from_json(kept.value)
        self._progress.say(own.describe())
        rival = build(own.setups[name], found.shown)
        ask = partial(ask_remote, rival, engine=remote, decoding=found.decoding, progress=self._progress)
        self._test(name, ask)
        found.choice = found.choice.joined(own)

    def _train_and_test(self, arm: Arm, registry: Registry) -> TrainedModel:
        found, folder, settings = self.found, self._folder, self._settings

        def train() -> dict[str, Any]:
            self._engine.rest()  # Training takes the whole machine.
            data = found.spec.data
            return asdict(train_arm(arm, found.base, data, self._instruction, settings, self._progress))

        training = TrainingSummary(**folder.stage(f"train-{arm.name}", train).value)
        remove_checkpoints(arm.folder)
        record = register_candidate(
            found.base, found.spec, folder.path, arm.folder, training, settings, registry
        )
        with open_tuned(self._engine, record, found.spec.engine, settings) as engine:
            certify = lambda: asdict(certify_arm(arm, record.id, engine))  # noqa: E731
            parity = ParityCertificate(**folder.stage(f"parity-{arm.name}", certify).value)
            self._progress.say(describe(parity))
            tuned = arm.ask(record.id)
            self._test_model(tuned, engine)
            if arm.name in TRAINED:
                self._ask_again(tuned, engine)
        return TrainedModel(arm.name, record, training, parity)

    def _test_model(self, approach: Approach, engine: Engine) -> None:
        ask = partial(
            run_approach, approach, engine=engine, decoding=self.found.decoding, progress=self._progress
        )
        self._test(approach.name, ask)

    def _test(self, name: str, ask: Callable[[Sequence[Example]], ScoredRun]) -> None:
        """On the sealed test set."""
        test, primary = self.found.split.test, self.found.decoding.scoring.primary
        kept = self._folder.stage(
            f"test-{name}", lambda: ask(test.read(f"test {name}")).to_json(), keeps=_tells_enough
        ).value
        run = self.found.runs[name] = ScoredRun.from_json(kept)
        self._progress.say(f"  {name}: {primary} {run.score(primary):.1%}")
        if not _tells_enough(kept):
            self._progress.say(
                f"  {len(run.failed)} of {len(run.scores)} calls of {name} failed, so the same command will "
                f"ask it anew; the first failed as {run.failed[0].answer}"
            )

    def _ask_again(self, approach: Approach, engine: Engine) -> None:
        """How steady its answers on validation are."""
        found = self.found
        if STEADINESS in found.plan.dropped:
            return

        def measure() -> dict[str, Any] | None:
            seen = measure_consistency(
                approach, found.split.validation, engine, found.decoding, found.spec.seed, self._progress
            )
            return None if seen is None else asdict(seen)

        kept = self._folder.stage(f"steadiness-{approach.name}", measure).value
        if kept is not None:
            found.consistency[approach.name] = Consistency(**kept)
            self._progress.say(describe_consistency(approach.name, found.consistency[approach.name]))


def _tells_enough(kept: dict[str, Any]) -> bool:
    """Whether so few calls of a test failed that its answers are worth keeping."""
    run = ScoredRun.from_json(kept)
    return not fail_too_often(len(run.failed), len(run.scores))
