"""A registry's connections to its metadata database.

Responsible for the two engines of a process: one connection that writes, used by the writer thread alone,
and a few that only read, used by a small pool of threads. Knows no tables.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from carnet.serving.engine import may_be_repeated, open_engine, typed_database_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

READER_THREADS = 4

Result = TypeVar("Result")


class Database:
    """One process's connections to its environment's database.

    Args:
        url: A URL that was resolved.

    Raises:
        InvalidInputError: The URL is malformed, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.writer_engine = open_engine(url, connections=1)
        self.reader_engine = open_engine(url, connections=READER_THREADS, read_only=True)
        self._readers = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="database-reader")

    def read_now(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query in this thread, in one read-only transaction.

        Args:
            query: Takes the connection and returns plain values, never rows that are still open.

        Returns:
            What the query returned.

        Raises:
            InvalidInputError: A value that was asked for is none that the database can have.
            UnavailableError: The database failed.
        """
        with typed_database_errors():
            try:
                return self._read_once(query)
            except DBAPIError as error:
                if not may_be_repeated(error):
                    raise
            # The connection was lost in the middle. It is one of several of that age; a fresh one says more.
            self.reader_engine.dispose()
            return self._read_once(query)

    def _read_once(self, query: Callable[[Connection], Result]) -> Result:
        with self.reader_engine.begin() as connection:
            return query(connection)

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query on a reader thread, in one read-only transaction; see ``read_now``."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, query)

    def flush_deleted(self) -> bool:
        """Have what was deleted or overwritten leave the database's files, where that can be asked for.

        Of SQLite, whose connections overwrite what they delete (``secure_delete``), that is a checkpoint of
        the write-ahead log, which empties it. PostgreSQL keeps dead rows until they are vacuumed and their
        room is used again, and its write-ahead log for as long as it is configured to.

        Returns:
            Whether nothing is left to be done here; False where a reader was in the way for ten seconds.

        Raises:
            UnavailableError: The database failed.
        """
        if self.reader_engine.dialect.name != "sqlite":
            return True
        with typed_database_errors():
            # A checkpoint is made outside of any transaction; a reader's connection may make one.
            connection = self.reader_engine.raw_connection()
            try:
                (busy, _, _) = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
        return not busy

    def close(self) -> None:
        """Close every connection."""
        self._readers.shutdown(wait=True)
        self.writer_engine.dispose()
        self.reader_engine.dispose()
