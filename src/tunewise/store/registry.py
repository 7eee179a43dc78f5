"""The registry: which runs there were and which models they left, in one SQLite file per user.

Every stage above writes here through `Registry`; the server and the command line read from it. Several
processes may hold the same file open (write-ahead log, busy timeout), and nothing is cached, so each call
sees what the others have written. Tables change only by a new revision in `migrations/`.
"""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from tunewise.errors import ModelNotFoundError, ModelUnavailableError, RunNotFoundError, TunewiseError
from tunewise.records import ModelRecord, ModelState, RunRecord
from tunewise.store import migrations

BUSY_TIMEOUT_S = 30
"""How long a call waits for another process to finish writing."""

schema = sa.MetaData()

model_table = sa.Table(
    "models",
    schema,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("base", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("state_reason", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("created_at", sa.Integer, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
)

run_table = sa.Table(
    "runs",
    schema,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("base", sa.Text, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", sa.Integer, nullable=False),
    sa.Column("finished_at", sa.Integer),
    sa.Column("recommendation", sa.Text),
    sa.Column("headline", sa.Text),
    sa.Column("model", sa.Text),
)


class Registry:
    """The models and runs recorded in the SQLite file `path`, which is made (parents too) when absent.

    Opening brings an older file up to date. Raises `TunewiseError` where the file cannot be opened, is no
    registry, or was written by a newer tunewise. Safe to share between threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        url = sa.URL.create("sqlite", database=str(path))
        # A connection per call: opening one takes a fraction of a millisecond, and none is left to close.
        self._reader = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})
        # A writer takes its lock at once: a reader turned writer would fail rather than wait its turn.
        self._writer = self._reader.execution_options(begin="BEGIN IMMEDIATE")
        sa.event.listen(self._reader, "connect", _prepare_connection)
        sa.event.listen(self._reader, "begin", _begin)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate()
        except (OSError, DatabaseError) as error:
            reason = error.orig if isinstance(error, DatabaseError) else error.strerror
            raise TunewiseError(f"{path}: cannot be used as the registry: {reason}") from error

    def add_model(self, record: ModelRecord) -> None:
        """Record a model; one with the same id (the same content, trained again) is replaced."""
        record = replace(record, path=_absolute(record.path), run=_absolute(record.run))
        with self._write() as connection:
            connection.execute(sa.delete(model_table).where(model_table.c.id == record.id))
            connection.execute(sa.insert(model_table).values(asdict(record)))

    def model(self, model_id: str) -> ModelRecord:
        """The model with this id. Raises `ModelNotFoundError`, which names the ids that come near."""
        with self._read() as connection:
            row = connection.execute(sa.select(model_table).where(model_table.c.id == model_id)).one_or_none()
        if row is None:
            raise self._model_not_found(model_id)
        return ModelRecord(**row._mapping)

    def models(self, state: ModelState | None = None) -> list[ModelRecord]:
        """All models, or those in one state; newest first."""
        query = sa.select(model_table).order_by(model_table.c.created_at.desc(), sa.text("rowid DESC"))
        if state is not None:
            query = query.where(model_table.c.state == state)
        with self._read() as connection:
            return [ModelRecord(**row._mapping) for row in connection.execute(query)]

    def set_model_state(self, model_id: str, state: ModelState, reason: str) -> None:
        """Move a model to `state`, and record why. Raises `ModelNotFoundError`."""
        change = sa.update(model_table).where(model_table.c.id == model_id)
        with self._write() as connection:
            changed = connection.execute(change.values(state=state, state_reason=reason)).rowcount
        if not changed:
            raise self._model_not_found(model_id)

    def add_run(self, record: RunRecord) -> None:
        """Record a run under its folder's absolute path; a run recorded there before is replaced."""
        record = replace(record, path=_absolute(record.path))
        with self._write() as connection:
            connection.execute(sa.delete(run_table).where(run_table.c.path == record.path))
            connection.execute(sa.insert(run_table).values(asdict(record)))

    def update_run(self, record: RunRecord) -> None:
        """Write what has become of a recorded run. Raises `RunNotFoundError` where there is none."""
        record = replace(record, path=_absolute(record.path))
        change = sa.update(run_table).where(run_table.c.path == record.path)
        with self._write() as connection:
            changed = connection.execute(change.values(asdict(record))).rowcount
        if not changed:
            raise RunNotFoundError(f"no run is recorded in {record.path}: add it first")

    def run(self, name: str) -> RunRecord:
        """The run whose folder is `name`, or whose folder's last component is.

        Raises `RunNotFoundError` where none or several go by this name.
        """
        runs = self.runs()
        path = _absolute(name)
        found = [run for run in runs if run.path == path] or [
            run for run in runs if Path(run.path).name == name
        ]
        if len(found) == 1:
            return found[0]
        if found:
            folders = ", ".join(run.path for run in found)
            raise RunNotFoundError(f"several runs are called {name!r}: give the folder, one of {folders}")
        near = _nearest(name, [Path(run.path).name for run in runs])
        raise RunNotFoundError(f"no run {name!r} is recorded{near}; `tunewise runs list` shows all of them")

    def runs(self) -> list[RunRecord]:
        """All runs, newest first."""
        query = sa.select(run_table).order_by(run_table.c.created_at.desc(), sa.text("rowid DESC"))
        with self._read() as connection:
            return [RunRecord(**row._mapping) for row in connection.execute(query)]

    def _read(self) -> AbstractContextManager[sa.Connection]:
        return self._reader.connect()

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        try:
            with self._writer.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise TunewiseError(f"{self.path}: cannot be written: {error.orig}") from error

    def _model_not_found(self, model_id: str) -> ModelNotFoundError:
        near = _nearest(model_id, [record.id for record in self.models()])
        return ModelNotFoundError(
            f"no model {model_id!r} is registered{near}; `tunewise models list` shows all of them"
        )

    def _migrate(self) -> None:
        """Bring the tables to `migrations.HEAD`; processes that open a new file together take turns."""
        with self._read() as connection:
            version = _version(connection)
        if version == migrations.HEAD:
            return
        # Needed only now and then, and slow to import.
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(migrations.FOLDER).replace("%", "%%"))
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if version is not None and version not in known:
            raise TunewiseError(
                f"{self.path} was written by a newer tunewise (tables {version!r}, known here up to "
                f"{migrations.HEAD!r}): upgrade tunewise, or point TUNEWISE_HOME elsewhere"
            )
        with self._write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def model_folder(record: ModelRecord) -> Path:
    """Where a model's files are. Raises `ModelUnavailableError` where they are no longer."""
    folder = Path(record.path)
    if not folder.is_dir():
        raise ModelUnavailableError(
            f"model {record.id!r} is registered, but its folder {folder} is gone: restore it, or train again"
        )
    return folder


def _prepare_connection(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Leave transactions to `_begin`, as the driver's own leave tables out, and set up the log."""
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL").close()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _version(connection: sa.Connection) -> str | None:
    """The revision that the file's tables are at; None where there are no tables yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _absolute(path: str) -> str:
    return str(Path(path).resolve())


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    return f" (near it: {', '.join(near)})" if near else ""
