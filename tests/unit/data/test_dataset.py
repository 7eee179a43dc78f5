"""Files set aside are taken as they are, and what they hold is not trained on."""

import json

import pytest

from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_examples, split_for_training
from tunewise.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(name, *texts):
        rows = [
            {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": f"a {text}"}]}
            for text in texts
        ]
        file = tmp_path / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return file

    return write


def texts(examples):
    return {example.turns[0].content for example in examples}


VERBS = "jump walk sing read cook dance paint climb swim write plant mend"
ROWS = [f"{verb} {verb}ing" for verb in VERBS.split()]


def test_rows_that_a_given_side_holds_are_left_out_and_named(write):
    data, test = write("data.jsonl", *ROWS), write("test.jsonl", "Walk walking!", "fly flying")
    dataset = read_dataset(data, given={"test": test})

    assert texts(dataset.examples) == set(ROWS) - {"walk walking"}
    assert dataset.leaked_lines == (2,)
    assert dataset.describe().endswith(
        "12 rows, 11 different examples; 1 row left out because the given test file holds their input, a "
        "near duplicate of it or their group (lines 2)"
    )
    split = split_examples(dataset.examples, 0, path=data, given=dataset.given_examples)
    assert texts(split.test.read("checking")) == {"Walk walking!", "fly flying"}
    assert texts([*split.train, *split.validation]) == texts(dataset.examples)
    assert split.validation


def test_rows_that_repeat_another_in_other_spacing_are_left_out_and_counted(tmp_path):
    rows = [{"prompt": text, "completion": f"to {text.split()[0]}"} for text in ROWS]
    copies = [row | {"prompt": f"  {row['prompt'].replace(' ', '  ')} "} for row in rows]
    one_copy, both = tmp_path / "one.jsonl", tmp_path / "both.jsonl"
    one_copy.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    both.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0], *copies]), "utf-8")
    dataset = read_dataset(both)

    assert dataset.examples == read_dataset(one_copy).examples
    assert (dataset.num_rows, dataset.num_duplicates, dataset.num_respaced) == (25, 13, 12)
    assert dataset.describe().endswith(
        "25 rows, 12 different examples; 1 exact duplicate removed; 12 removed that repeat another row in "
        "other spacing"
    )


def test_rows_of_a_given_side_are_named_in_every_spacing(write):
    data = write("data.jsonl", *ROWS, f"{ROWS[0].replace(' ', '  ')}")
    # Its answer says how it is spaced, so it is no repetition but still that input.
    assert read_dataset(data, given={"test": write("test.jsonl", ROWS[0])}).leaked_lines == (1, 13)

    rows = [{"prompt": text, "completion": "a"} for text in [*ROWS, ROWS[0].replace(" ", "  ")]]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert read_dataset(data, given={"test": write("test.jsonl", ROWS[0])}).leaked_lines == (1, 13)


def test_groups_that_share_a_question_in_two_spacings_are_one(tmp_path):
    rows = [{"prompt": text, "completion": "a", "who": f"user {n}"} for n, text in enumerate(ROWS)]
    rows.append({"prompt": ROWS[0].replace(" ", "  "), "completion": "a", "who": "user 1"})
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    first, second, *others = read_dataset(file, "who").examples
    assert first.group == second.group
    assert first.group not in {row.group for row in others}


def test_files_set_aside_keep_rows_that_differ_in_spacing(write):
    data, test = write("data.jsonl", *ROWS), write("test.jsonl", "fly flying", "fly  flying", "fly flying")
    [given] = read_dataset(data, given={"test": test}).given.values()
    assert [example.turns[0].content for example in given.examples] == ["fly flying", "fly  flying"]


def test_near_duplicates_of_a_given_side_are_left_out_through_any_number_of_edits(tmp_path):
    def write(name, *inputs):
        rows = [
            {"prompt": text, "completion": "Zürich" if "parcel" in text else f"to {text}"} for text in inputs
        ]
        file = tmp_path / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return file

    asked = "where is the parcel that I sent to my aunt"
    data = write(
        "data.jsonl", *ROWS, asked, f"please {asked}", f"please {asked} yesterday", "where are my keys"
    )
    dataset = read_dataset(data, given={"test": write("test.jsonl", f"{asked} now")})

    assert dataset.leaked_lines == (13, 14, 15)
    assert texts(dataset.examples) == {*ROWS, "where are my keys"}


def test_rows_of_a_group_that_a_given_side_holds_are_left_out(tmp_path):
    def write(name, first, last):
        file = tmp_path / name
        rows = [
            {"prompt": f"{verb} {verb}ing", "completion": verb, "customer": number // 2}
            for number, verb in enumerate(VERBS.split())
        ]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows[first:last]), "utf-8")
        return file

    data, test = write("data.jsonl", 0, 11), write("test.jsonl", 11, 12)
    assert read_dataset(data, given={"test": test}).leaked_lines == ()
    assert read_dataset(data, "customer", given={"test": test}).leaked_lines == (11,)


def test_two_given_sides_leave_all_the_rest_for_training(write):
    files = {
        "validation": write("validation.jsonl", "fly flying"),
        "test": write("test.jsonl", "win winning"),
    }
    data = write("data.jsonl", *ROWS)
    dataset = read_dataset(data, given=files)
    split = split_examples(dataset.examples, 0, path=data, given=dataset.given_examples)
    assert texts(split.train) == set(ROWS)
    assert texts(split.validation) == {"fly flying"}
    alone = read_dataset(data, given={"validation": files["validation"]})
    assert (
        split_for_training(alone.examples, 0, path=data, given=alone.given_examples).validation
        == (alone.given_examples["validation"])
    )


def test_given_sides_that_share_a_row_are_refused_by_its_line(write):
    files = {
        "validation": write("v.jsonl", "a b", "fly flying"),
        "test": write("t.jsonl", "x y", "z", "Fly flying"),
    }
    with pytest.raises(DataError, match=r"t\.jsonl:3: its input stands in .*v\.jsonl:2, too"):
        read_dataset(write("data.jsonl", *ROWS), given=files)


def test_a_file_that_holds_nothing_but_the_test_is_refused(write):
    data = write("data.jsonl", *ROWS)
    with pytest.raises(DataError, match="every row of it stands in the given test file, too"):
        read_dataset(data, given={"test": data})
