"""The promotion service's database: SQLite by default, PostgreSQL by URL.

Responsible for engines, transactions and threads: calls never run on the event loop, and every change is one
transaction. What a change read cannot move before it writes: on SQLite it begins with ``BEGIN IMMEDIATE``, on
PostgreSQL it is serializable, and made again where another came in between. Does not know any table.
"""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from carnet.serving.engine import may_be_repeated, open_engine, typed_database_errors, was_undone

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

T = TypeVar("T")

_READERS = 3
_ATTEMPTS = 6
_RETRY_SECONDS = 0.01


class Database:
    """One process's way to the database.

    Args:
        url: A URL that was resolved.

    Raises:
        InvalidInputError: The URL is malformed, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._write_engine = open_engine(url, connections=1, isolation="SERIALIZABLE")
        self._read_engine = open_engine(url, connections=_READERS, read_only=True)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="database-reader")

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Make a change in one transaction, on the writer's thread.

        Args:
            change: A quick function of the database only, called again where the database undid it; what it
                raises undoes the transaction.

        Returns:
            What the change returns, once it is durable.

        Raises:
            ConflictError: Others changed the same things at the same time, again and again.
            UnavailableError: The database cannot be reached or is locked for too long. Where the connection
                was lost at the commit, the change may have been made.
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
        with typed_database_errors():
            for attempt in range(1, _ATTEMPTS):
                try:
                    return _run_once(engine, function)
                except _NotRepeatableError as error:
                    raise error.cause from error
                except DBAPIError as error:
                    if not may_be_repeated(error):
                        raise
                time.sleep(random.uniform(0.5, 1.0) * _RETRY_SECONDS * 2**attempt)  # noqa: S311  no secret
            return _run_once(engine, function)

    return await asyncio.get_running_loop().run_in_executor(pool, run)


def _run_once(engine: Engine, function: Callable[[Connection], T]) -> T:
    with engine.connect() as connection:
        transaction = connection.begin()
        result = function(connection)
        try:
            transaction.commit()
        except DBAPIError as error:
            if was_undone(error):
                raise
            raise _NotRepeatableError(error) from error
        return result


class _NotRepeatableError(Exception):
    """A commit got no answer: whether it was made is not known."""

    def __init__(self, cause: DBAPIError) -> None:
        super().__init__(str(cause))
        self.cause = cause
