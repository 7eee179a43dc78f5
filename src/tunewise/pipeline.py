"""READ FIRST: the main job, from a file of examples to a verdict and a deployed model.

    check -> split (test set sealed) -> prompting baselines -> train -> evaluate -> decide -> deploy

Each stage is a call into the package of its name; what passes between them is in `records.py`. A stage's
result is kept in the run folder as soon as it is there, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunewise import publish, remote_rivals
from tunewise.approaches.base import Approach
from tunewise.approaches.floors import all_floors
from tunewise.approaches.names import CONTROLS, TRAINED
from tunewise.approaches.prompted import common_instruction
from tunewise.approaches.rivals import build, list_setups
from tunewise.approaches.shown import gather
from tunewise.approaches.wordings import list_wordings
from tunewise.arms import Arm, certify_arm, list_arms, train_arm
from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_examples
from tunewise.decide.compare import compare
from tunewise.decide.verdict import decide
from tunewise.engines import open_engine, open_tuned
from tunewise.engines.base import Engine
from tunewise.errors import SpecError
from tunewise.evaluate.consistency import describe as describe_consistency
from tunewise.evaluate.consistency import measure_consistency
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.parity import describe
from tunewise.evaluate.runner import ScoredRun, choose_decoding, run_approach, run_floor
from tunewise.evaluate.selection import PromptChoice, choose_prompts
from tunewise.findings import gather_findings, look_into_passages
from tunewise.judging import find_judge, judge_trained
from tunewise.models.base import find_base, sha256_of_base
from tunewise.progress import Progress, SilentProgress
from tunewise.records import Consistency, ParityCertificate, Verdict
from tunewise.run_spec import RunSpec
from tunewise.settings import HOURLY_PRICE, ORGANIZATION, Settings, get_settings
from tunewise.store.registry import Registry
from tunewise.time_plan import PLANNED_SHARE, STEADINESS, TimePlan, plan_time
from tunewise.train.fine_tune import TrainingSummary, remove_checkpoints
from tunewise.train.rows import check_rows


def run(
    spec: RunSpec,
    out: Path,
    progress: Progress | None = None,
    settings: Settings | None = None,
    consent: remote_rivals.Consent = remote_rivals.refuse,
) -> Verdict:
    """Measure every rival on the user's own examples, decide, and deploy the tuned model if it won.

    Writes `verdict.json`, `report.html`, `scores.jsonl` and `manifest.json` into `out`. Examples go to
    another machine only if `spec` names a remote rival and `consent` agrees. Raises a `TunewiseError` for
    anything that the user can mend.
    """
    progress = progress or SilentProgress()
    settings = settings or get_settings()
    settings.check(HOURLY_PRICE, ORGANIZATION)
    registry = Registry(settings.registry)
    started = time.monotonic()

    dataset = read_dataset(spec.data, spec.group_key, spec.given_sides, spec.reading)
    progress.say(dataset.describe())
    split = split_examples(dataset.examples, spec.seed, path=spec.data, given=dataset.given_examples)
    progress.say(split.describe())
    scoring = choose_scoring(split.train, spec.metric)
    progress.say(scoring.describe())
    instruction = spec.instructions or common_instruction(split.train)
    wordings = list_wordings(split.train, instruction)
    remote_rivals.ask_consent(spec, split, wordings, out, consent, settings, progress)

    progress.say(f"base model: {spec.base} (made ready once per machine, which takes up to a minute)")
    base = find_base(spec.base, settings)
    base_sha256 = sha256_of_base(base.folder)
    judge = find_judge(spec.judge, settings)
    with publish.open_run(out, spec, dataset, base_sha256, registry) as folder, ExitStack() as opened:
        split.test.on_read = lambda read: folder.log_test_read(read.purpose, read.at)
        if {*TRAINED, *CONTROLS}.intersection(spec.approaches):
            check_rows(base, split.train, split.validation, spec.train_spec, spec.data)
        engine = opened.enter_context(closing(open_engine(base, name=spec.engine, settings=settings)))
        decoding = choose_decoding(engine, scoring, split.train)

        def test(name: str, ask: Any) -> ScoredRun:
            result = folder.stage(f"test-{name}", lambda: ask(split.test.read(f"test {name}")).to_json())
            scored = ScoredRun.from_json(result.value)
            progress.say(f"  {name}: {scoring.primary} {scored.score(scoring.primary):.1%}")
            return scored

        shown = gather(
            spec.approaches, split.train, spec.docs, spec.reading.encoding, engine, decoding.max_tokens,
            spec.seed, settings.cache / "vectors", progress,
        )  # fmt: skip
        plan = TimePlan()
        if spec.max_minutes is not None:
            planned_setups = list_setups(spec.approaches, wordings)
            planned_arms = list_arms(spec, split, shown, PromptChoice(), engine, out, progress)
            seconds_left = PLANNED_SHARE * 60 * spec.max_minutes - (time.monotonic() - started)
            plan = TimePlan.from_json(folder.stage("plan-time", lambda: plan_time(
                seconds_left, planned_setups, planned_arms, shown, split, base, instruction, engine, decoding,
                settings, progress,
            ).to_json()).value)  # fmt: skip
            progress.say(plan.describe(spec.max_minutes))
            spec = plan.drop_from(spec)

        runs: dict[str, ScoredRun] = {}
        floors = [floor for floor in all_floors() if floor.name in spec.approaches]
        for floor in floors:
            floor.prepare(split.train)
            runs[floor.name] = test(floor.name, lambda examples, f=floor: run_floor(f, examples, scoring))

        setups = list_setups(spec.approaches, wordings)
        choice = PromptChoice.from_json(folder.stage("choose-prompts", lambda: choose_prompts(
            setups, shown, split.validation, engine, decoding, scoring.primary, progress
        ).to_json()).value)  # fmt: skip
        progress.say(choice.describe())
        for setup in choice.setups.values():
            rival = build(setup, shown)
            runs[rival.name] = test(
                rival.name, lambda examples, r=rival: run_approach(r, examples, engine, decoding, progress)
            )

        consistency: dict[str, Consistency] = {}

        def ask_again(approach: Approach, asked: Engine) -> None:
            def measure() -> dict[str, Any] | None:
                seen = measure_consistency(approach, split.validation, asked, decoding, spec.seed, progress)
                return None if seen is None else asdict(seen)

            if STEADINESS in plan.dropped:
                return
            kept = folder.stage(f"steadiness-{approach.name}", measure).value
            if kept is not None:
                consistency[approach.name] = Consistency(**kept)
                progress.say(describe_consistency(approach.name, consistency[approach.name]))

        if choice.best is not None:  # Not of remote rivals, as that would be 200 calls more of them.
            ask_again(build(choice.setups[choice.best], shown), engine)

        def test_remote(name: str) -> PromptChoice:
            with closing(remote_rivals.open_remote(name, spec, settings)) as remote:
                own = PromptChoice.from_json(folder.stage(f"choose-prompts-{name}", lambda: (
                    remote_rivals.choose_remote_prompts(
                        name, wordings, shown, split.validation, remote, decoding, scoring.primary, progress
                    ).to_json()
                )).value)  # fmt: skip
                progress.say(own.describe())
                rival = build(own.setups[name], shown)
                runs[name] = test(
                    name,
                    lambda examples: remote_rivals.ask_remote(rival, examples, remote, decoding, progress),
                )
            return own

        for name in spec.remotes:
            choice = choice.joined(test_remote(name))

        def train_and_test(arm: Arm) -> publish.TrainedModel:
            def train() -> dict[str, Any]:
                engine.rest()  # Training takes the whole machine.
                return asdict(train_arm(arm, base, spec.data, instruction, settings, progress))

            training = TrainingSummary(**folder.stage(f"train-{arm.name}", train).value)
            remove_checkpoints(arm.folder)
            record = publish.register_candidate(base, spec, out, arm.folder, training, settings, registry)
            with open_tuned(engine, record, spec.engine, settings) as tuned_engine:
                parity = ParityCertificate(**folder.stage(f"parity-{arm.name}", lambda: asdict(
                    certify_arm(arm, record.id, tuned_engine)
                )).value)  # fmt: skip
                progress.say(describe(parity))
                tuned = arm.ask(record.id)
                runs[arm.name] = test(
                    arm.name, lambda examples: run_approach(tuned, examples, tuned_engine, decoding, progress)
                )
                if arm.name in TRAINED:
                    ask_again(tuned, tuned_engine)
            return publish.TrainedModel(arm.name, record, training, parity)

        arms = list_arms(spec, split, shown, choice, engine, out, progress)
        trained = tuple(train_and_test(plan.shorten(arm)) for arm in arms)
        judgements = judge_trained(
            judge, [arm.name for arm in arms], choice.best, runs, split.test, spec, base, engine, folder,
            settings, progress,
        )  # fmt: skip
        if not runs:
            raise SpecError("nothing is left to measure: add to --approaches, or give --instructions FILE")
        findings = gather_findings(
            spec,
            dataset,
            split,
            shown,
            choice,
            plan,
            trained,
            runs,
            consistency,
            judgements,
            scoring,
            settings,
            progress,
        )
        verdict = decide(compare(runs, findings), forced=spec.force)
        evidence = publish.Evidence(
            spec, dataset, split, base, base_sha256, decoding, plan, choice, trained, runs, findings,
            look_into_passages(split, shown, choice),
        )  # fmt: skip
        publish.publish(folder, evidence, verdict, settings, registry)
    return verdict
