"""What the options that say how to read a file may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tunewise.data.reading import Reading, parse_reading
from tunewise.errors import SpecError
from tunewise.run_spec import TuneSpec


def test_nothing_is_said_by_default() -> None:
    assert parse_reading() == Reading()


def test_options_name_a_file_and_its_rows() -> None:
    reading = parse_reading("csv, alpaca", "question=instruction, a = b=output", "latin-1")
    assert reading.format == ("csv", "alpaca")
    assert reading.columns == {"question": "instruction", "a = b": "output"}
    assert reading.encoding == "latin-1"


BAD_OPTIONS = {
    "--format: there is no format 'xml': choose from hub, folder, parquet, jsonl": {"format": "xml"},
    "--format: a file cannot be both csv and json: choose one": {"format": "csv,json"},
    "--format: a file cannot be both chat and alpaca": {"format": "chat,csv,alpaca"},
    "--columns has 'question': give each column once, as in question=prompt": {"columns": "question"},
    "--columns has '=prompt'": {"columns": "=prompt"},
    "--columns has 'a=completion'": {"columns": "a=prompt,a=completion"},
    "--columns: no field is called 'question' (the file's own name comes first: question=prompt)": {
        "columns": "prompt=question"
    },
    "--columns: no field is called 'b': use chosen, completion": {"columns": "a=b"},
    "--columns: two columns cannot both be 'prompt'": {"columns": "a=prompt,b=prompt"},
    "--encoding: there is no encoding 'klingon': try latin-1": {"encoding": "klingon"},
    "no encoding 'base64'": {"encoding": "base64"},
    "no encoding 'unicode_escape'": {"encoding": "unicode_escape"},
    "no encoding 'a\\x00b'": {"encoding": "a\0b"},
}


@pytest.mark.parametrize(("told", "options"), BAD_OPTIONS.items(), ids=BAD_OPTIONS.keys())
def test_an_option_that_makes_no_sense_is_told(told: str, options: dict[str, str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_reading(**options)
    assert told in str(caught.value)


def test_a_reading_is_checked_however_it_is_made() -> None:
    with pytest.raises(ValidationError):
        Reading.model_validate({"format": ["xml"]})


def test_a_spec_keeps_how_its_data_are_read() -> None:
    spec = TuneSpec(data=Path("x.csv"), reading=parse_reading("csv", "q=prompt,a=completion"))
    assert TuneSpec.model_validate_json(spec.model_dump_json()) == spec
