"""The data sets whose verdict is known beforehand, and what must be said of each."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from known_verdicts.sources import (
    Row,
    answer_of,
    draw,
    read_features,
    read_prices,
    read_tweets,
    row_of,
    with_turn,
)
from tunewise.approaches.floors import all_floors
from tunewise.approaches.names import TRAINED
from tunewise.approaches.prompted import Prompted
from tunewise.approaches.wordings import list_wordings
from tunewise.data.dataset import read_dataset
from tunewise.engines import open_engine
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import choose_decoding, run_approach, value_of
from tunewise.models.base import find_base
from tunewise.progress import SilentProgress
from tunewise.records import Verdict
from tunewise.store.files import read_json, write_jsonl

SHARE_OF_ONE_LABEL = 0.97
MOODS = ("positive", "negative")
NUM_ASKED = 2000
"""Tweets that the base is asked about, to keep those that it gets right."""


@dataclass(frozen=True)
class Case:
    """One data set."""

    name: str
    write: Callable[[Path, Path], Path | None]
    """Writes the examples, with what is fetched kept in a folder; returns the documents, if there are any."""
    verdicts: Collection[str]
    """Each of these recommendations is right."""
    code: str | None = None
    """A reason that has to be among those given."""
    check: Callable[[Verdict, Path], str | None] | None = None
    """What else is wrong with the verdict, in words; it may look at the other runs of a folder."""
    seeds: Collection[int] = (0,)


def write_prices(file: Path, cache: Path) -> None:  # noqa: ARG001 - the same for all
    write_jsonl(file, read_prices())


def write_tweets(file: Path, cache: Path) -> None:
    write_jsonl(file, draw(read_tweets(cache), 1200))


def write_questions(file: Path, cache: Path) -> None:
    write_jsonl(file, draw(read_features(cache)[0], 1500))


def write_questions_and_documents(file: Path, cache: Path) -> Path:
    write_questions(file, cache)
    documents = file.with_name("documents.jsonl")
    write_jsonl(documents, read_features(cache)[1])
    return documents


def write_shuffled_prices(file: Path, cache: Path) -> None:  # noqa: ARG001
    rows = read_prices()
    answers = [answer_of(row) for row in rows]
    random.Random(0).shuffle(answers)
    write_jsonl(file, [with_turn(row, -1, answer) for row, answer in zip(rows, answers, strict=True)])


def write_few_prices(file: Path, cache: Path) -> None:  # noqa: ARG001
    write_jsonl(file, draw(read_prices(), 30))


def write_one_label(file: Path, cache: Path) -> None:
    """Nearly all of them one label, as where a rare event is to be found."""
    rows = read_tweets(cache)
    common = [row for row in rows if answer_of(row) == "positive"]
    rare = [row for row in rows if answer_of(row) == "negative"]
    number = round(1200 * SHARE_OF_ONE_LABEL)
    write_jsonl(file, draw([*draw(common, number), *draw(rare, 1200 - number)], 1200))


def write_what_the_base_gets_right(file: Path, cache: Path) -> None:
    """Tweets whose mood the base tells rightly: as many of one as of the other, where guessing is no use."""
    asked = file.with_name("asked.jsonl")
    with_mood = [row for row in read_tweets(cache) if answer_of(row) in MOODS]
    write_jsonl(asked, draw(with_mood, NUM_ASKED))
    examples = read_dataset(asked).examples
    wordings = list_wordings(examples, examples[0].instruction)
    enforced = next(wording for wording in wordings if wording.grammar is not None)
    scoring = choose_scoring(examples)
    with closing(open_engine(find_base())) as engine:
        rival = Prompted("instructed", engine.base_id, enforced.instruction, grammar=enforced.grammar)
        decoding = choose_decoding(engine, scoring, examples)
        run = run_approach(rival, examples, engine, decoding, SilentProgress())
    right = {score.example_id for score in run.scores if value_of(score, "exact_match") == 1}
    rows = [
        row_of(example.instruction or "", example.turns[-1].content, example.answer)
        for example in examples
        if example.id in right
    ]
    moods = [[row for row in rows if answer_of(row) == mood] for mood in MOODS]
    number = min(map(len, moods))
    write_jsonl(file, draw([row for mood in moods for row in draw(mood, number)], 2 * number))


def write_doubled_prices(file: Path, cache: Path) -> None:  # noqa: ARG001
    """Every row a second time, right below, with other spacing."""
    rows: list[Row] = []
    for row in read_prices():
        rows += [row, with_turn(row, 1, "  " + row["messages"][1]["content"].replace(" ", "  ") + " ")]
    write_jsonl(file, rows)


def praises_the_majority(verdict: Verdict, work: Path) -> str | None:  # noqa: ARG001
    """A score that guessing reaches is no success."""
    words = " ".join([verdict.headline, *(reason.text for reason in verdict.reasons)]).lower()
    praise = [word for word in ("already good", "works well", "fine-tune:", "success") if word in words]
    return f"calls it {', '.join(praise)}" if praise else None


def says_where_answers_live(verdict: Verdict, work: Path) -> str | None:  # noqa: ARG001
    """One of the reasons is about the documents."""
    told = any("document" in reason.text.lower() for reason in verdict.reasons)
    return None if told else "no reason says that the answers live in the documents"


def scores_unlike_one_copy(verdict: Verdict, work: Path) -> str | None:
    """Copies that differ in spacing are no new examples: they make a score neither another nor surer."""
    runs = work / "prices-0" / "run", work / "prices--each-row-twice-0" / "run"
    seals = [read_json(run / "manifest.json")["split"]["seal"] for run in runs]
    if seals[0] != seals[1]:
        return f"tested on {verdict.test_examples} examples that are not those of one copy"
    one_copy = read_json(runs[0] / "verdict.json")
    floors = {floor.name for floor in all_floors()}
    scores = {row["name"]: (row["low"], row["score"], row["high"]) for row in one_copy["approaches"]}
    for row in verdict.approaches:
        if row.name in TRAINED:
            low, _, high = scores[row.name]
            if not low <= row.score <= high:
                return f"not within the interval of one copy: {row.name} {row.score:.1%}"
        if row.name in floors and (row.low, row.score, row.high) != scores[row.name]:
            return f"copies change what guessing gets: {row.name} {row.score:.1%}"
    return None


CASES: Sequence[Case] = (
    Case("prices", write_prices, {"fine-tune"}, seeds=(0, 1)),
    Case("tweets", write_tweets, {"fine-tune"}, seeds=(0, 1)),
    Case(
        "questions with documents",
        write_questions_and_documents,
        {"fine-tune-and-rag", "use-rag"},
        check=says_where_answers_live,
        seeds=(0, 1),
    ),
    Case("questions without documents", write_questions, {"collect-more-data"}, "facts-need-documents"),
    Case("prices, answers shuffled", write_shuffled_prices, {"fix-the-data"}, "answers-mispaired"),
    Case("prices, 30 examples", write_few_prices, {"collect-more-data"}, "too-few-examples"),
    Case("tweets, one label 97%", write_one_label, {"collect-more-data"}, check=praises_the_majority),
    Case("tweets that the base gets right", write_what_the_base_gets_right, {"keep-prompting"}),
    Case("prices, each row twice", write_doubled_prices, {"fine-tune"}, check=scores_unlike_one_copy),
)
