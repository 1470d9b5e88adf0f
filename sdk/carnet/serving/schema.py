"""Bringing a database's schema up to date, step by step.

Alembic is imported here only, and only at start. All steps are made in one transaction; on PostgreSQL of
several processes that start together one makes them and the others wait. No service starts on a database
into which another is being moved (``carnet.serving.moving``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text

from carnet.errors import InvalidInputError
from carnet.serving.engine import open_engine, require_usable, typed_database_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from alembic.config import Config
    from sqlalchemy import Connection, MetaData

# Any number that nobody else locks; the lock goes with the transaction.
_LOCK = 0x6361726E6574

UNFINISHED_MOVE = "unfinished_move"
"""The table that a database has while another is moved into it."""


def refuse_unfinished_move(connection: Connection) -> None:
    """Insist that no move into a database was left in the middle.

    Args:
        connection: The database.

    Raises:
        InvalidInputError: One was.
    """
    if inspect(connection).has_table(UNFINISHED_MOVE):
        raise InvalidInputError(
            "database: a move into this database was not finished: run `carnet migrate` again, or drop it",
            metadata={"field": "database"},
        )


def upgrade_schema(
    url: str, steps: Path, *, prepare: Callable[[Connection], None] = refuse_unfinished_move
) -> None:
    """Bring a database to the newest schema, from nothing or from any earlier one.

    Args:
        url: A database URL that was resolved.
        steps: Alembic's folder: ``env.py``, which calls `run_steps`, and ``versions/``.
        prepare: Called first, in the same transaction; what it raises leaves the database as it was.

    Raises:
        InvalidInputError: The server refused us, a move into the database was not finished, or the schema is
            one that this version does not know.
        UnavailableError: The database cannot be reached or written.
        StorageFullError: Its disk is full.
    """
    from alembic import command  # noqa: PLC0415  slow to import, needed at start only

    config = _configure(steps)
    engine = open_engine(url, connections=1)
    try:
        require_usable(engine)
        with typed_database_errors(), engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            prepare(connection)
            _require_known(connection, steps)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _configure(steps: Path) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(steps).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def known_revisions(steps: Path) -> list[str]:
    """List every schema that there was, the newest first.

    Args:
        steps: Alembic's folder.
    """
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return [step.revision for step in ScriptDirectory.from_config(_configure(steps)).walk_revisions()]


def schema_revision(connection: Connection) -> str | None:
    """Read which schema a database has; None for one that has none of ours.

    Args:
        connection: The database.
    """
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    return MigrationContext.configure(connection).get_current_revision()


def _require_known(connection: Connection, steps: Path) -> None:
    found = schema_revision(connection)
    if found is not None and found not in known_revisions(steps):
        raise InvalidInputError(
            f"database: its schema is {found!r}, which this version of Carnet does not know: run the version "
            "that made it, or a newer one, or name another database",
            metadata={"field": "database"},
        )


def run_steps(context: Any, tables: MetaData) -> None:
    """Run Alembic's steps on the connection that `upgrade_schema` handed over; for ``env.py``.

    Args:
        context: ``alembic.context``.
        tables: The tables as they are to be, for whoever compares.
    """
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=tables,
        render_as_batch=True,
        transactional_ddl=False,
    )
    context.run_migrations()
