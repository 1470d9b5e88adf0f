"""The promotion service's database: SQLite by default, PostgreSQL by URL.

Responsible for engines, transactions and threads: calls never run on the event loop, and every change is one
transaction. SQLite is in WAL mode with full sync, and a change begins with ``BEGIN IMMEDIATE``, so that what
it read cannot move before it writes. Does not know any table.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from carnet.serving.engine import open_engine, typed_database_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

T = TypeVar("T")

_READERS = 3


class Database:
    """One process's way to the database.

    Args:
        url: An SQLAlchemy URL; for SQLite with an absolute path.

    Raises:
        InvalidInputError: The URL is malformed, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._write_engine = open_engine(url, connections=1)
        self._read_engine = open_engine(url, connections=_READERS, read_only=True)
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
        with typed_database_errors(), engine.begin() as connection:
            return function(connection)

    return await asyncio.get_running_loop().run_in_executor(pool, run)
