"""The promotion service's database: SQLite by default, PostgreSQL by URL.

Responsible for engines, transactions and threads: calls never run on the event loop, and every change is one
transaction. SQLite is in WAL mode with full sync, and a change begins with ``BEGIN IMMEDIATE``, so that what
it read cannot move before it writes. Does not know any table.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from carnet.errors import DocumentInvalidError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

T = TypeVar("T")

_READERS = 3
_BUSY_MILLISECONDS = 10_000


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Open an engine on the database.

    Args:
        url: An SQLAlchemy URL; for SQLite with an absolute path.
        read_only: Whether the connections refuse to change anything (SQLite only).

    Raises:
        DocumentInvalidError: The URL is malformed, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise DocumentInvalidError(f"the database URL cannot be used: {error}") from error
    if parsed.get_backend_name() == "sqlite":
        _prepare_sqlite(engine, read_only=read_only)
    return engine


def _prepare_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver's own transactions would commit behind SQLAlchemy's back.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


class Database:
    """One process's way to the database.

    Args:
        url: An SQLAlchemy URL; for SQLite with an absolute path.

    Raises:
        DocumentInvalidError: The URL is malformed, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._write_engine = open_engine(url)
        self._read_engine = open_engine(url, read_only=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-reader")

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Make a change in one transaction, on the writer's thread.

        Args:
            change: A quick function of the database only; what it raises undoes the transaction.

        Returns:
            What the change returns, once it is durable.

        Raises:
            UnavailableError: The database cannot be reached or is locked for too long.
        """
        return await _in(self._writer, self._write_engine, change)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Read in one transaction, on a reader's thread.

        Args:
            query: A quick function of the database only.

        Returns:
            What the query returns.

        Raises:
            UnavailableError: The database cannot be reached.
        """
        return await _in(self._readers, self._read_engine, query)

    def close(self) -> None:
        """Wait for calls under way and close all connections."""
        for pool in (self._writer, self._readers):
            pool.shutdown(wait=True)
        for engine in (self._write_engine, self._read_engine):
            engine.dispose()


async def _in(pool: ThreadPoolExecutor, engine: Engine, function: Callable[[Connection], T]) -> T:
    def run() -> T:
        with engine.begin() as connection:
            return function(connection)

    try:
        return await asyncio.get_running_loop().run_in_executor(pool, run)
    except SQLAlchemyError as error:
        raise UnavailableError(
            f"the promotion service's database cannot be used: {error.__cause__ or type(error).__name__}"
        ) from error
