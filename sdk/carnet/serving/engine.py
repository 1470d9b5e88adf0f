"""Engines on a metadata database, and errors that say what is wrong with it.

SQLite runs in WAL with full synchronisation and begins explicitly (``BEGIN IMMEDIATE`` to write): left to
itself, the driver commits where a savepoint is released. Knows no tables and no threads.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from carnet.errors import CarnetError, InvalidInputError, StorageFullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_TIMEOUT_MS = 10_000


def resolve_database_url(url: str, folder: Path) -> str:
    """Return a database URL whose SQLite path, if relative, starts at a folder.

    Args:
        url: An SQLAlchemy URL such as ``sqlite:///data/registry.db``.
        folder: What a relative path is relative to.

    Raises:
        InvalidInputError: The URL is malformed, or of a database that is not supported.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInputError(
            "database: not a URL such as sqlite:///data/registry.db", metadata={"field": "database"}
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise InvalidInputError(
            f"database: {parsed.drivername} is not supported; use sqlite:///PATH",
            metadata={"field": "database"},
        )
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInputError("database: a file is needed: sqlite:///PATH", metadata={"field": "database"})
    return parsed.set(database=str(folder / parsed.database)).render_as_string(hide_password=False)


def open_engine(url: str, *, connections: int, read_only: bool = False) -> Engine:
    """Open an engine.

    Args:
        url: An SQLAlchemy URL; of SQLite with an absolute path, whose folder is made if need be.
        connections: How many connections at most.
        read_only: Whether they refuse to change anything.

    Raises:
        InvalidInputError: The URL is malformed, or its driver is not installed.
        UnavailableError: The database's folder cannot be made.
    """
    try:
        engine = create_engine(url, pool_size=connections, max_overflow=0)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise InvalidInputError(f"database: the URL cannot be used: {error}") from error
    if engine.dialect.name == "sqlite":
        _make_folder(engine)
        _configure_sqlite(engine, read_only=read_only)
    return engine


def _make_folder(engine: Engine) -> None:
    try:
        Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"the database's folder cannot be made: {error}") from error


def _configure_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


@contextlib.contextmanager
def typed_database_errors() -> Iterator[None]:
    """Turn the database's own errors into Carnet's within a block.

    Raises:
        StorageFullError: The disk is full.
        UnavailableError: The database cannot be reached, is locked, or failed otherwise.
    """
    try:
        yield
    except CarnetError:
        raise
    except DBAPIError as error:
        cause = str(error.orig)
        if "disk is full" in cause or "No space left" in cause:
            raise StorageFullError(
                "the disk of the metadata database is full: nothing was stored; free some room and try again"
            ) from error
        raise UnavailableError(f"the metadata database failed: {cause.splitlines()[0][:200]}") from error
    except SQLAlchemyError as error:
        raise UnavailableError(f"the metadata database failed: {type(error).__name__}") from error
