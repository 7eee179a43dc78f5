"""Situations that somebody with a fine-tuning question is in, and what they are told."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from measured_runs import FACTS, FORGETFUL, SKILL, measured, with_arm
from tunewise.approaches.nearest_copy import NearestCopy
from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_examples
from tunewise.decide.measurements import Disagreement, KnowingGain, Measurements, Retrieval
from tunewise.decide.verdict import decide
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import run_floor
from tunewise.records import Example


def chat(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def told(m: Measurements) -> tuple[str, str]:
    verdict = decide(m)
    return verdict.recommendation, verdict.reasons[0].code


def test_97_percent_of_the_answers_are_the_same_and_six_test_examples_have_another() -> None:
    m = measured(tuned=0.975, prompt=0.97, floor=0.97, half=0.02, n=200)
    assert told(m) == ("collect-more-data", "rare-answers-too-few")
    assert "only 6 of 200 test examples have another" in decide(m).reasons[0].text


def test_a_gain_that_was_leaked_duplicates_is_gone_once_they_are_grouped(tmp_path: Path) -> None:
    """Copying the nearest training answer wins by copies in the test set, and not without them."""
    copied = [(f"Which code has the part number {n * 7919}?", f"code {n}") for n in range(100)]
    copied += [(question.lower(), answer) for question, answer in copied]
    rows = [{"messages": chat(question, answer)} for question, answer in copied]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    examples = read_dataset(file).examples
    assert len(examples) == 200, "their copies are no exact ones, nor such in other spacing"
    scoring = choose_scoring(examples)

    def score_of_copying(train: Sequence[Example], test: Sequence[Example]) -> float:
        floor = NearestCopy()
        floor.prepare(train)
        return run_floor(floor, test, scoring).score("exact_match")

    shuffled = random.Random(0).sample(examples, len(examples))
    assert score_of_copying(shuffled[50:], shuffled[:50]) > 0.6
    split = split_examples(examples, seed=0, path=file)
    assert score_of_copying(split.train, split.test.read("copies")) == 0

    assert told(measured(tuned=0.70, prompt=0.70))[0] == "keep-prompting"
    assert told(measured(tuned=0.71, prompt=0.70))[0] == "inconclusive"


def test_answers_of_an_extraction_were_shuffled() -> None:
    m = measured(tuned=0.10, prompt=0.05, fact_or_skill=replace(SKILL, own_auc=0.5, mismatch=0.34))
    assert told(m) == ("fix-the-data", "answers-mispaired")


def test_labels_were_shuffled() -> None:
    by_neighbours = measured(tuned=0.40, prompt=0.38, floor=0.40, neighbours_gain=-0.02)
    assert told(by_neighbours) == ("fix-the-data", "no-relation-found")
    by_duplicates = measured(tuned=0.40, prompt=0.38, floor=0.40, disagreement=Disagreement(0.6, 40))
    assert told(by_duplicates) == ("fix-the-data", "no-relation-found")


def test_thirty_examples_and_a_huge_gain() -> None:
    m = measured(tuned=1.0, prompt=0.1, n=8, unique_examples=30)
    assert told(m) == ("collect-more-data", "too-few-examples")


def test_forty_test_examples_and_a_gain_of_eight_points() -> None:
    assert told(measured(tuned=0.68, prompt=0.60, half=0.17, n=40)) == ("inconclusive", "cannot-tell")


def test_facts_and_documents_about_something_else() -> None:
    m = measured(
        tuned=0.21, prompt=0.035, rag=0.04, both=0.20, fact_or_skill=FACTS, retrieval=Retrieval(0.31, 0.30)
    )
    assert told(m) == ("collect-more-data", "documents-lack-answers")


def test_facts_without_documents_that_training_guesses_better_than_a_prompt() -> None:
    m = measured(tuned=0.21, prompt=0.035, floor=0.02, fact_or_skill=FACTS)
    assert told(m) == ("collect-more-data", "facts-need-documents")
    assert not decide(m).deployed


def facts_with_documents(both: float | None) -> Measurements:
    """The base knows the answers from the documents, and says them in sentences, not in a word as asked."""
    knows = {"zero-shot": 0.02, "few-shot": 0.04, "rag": 0.80, "fine-tuned": 0.21}
    knows |= {} if both is None else {"fine-tuned-rag": 0.86}
    return measured(
        tuned=0.21, prompt=0.035, rag=0.05, both=both, floor=0.02, half=0.04, knows=knows,
        fact_or_skill=FACTS, retrieval=Retrieval(0.91, 0.30),
    )  # fmt: skip


def test_facts_and_the_right_documents() -> None:
    assert told(facts_with_documents(both=0.84)) == ("fine-tune-and-rag", "both-needed")
    alone = facts_with_documents(both=None)
    assert told(alone) == ("use-rag", "answers-live-in-documents")
    assert (
        "with your documents it knows 80% of the answers, without them at most 21%" in decide(alone).headline
    )


def test_the_base_is_perfect_already() -> None:
    assert told(measured(tuned=1.0, prompt=0.995)) == ("keep-prompting", "prompting-already-good")


def test_training_keeps_the_form_better_and_knows_less() -> None:
    m = measured(tuned=0.60, prompt=0.30, knows={"few-shot": 0.85, "zero-shot": 0.80, "fine-tuned": 0.62})
    assert told(m) == ("keep-prompting", "knows-less")


def test_training_is_better_and_forgets_other_things() -> None:
    m = with_arm(measured(), forgetting=FORGETFUL)
    assert told(m) == ("fine-tune", "beats-every-rival")
    assert "forgets" in [reason.code for reason in decide(m).reasons]
    assert told(replace(m, general_use=True)) == ("keep-prompting", "forgets")


def test_training_is_as_good_and_ten_times_cheaper() -> None:
    equal = measured(tuned=0.705, prompt=0.70, half=0.01)
    cheap = replace(equal, approaches=tuple(
        replace(row, cost_per_1000_calls=0.8 if row.name == "few-shot" else 0.08) for row in equal.approaches
    ))  # fmt: skip
    assert told(cheap) == ("keep-prompting", "gain-too-small")
    assert told(replace(cheap, calls_per_month=10_000)) == ("fine-tune", "same-quality-cheaper")
    assert "pays back after 28 calls" in decide(replace(cheap, calls_per_month=10_000)).headline


def test_a_base_that_echoes_its_prompt_does_not_know_everything() -> None:
    m = measured(knows={"few-shot": 1.0, "zero-shot": 1.0, "fine-tuned": 0.92})
    undefined = {
        name: {rival: KnowingGain(k.gain, 3) for rival, k in gains.items()}
        for name, gains in m.knowing_gains.items()
    }
    assert told(replace(m, knowing_gains=undefined)) == ("fine-tune", "beats-every-rival")


def test_three_users_wrote_all_examples() -> None:
    m = measured(test_groups=3)
    assert told(m) == ("collect-more-data", "too-few-examples")
    assert "more groups of examples" in decide(m).headline
