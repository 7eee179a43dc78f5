"""Formats in: the user's file, whatever it is, becomes numbered rows as OpenAI's fine-tuning takes them.

Two layers, so that any kind of file may hold any kind of row. A *container* cuts a file into rows, a *shape*
makes a row a conversation. A new format is a class in a file here, with the methods that `base.py` describes,
and its line below. Both lists are asked in order; the first that recognises what it sees takes it.
"""

from __future__ import annotations

from tunewise.data.formats.alpaca import Alpaca
from tunewise.data.formats.base import Container, RowShape
from tunewise.data.formats.chat import Chat
from tunewise.data.formats.delimited import Delimited
from tunewise.data.formats.folder import Folder, HubDataset
from tunewise.data.formats.json_array import JsonArray
from tunewise.data.formats.jsonl import JsonLines
from tunewise.data.formats.parquet import Parquet
from tunewise.data.formats.preference import OpenAIPreference, Preference
from tunewise.data.formats.prompt_completion import PromptCompletion
from tunewise.data.formats.sharegpt import ShareGPT

SHAPES: tuple[RowShape, ...] = (
    Chat(),
    ShareGPT(),
    OpenAIPreference(),
    Preference(),
    PromptCompletion(),
    Alpaca(),
)
FIELDS = frozenset(field for shape in SHAPES for field in shape.fields)
"""All that some shape reads."""

CONTAINERS: tuple[Container, ...] = (
    HubDataset(),
    Folder(),
    Parquet(),
    JsonLines(),
    JsonArray(),
    Delimited("csv", ",;\t", FIELDS),
    Delimited("tsv", "\t", FIELDS),
)
"""Surest first: a name's prefix, a folder, the bytes that a kind of file begins with, the first character of
its text, and last what any text may happen to have: an ending of the name, or a known column."""
