"""Taking away what nobody needs: abandoned uploads, unnamed possessions, stored files that nobody has.

Responsible for never taking a blob that some namespace has. The argument, in three steps:

1. A possession goes in a change of its own, which looks once more whether a version names the blob. A version
   is published in a change that looks whether the blob is possessed. Changes run one after another, so one of
   the two sees the other.
2. A file goes in a *later* change, after that commit is durable, and only if that change sees no possession.
3. A possession is noted in a change that looks whether the file is there. So it either comes before step 2,
   which then sees it, or after, and then it finds no file, fails, and the writer of the blob writes it again.

A database that rolls a batch back can undo step 1 but never leaves a possession whose file step 2 took, since
step 2 never acts on what its own batch did. Files that were stored while the process died, before anybody was
given them, go by step 2 alone.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from carnet_server.blobs import queries
from carnet_server.blobs.domain import Collected

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_server.blobs.store import DirectoryStore
    from carnet_server.database.engine import Database
    from carnet_server.log.writer import Transaction, Writer

ABANDONED_AFTER = timedelta(hours=24)
GRACE = timedelta(hours=24)
AT_ONCE = 100


class Collector:
    """Collects; one collection at a time.

    Args:
        store: Where the files are.
        database: Where possessions are read.
        writer: Where they are changed.
        is_named: Tells whether a version of a namespace names a blob.
        threads: Where the disk is worked on.
        abandoned_after: How long an upload waits to be gone on with.
        grace: How long a blob waits for a version to name it.
    """

    def __init__(
        self,
        store: DirectoryStore,
        database: Database,
        writer: Writer,
        *,
        is_named: Callable[[Connection, str, str], bool],
        threads: Executor,
        abandoned_after: timedelta = ABANDONED_AFTER,
        grace: timedelta = GRACE,
    ) -> None:
        self._store = store
        self._database = database
        self._writer = writer
        self._is_named = is_named
        self._threads = threads
        self._abandoned_after = abandoned_after
        self._grace = grace
        self._alone = asyncio.Lock()

    async def collect(self, now: datetime) -> Collected:
        """Take away what nobody needs.

        Args:
            now: The time.

        Returns:
            What went.

        Raises:
            UnavailableError: The database or the disk failed; what went until then stays away.
        """
        run = asyncio.get_running_loop().run_in_executor
        async with self._alone:
            abandoned_before = now - self._abandoned_after
            uploads = await run(self._threads, self._store.discard_uploads, abandoned_before)
            possessions = await self._forget_unnamed(now - self._grace)
            blobs = await self._remove_unowned(now - self._grace)
            await run(self._threads, self._store.empty_trash)
        return Collected(uploads, possessions, blobs)

    async def _forget_unnamed(self, before: datetime) -> int:
        def find(connection: Connection) -> list[tuple[str, str]]:
            old = queries.read_older(connection, before)
            return [place for place in old if not self._is_named(connection, *place)]

        found = await self._database.read(find)
        forgotten = 0
        for start in range(0, len(found), AT_ONCE):
            places = found[start : start + AT_ONCE]

            def forget(transaction: Transaction, places: list[tuple[str, str]] = places) -> int:
                connection = transaction.connection
                unnamed = [place for place in places if not self._is_named(connection, *place)]
                return sum(queries.remove_possession(connection, *place) for place in unnamed)

            forgotten += await self._writer.commit(forget)
        return forgotten

    async def _remove_unowned(self, before: datetime) -> int:
        stored = self._store.stored_before(before)
        removed = 0
        run = asyncio.get_running_loop().run_in_executor
        while digests := await run(self._threads, lambda: list(islice(stored, AT_ONCE))):
            removed += await self._remove_unowned_of(digests)
        return removed

    async def _remove_unowned_of(self, digests: list[str]) -> int:
        owned = await self._database.read(lambda connection: queries.read_owned(connection, digests))
        candidates = [digest for digest in digests if digest not in owned]
        if not candidates:
            return 0

        def remove(transaction: Transaction) -> int:
            owned_now = queries.read_owned(transaction.connection, candidates)
            return sum(self._store.remove(digest) for digest in candidates if digest not in owned_now)

        return await self._writer.commit(remove)
