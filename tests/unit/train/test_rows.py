from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from toy import make_model, make_tokenizer
from tunewise.chat.template import ChatTemplate
from tunewise.errors import DataError
from tunewise.models.base import BaseModel
from tunewise.progress import SilentProgress
from tunewise.records import Example, Message
from tunewise.store.files import read_json
from tunewise.train.fine_tune import TOKENS_FILE, fine_tune
from tunewise.train.rows import check_rows, describe_dropped, encode_row, encode_rows, training_template
from tunewise.train.spec import TrainSpec

DATA = Path("rows.jsonl")
SYSTEM = "Say it in French."
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def example(line: int, question: str = "q", system: str | None = SYSTEM, weight: int = 1) -> Example:
    opening = [] if system is None else [Message("system", system)]
    turns = (*opening, Message("user", question), Message("assistant", "a", weight))
    return Example(f"{line:016x}", turns, line, str(line))


EXAMPLES = [example(line) for line in range(1, 401)]
LONG, UNTRAINED = example(7, "q" * 100), example(3, weight=0)


@pytest.fixture
def template() -> ChatTemplate:
    return training_template(make_tokenizer())


class Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def systems(template: ChatTemplate, examples: list[Example], spec: TrainSpec, **options: str) -> list[bool]:
    rows = encode_rows(template, examples, spec, DATA, **options).rows
    return ["system" in template.tokenizer.decode(row.ids) for row in rows]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_as_many_examples_as_asked_for_keep_their_instruction(template: ChatTemplate, share: float) -> None:
    side = encode_rows(template, EXAMPLES, TrainSpec(instruction_share=share), DATA)
    kept = systems(template, EXAMPLES, TrainSpec(instruction_share=share))
    assert side.num_instructed == sum(kept)
    assert sum(kept) == pytest.approx(400 * share, abs=30 if 0 < share < 1 else 0)


def test_which_ones_depends_on_the_seed_and_on_no_other_row(template: ChatTemplate) -> None:
    spec = TrainSpec(instruction_share=0.5)
    kept = systems(template, EXAMPLES, spec)
    assert systems(template, EXAMPLES[100:], spec) == kept[100:]
    assert systems(template, EXAMPLES, spec.model_copy(update={"seed": 1})) != kept


def test_the_row_s_own_instruction_goes_before_the_run_s(template: ChatTemplate) -> None:
    spec = TrainSpec(instruction_share=1.0)
    examples = [example(1), example(2, system=None)]
    own, given = encode_rows(template, examples, spec, DATA, "Be brief.").rows
    assert own == encode_row(template, examples[0], SYSTEM)
    assert given == encode_row(template, examples[1], "Be brief.")


def test_without_any_instruction_nothing_changes(template: ChatTemplate) -> None:
    examples = [example(line, system=None) for line in range(9)]
    with_share, without = (
        encode_rows(template, examples, TrainSpec(instruction_share=share), DATA) for share in (1.0, 0.0)
    )
    assert with_share == without


def test_a_row_that_fits_only_without_its_instruction_is_trained_without(template: ChatTemplate) -> None:
    plain = encode_row(template, example(1))
    spec = TrainSpec(instruction_share=1.0, max_tokens=len(plain.ids))
    assert encode_rows(template, [example(1)], spec, DATA).rows == (plain,)


def test_a_template_that_takes_no_system_message_trains_all_rows_without() -> None:
    template = training_template(make_tokenizer_of(NO_SYSTEM))
    side = encode_rows(template, EXAMPLES[:5], TrainSpec(instruction_share=1.0), DATA)
    assert (len(side.rows), side.num_instructed) == (5, 0)


def make_tokenizer_of(source: str):
    tokenizer = make_tokenizer()
    tokenizer.chat_template = source
    return tokenizer


def test_unusable_rows_are_refused_by_the_first_line_and_their_number(template: ChatTemplate) -> None:
    with pytest.raises(DataError) as caught:
        encode_rows(template, [EXAMPLES[0], LONG, UNTRAINED], TrainSpec(max_tokens=60), DATA)
    assert caught.value.line == 3
    assert "no answer of it has weight 1" in str(caught.value)
    assert "the first of 2 of 3 rows that cannot be trained on" in str(caught.value)
    with pytest.raises(DataError, match=r"rows\.jsonl:7: this conversation has .* than the 60") as caught:
        encode_rows(template, [EXAMPLES[0], LONG], TrainSpec(max_tokens=60), DATA)
    assert "the first of" not in str(caught.value)


def test_a_row_that_the_template_refuses_or_never_ends_is_named_by_its_line() -> None:
    refusing = NO_SYSTEM.replace("m['role'] == 'system'", "m['content'] == 'rude'")
    refusing = refusing.replace("no system", "rude")
    endless = NO_SYSTEM.replace("<|im_end|>", "")
    for source, told in ((refusing, "refuses this conversation: rude"), (endless, "no end-of-turn token")):
        template = training_template(make_tokenizer_of(source))
        with pytest.raises(DataError, match=told) as caught:
            encode_rows(template, [example(5, "rude")], TrainSpec(), DATA)
        assert caught.value.line == 5


def test_unusable_rows_are_dropped_where_that_is_asked_for(template: ChatTemplate) -> None:
    spec = TrainSpec(max_tokens=60, unusable_rows="drop")
    side = encode_rows(template, [LONG, EXAMPLES[0], UNTRAINED], spec, DATA)
    assert side.examples == (EXAMPLES[0],)
    assert len(side.rows) == 1
    assert side.dropped_lines == (3, 7)
    with pytest.raises(DataError, match="the first of 2 of 2"):
        encode_rows(template, [LONG, UNTRAINED], spec, DATA)
    assert describe_dropped((3, 7)).endswith("2, on the lines 3, 7")
    assert describe_dropped(range(1, 30)).endswith("29, on the lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...")


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    folder = tmp_path / "base"
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return BaseModel("toy", str(folder), folder)


def test_unusable_rows_are_refused_before_anything_else_is_done(base: BaseModel) -> None:
    spec = TrainSpec(max_tokens=60)
    with pytest.raises(DataError, match="the first of 2 of 5"):
        check_rows(base, [*EXAMPLES[:2], LONG], [EXAMPLES[9], UNTRAINED], spec, DATA)
    drop = spec.model_copy(update={"unusable_rows": "drop"})
    check_rows(base, [*EXAMPLES[:2], LONG], [EXAMPLES[9], UNTRAINED], drop, DATA)
    with pytest.raises(DataError):
        check_rows(base, EXAMPLES[:2], [UNTRAINED], drop, DATA)


def test_training_says_what_it_dropped_and_validates_as_it_will_be_asked(
    base: BaseModel, tmp_path: Path
) -> None:
    spec = TrainSpec(
        rank=2, epochs=1, batch_size=4, max_tokens=60, unusable_rows="drop", instruction_share=1.0
    )
    out, said = tmp_path / "out", Said()
    out.mkdir()
    validation = [replace(UNTRAINED, line=30), *EXAMPLES[20:23]]
    summary = fine_tune(base, [*EXAMPLES[8:12], LONG], validation, spec, out, DATA, said)
    assert (summary.examples, summary.validation_examples) == (4, 3)
    assert summary.instructed_examples == 4
    assert summary.dropped_lines == [7, 30]
    assert "  rows that cannot be trained on are left out: 2, on the lines 7, 30" in said.lines
    recorded = read_json(out / TOKENS_FILE)["rows"]
    template = training_template(make_tokenizer())
    assert [row["example_id"] for row in recorded] == [e.id for e in EXAMPLES[20:23]]
    assert all(row["ids"] == encode_row(template, EXAMPLES[20]).ids for row in recorded)


def test_a_system_message_that_is_input_is_trained_on_in_every_row(template: ChatTemplate) -> None:
    rows = [replace(row, own_system=True) for row in EXAMPLES]
    assert all(systems(template, rows, TrainSpec(instruction_share=0)))
    texts = {
        template.tokenizer.decode(row.ids).count(SYSTEM)
        for row in encode_rows(template, rows, TrainSpec(instruction_share=0.5), DATA, "Be brief.").rows
    }
    assert texts == {1}
