from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tunewise.errors import ModelNotFoundError, ModelUnavailableError, RunNotFoundError, TunewiseError
from tunewise.records import ModelRecord, RunRecord
from tunewise.store import migrations
from tunewise.store.registry import Registry, model_folder, schema

PRICES = ModelRecord(
    id="ft:smollm2-135m-instruct:local:prices:4fj2x9",
    base="embedded",
    path="/models/prices",
    state="candidate",
    state_reason="not decided yet",
    run="/runs/prices",
    created_at=1_700_000_000,
    metrics={"exact_match": 0.92, "loss": 0.1},
)
RUN = RunRecord("/runs/prices", "prices.jsonl", "embedded", 7, "running", 1_700_000_000)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "not" / "there yet, 100%" / "tunewise.db")


def test_records_come_back_as_they_were(registry: Registry) -> None:
    registry.add_model(PRICES)
    registry.add_run(RUN)
    again = Registry(registry.path)
    assert again.model(PRICES.id) == PRICES
    assert again.run(RUN.path) == RUN


def test_lists_are_newest_first_and_by_state(registry: Registry) -> None:
    older = replace(PRICES, id="ft:b:o:older:1", created_at=1)
    same_second = replace(PRICES, id="ft:b:o:later:2", state="deployed")
    for record in (PRICES, older, same_second):
        registry.add_model(record)
    assert registry.models() == [same_second, PRICES, older]
    assert registry.models("deployed") == [same_second]
    assert registry.models("rejected") == []
    first, second = RUN, replace(RUN, path="/runs/second")
    registry.add_run(first)
    registry.add_run(second)
    assert registry.runs() == [second, first]


def test_a_model_trained_again_replaces_the_first(registry: Registry) -> None:
    registry.add_model(PRICES)
    again = replace(PRICES, created_at=PRICES.created_at + 60, metrics={})
    registry.add_model(again)
    assert registry.models() == [again]


def test_a_state_is_kept_with_its_reason(registry: Registry) -> None:
    registry.add_model(PRICES)
    registry.set_model_state(PRICES.id, "rejected", "few-shot does as well")
    assert registry.model(PRICES.id) == replace(
        PRICES, state="rejected", state_reason="few-shot does as well"
    )


def test_an_unknown_model_is_named_with_those_near_it(registry: Registry) -> None:
    registry.add_model(PRICES)
    wrong = PRICES.id.replace("prices", "price")
    with pytest.raises(ModelNotFoundError, match=f"{wrong}.*{PRICES.id}.*models list"):
        registry.model(wrong)
    with pytest.raises(ModelNotFoundError, match="'nothing like it' is registered;"):
        registry.set_model_state("nothing like it", "deployed", "")


def test_a_run_is_kept_up_to_date(registry: Registry) -> None:
    with pytest.raises(RunNotFoundError, match="/runs/prices"):
        registry.update_run(RUN)
    registry.add_run(RUN)
    done = replace(RUN, status="done", finished_at=1_700_000_060, recommendation="fine-tune", model=PRICES.id)
    registry.update_run(done)
    assert registry.runs() == [done]
    registry.add_run(RUN)
    assert registry.runs() == [RUN]


def test_a_run_is_found_by_its_folder_however_it_is_named(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry.add_run(replace(RUN, path="runs/prices"))
    for name in ("prices", "runs/prices", "./runs/../runs/prices", str(tmp_path / "runs" / "prices")):
        assert registry.run(name).path == str(tmp_path.resolve() / "runs" / "prices")
    with pytest.raises(RunNotFoundError, match="near it: prices"):
        registry.run("price")


def test_an_ambiguous_run_is_refused_with_the_choices(registry: Registry) -> None:
    registry.add_run(RUN)
    registry.add_run(replace(RUN, path="/elsewhere/prices"))
    with pytest.raises(RunNotFoundError, match="/elsewhere/prices, /runs/prices"):
        registry.run("prices")
    assert registry.run("/runs/prices") == RUN


def test_a_model_without_its_folder_is_unavailable(tmp_path: Path) -> None:
    assert model_folder(replace(PRICES, path=str(tmp_path))) == tmp_path
    with pytest.raises(ModelUnavailableError, match="/models/prices is gone"):
        model_folder(PRICES)


def test_processes_share_one_file_from_the_first_moment(tmp_path: Path) -> None:
    path = tmp_path / "tunewise.db"
    script = (
        "import sys; from pathlib import Path; from tunewise.store.registry import *\n"
        "registry = Registry(Path(sys.argv[1]))\n"
        "for n in range(10):\n"
        "    registry.add_run(RunRecord(f'/runs/{sys.argv[2]}-{n}', 'd', 'b', 0, 'done', n))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(path), str(n)]) for n in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(Registry(path).runs()) == 30


def test_migrations_end_in_the_tables_that_the_code_uses(registry: Registry) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.FOLDER).replace("%", "%%"))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD
    engine = sa.create_engine(f"sqlite:///{registry.path}", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema) == []


def test_a_file_of_a_newer_tunewise_is_left_alone(registry: Registry) -> None:
    registry.add_model(PRICES)
    connection = sqlite3.connect(registry.path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(TunewiseError, match=r"newer tunewise .*'9999'.*upgrade tunewise"):
        Registry(registry.path)


def test_a_file_that_is_no_registry_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("these are my notes, " * 100)
    for path in (text, tmp_path, text / "below a file"):
        with pytest.raises(TunewiseError, match="cannot be used as the registry"):
            Registry(path)
    assert text.read_text().startswith("these are my notes")
