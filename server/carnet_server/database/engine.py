"""Connections to the metadata database.

Responsible for the two engines of a process: one connection that writes, used by the writer thread alone,
and a few that only read, used by a small pool of threads. SQLite runs in WAL with full synchronisation, and
begins explicitly (``BEGIN IMMEDIATE``): left to itself, pysqlite commits where a savepoint is released.
Knows no tables.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from carnet.errors import CarnetError, InvalidInputError, StorageFullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

READER_THREADS = 4
BUSY_TIMEOUT_MS = 10_000

Result = TypeVar("Result")


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
            f"database: {parsed.drivername} is not supported here; use sqlite:///PATH",
            metadata={"field": "database"},
        )
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInputError("database: a file is needed: sqlite:///PATH", metadata={"field": "database"})
    path = folder / parsed.database
    path.parent.mkdir(parents=True, exist_ok=True)
    return parsed.set(database=str(path)).render_as_string(hide_password=False)


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


def _configure_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


class Database:
    """One process's connections to its environment's database.

    Args:
        url: An SQLAlchemy URL; SQLite paths are absolute.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.writer_engine = create_engine(url, pool_size=1, max_overflow=0)
        self.reader_engine = create_engine(url, pool_size=READER_THREADS, max_overflow=0)
        if self.writer_engine.dialect.name == "sqlite":
            _configure_sqlite(self.writer_engine, read_only=False)
            _configure_sqlite(self.reader_engine, read_only=True)
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="database-reader")

    def read_now(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query in this thread, in one read-only transaction.

        Args:
            query: Takes the connection and returns plain values, never rows that are still open.

        Returns:
            What the query returned.

        Raises:
            UnavailableError: The database failed.
        """
        with typed_database_errors(), self.reader_engine.begin() as connection:
            return query(connection)

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query on a reader thread, in one read-only transaction; see ``read_now``."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, query)

    def close(self) -> None:
        """Close every connection."""
        self._readers.shutdown(wait=True)
        self.writer_engine.dispose()
        self.reader_engine.dispose()
