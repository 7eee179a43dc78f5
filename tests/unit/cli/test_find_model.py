"""A model is found by the short forms of its id, as far as they settle which one is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewise.cli.models import find_model
from tunewise.errors import ModelNotFoundError
from tunewise.records import ModelRecord
from tunewise.store.registry import Registry


def register(registry: Registry, last: str, state: str) -> ModelRecord:
    record = ModelRecord(f"ft:toy:test:prices:{last}", "toy", f"/{last}", state, "", "/run", 0)  # type: ignore[arg-type]
    registry.add_model(record)
    return record


def test_of_a_runs_two_models_the_suffix_means_the_one_that_is_deployed(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.db")
    plain = register(registry, "aaaaaa", "rejected")
    with_documents = register(registry, "bbbbbb", "deployed")
    assert find_model(registry, "prices") == with_documents
    assert find_model(registry, "aaaaaa") == find_model(registry, plain.id) == plain


@pytest.mark.parametrize("state", ["deployed", "rejected"])
def test_where_the_suffix_settles_nothing_the_ids_are_told(tmp_path: Path, state: str) -> None:
    registry = Registry(tmp_path / "registry.db")
    records = [register(registry, last, state) for last in ("aaaaaa", "bbbbbb")]
    with pytest.raises(ModelNotFoundError, match="several models are called 'prices'") as refused:
        find_model(registry, "prices")
    assert all(record.id in str(refused.value) for record in records)
