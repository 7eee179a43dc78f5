"""The judge of a run is asked once, about unseen examples, and what it said is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from toy import save_base, write_rows
from tunewise.approaches.prompted import Prompted
from tunewise.data.dataset import read_dataset
from tunewise.data.split import Split, split_examples
from tunewise.engines import open_engine
from tunewise.engines.base import Engine
from tunewise.errors import ModelNotFoundError, ModelUnavailableError
from tunewise.evaluate.judge import Judgement
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import Decoding, ScoredRun, run_approach
from tunewise.judging import find_judge, judge_trained
from tunewise.models.base import BaseModel, find_base
from tunewise.progress import SilentProgress
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings, get_settings
from tunewise.store.run_folder import RunFolder

INSTRUCTION = "What comes after?"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(get_settings(), home=tmp_path / "home", device="cpu")


@pytest.fixture
def base(tmp_path: Path, settings: Settings) -> BaseModel:
    return find_base(str(save_base(tmp_path / "toy", context=1024)), settings)


@pytest.fixture
def engine(base: BaseModel, settings: Settings) -> Iterator[Engine]:
    engine = open_engine(base, settings=settings)
    yield engine
    engine.close()


@pytest.fixture
def split(tmp_path: Path) -> Split:
    data = write_rows(tmp_path / "rows.jsonl")
    return split_examples(read_dataset(data, None).examples, 0, path=data)


def ask(split: Split, engine: Engine) -> dict[str, ScoredRun]:
    """Two prompts, one of which stands in for a tuned model."""
    test = split.test.read("test")
    decoding = Decoding(choose_scoring(split.train), 5)
    prompts = Prompted("fine-tuned", "toy"), Prompted("instructed", "toy", INSTRUCTION)
    return {p.name: run_approach(p, test, engine, decoding, SilentProgress()) for p in prompts}


def test_the_judge_reads_the_test_set_once_and_is_not_asked_again(
    tmp_path: Path, split: Split, base: BaseModel, engine: Engine, settings: Settings
) -> None:
    spec = RunSpec(data=tmp_path / "rows.jsonl", base=base.source, judge=base.source)
    runs = ask(split, engine)
    judge = find_judge(spec.judge, settings)

    def judged() -> tuple[Judgement, ...]:
        with RunFolder(tmp_path / "run", {}, {}) as folder:
            return judge_trained(
                judge, ["fine-tuned"], "instructed", runs, split.test, spec, base, engine, folder, settings,
                SilentProgress(),
            )  # fmt: skip

    first, again = judged(), judged()
    assert first == again
    assert (first[0].judge, first[0].first, first[0].second) == ("toy", "fine-tuned", "instructed")
    assert first[0].examples == len(runs["instructed"].scores)
    assert [read.purpose for read in split.test.reads] == ["test", "judge"]


def test_without_a_rival_nothing_is_judged(
    tmp_path: Path, split: Split, base: BaseModel, engine: Engine, settings: Settings
) -> None:
    spec = RunSpec(data=tmp_path / "rows.jsonl", base=base.source, judge=base.source)
    with RunFolder(tmp_path / "run", {}, {}) as folder:
        nothing = judge_trained(
            base, ["fine-tuned"], None, {}, split.test, spec, base, engine, folder, settings, SilentProgress()
        )
    assert nothing == ()
    assert split.test.reads == ()


def test_a_judge_that_is_not_there_is_told_before_anything_is_asked(settings: Settings) -> None:
    assert find_judge(None, settings) is None
    with pytest.raises(ModelNotFoundError):
        find_judge("ft:toy:test:none:abc123", settings)
    with pytest.raises(ModelUnavailableError, match="no base model"):
        find_judge("/nowhere", settings)
