"""The database that is moved: held still, and read in one snapshot.

While a source is held, a service that still runs on it can read and not write: its writes wait, and fail
with UNAVAILABLE after ten seconds. So nothing is written behind the move's back and lost.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text

from carnet.errors import InvalidInputError
from carnet.serving.engine import open_engine
from carnet.serving.moving.ends import Side, errors_of
from carnet.serving.moving.looking import database_file, look_at
from carnet.serving.moving.schemas import MovableSchema, recognise
from carnet.serving.schema import known_revisions, schema_revision

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Engine


@dataclass(frozen=True)
class Source:
    """A database that is held still.

    Attributes:
        url: Its URL.
        schema: Whose it is.
        revision: Its schema's revision, the newest.
        side: The transaction that holds it.
    """

    url: str
    schema: MovableSchema
    revision: str
    side: Side


@contextlib.contextmanager
def hold_source(url: str, schemas: Collection[MovableSchema], *, label: str) -> Iterator[Source]:
    """Hold a database still within a block.

    Args:
        url: A URL that was resolved.
        schemas: Those that it may have.
        label: What it is called in errors.

    Yields:
        The source.

    Raises:
        InvalidInputError: It is not there, has no schema of ours, or an older or newer one than this version
            has.
        UnavailableError: It cannot be reached, or a service was writing to it for too long.
    """
    with errors_of(label):
        schema, revision = _require_movable(url, schemas)
        engine = open_engine(url, connections=1)
    try:
        with _held(engine, schema, label) as connection:
            with errors_of(label):
                if schema_revision(connection) != revision:
                    raise InvalidInputError("its schema has changed just now: stop its service first")
            yield Source(url, schema, revision, Side(label, connection))
    finally:
        engine.dispose()


def _require_movable(url: str, schemas: Collection[MovableSchema]) -> tuple[MovableSchema, str]:
    path = database_file(url)
    if path is not None and not path.is_file():
        raise InvalidInputError(f"there is no file {path}")
    look = look_at(url, label="database")
    if look.unfinished is not None:
        raise InvalidInputError(
            f"a move into it from {look.unfinished.source} was not finished: finish it, or move from there"
        )
    schema = recognise(schemas, look.tables)
    newest, *older = known_revisions(schema.steps)
    if look.revision in older:
        raise InvalidInputError(
            f"its schema is {look.revision}, and this version of Carnet has {newest}: start its "
            f"{schema.name} once with this version, stop it, and try again"
        )
    if look.revision != newest:
        raise InvalidInputError(
            f"its schema is {look.revision!r}, which this version of Carnet does not know: use the version "
            "that made it, or a newer one"
        )
    return schema, newest


@contextlib.contextmanager
def _held(engine: Engine, schema: MovableSchema, label: str) -> Iterator[Connection]:
    """Begin the transaction that holds a source; at the end it is undone, since it changed nothing."""
    with contextlib.ExitStack() as held:
        with errors_of(label):
            connection = held.enter_context(engine.connect())
            if engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            connection.begin()  # on SQLite BEGIN IMMEDIATE, which takes the lock of who writes
            if engine.dialect.name == "postgresql":
                without_timeouts(connection)
                # Before the first SELECT, at which the snapshot is taken.
                names = ", ".join(
                    engine.dialect.identifier_preparer.format_table(table) for table in schema.in_order()
                )
                connection.execute(text(f"LOCK TABLE {names} IN SHARE MODE"))
        yield connection


def without_timeouts(connection: Connection) -> None:
    """Let a transaction on PostgreSQL last as long as it must; waiting for a lock still ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
