"""Taking away what nobody needs: abandoned uploads, unnamed possessions, stored blobs that nobody has.

Responsible for never taking a blob that some namespace has. The argument, in three steps:

1. A possession goes in a change of its own, which looks once more whether a version names the blob, and
   whether its grace is over. A version is published in a change that looks whether the blob is possessed, and
   purged in one that begins the grace of what no other version names. Changes run one after another, so each
   sees what those before it did: a blob whose last version was purged can be named again for as long as its
   grace lasts, and whoever comes later is told to write it again.
2. A stored blob goes after a change that saw no possession of it and noted the removal as begun; another
   change notes its end. The store is touched only between the two.
3. A possession is noted in a change that refuses if a removal is under way or began since the writer of the
   blob first looked at the store (``carnet_server.blobs.removals``). So it either comes before step 2, which
   then sees it, or it is refused, and the writer of the blob writes it again.

No change waits for the store. Bytes that were stored while the process died, before anybody was given them,
go by step 2 alone; a removal whose process died is made again, by whichever process collects next.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from carnet_server.blobs import queries
from carnet_server.blobs.domain import Collected
from carnet_server.blobs.removals import begin_removal, end_removal, read_left_removals, read_removing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet_server.blobs.port import BlobStore
    from carnet_server.database.engine import Database
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

ABANDONED_AFTER = timedelta(hours=24)
GRACE = timedelta(hours=24)
AT_ONCE = 100
# A removal that began so long ago and never ended was its process's last; a removal that lives is quicker.
LEFT_AFTER = timedelta(minutes=10)
REMOVE_WITHIN_SECONDS = 300.0


class Collector:
    """Collects; one collection at a time.

    Args:
        store: Where the files are.
        database: Where possessions are read.
        writer: Where they are changed.
        is_named: Tells whether a version of a namespace names a blob.
        threads: Where the disk is worked on.
        abandoned_after: How long an upload waits to be gone on with.
        grace: How long a blob that was given waits for a version to name it. What a purge let go waits for as
            long as the policy said then.
    """

    def __init__(
        self,
        store: BlobStore,
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
            possessions = await self._forget_unnamed(now - self._grace, now)
            blobs = await self._remove_unowned(now - self._grace)
        return Collected(uploads, possessions, blobs)

    async def _forget_unnamed(self, before: datetime, now: datetime) -> int:
        def find(connection: Connection) -> list[tuple[str, str]]:
            old = queries.read_older(connection, before, now)
            return [place for place in old if not self._is_named(connection, *place)]

        found = await self._database.read(find)
        forgotten = 0
        for start in range(0, len(found), AT_ONCE):
            places = found[start : start + AT_ONCE]

            def forget(transaction: Transaction, places: list[tuple[str, str]] = places) -> int:
                connection = transaction.connection
                unnamed = [place for place in places if not self._is_named(connection, *place)]
                return sum(
                    queries.remove_possession(connection, *place, before=before, now=now) for place in unnamed
                )

            forgotten += await self._writer.commit(forget)
        return forgotten

    async def _remove_unowned(self, before: datetime) -> int:
        removed = 0
        left = await self._database.read(
            lambda connection: read_left_removals(connection, before + self._grace - LEFT_AFTER)
        )
        for start in range(0, len(left), AT_ONCE):
            removed += await self._remove_unowned_of(left[start : start + AT_ONCE])
        stored = self._store.stored_before(before)
        run = asyncio.get_running_loop().run_in_executor
        while digests := await run(self._threads, lambda: list(islice(stored, AT_ONCE))):
            removed += await self._remove_unowned_of(digests)
        return removed

    async def _remove_unowned_of(self, digests: list[str]) -> int:
        owned = await self._database.read(lambda connection: queries.read_owned(connection, digests))
        candidates = [digest for digest in digests if digest not in owned]
        if not candidates:
            return 0

        def begin(transaction: Transaction) -> dict[str, int]:
            connection, now = transaction.connection, transaction.now
            kept = queries.read_owned(connection, candidates)
            kept |= read_removing(connection, candidates, since=now - LEFT_AFTER)
            return {
                digest: begin_removal(connection, digest, now) for digest in candidates if digest not in kept
            }

        deadline = time.monotonic() + REMOVE_WITHIN_SECONDS
        generations = await self._writer.commit(begin)
        run = asyncio.get_running_loop().run_in_executor
        ended: dict[str, int] = {}
        removed = 0
        try:
            for digest, generation in generations.items():
                if time.monotonic() > deadline:
                    break
                removed += await run(self._threads, self._store.remove, digest)
                ended[digest] = generation
        finally:
            if ended:
                await self._writer.commit(lambda transaction: _end(transaction.connection, ended))
        return removed


def _end(connection: Connection, generations: Mapping[str, int]) -> None:
    for digest, generation in generations.items():
        end_removal(connection, digest, generation)
