"""Whether the stored bytes of a version are whole, as far as was looked lately.

Responsible for hashing blobs straight from the store, on threads of its own, and for remembering when each
was found whole. Invariants: presence is asked of the store every time; a blob counts as whole only if this
process hashed its bytes within ``FRESH_FOR``; a blob is read once however many ask for it at a time. What is
remembered is no fact of the environment: another process, or this one after a restart, looks for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from carnet.errors import DataLossError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.port import BlobStore

FRESH_FOR = timedelta(hours=24)
THREADS = 4
REMEMBERED_MAX = 100_000


@dataclass(frozen=True, slots=True)
class BlobCheck:
    """What a look at some blobs found.

    Attributes:
        blob_count: How many were asked about.
        hashed_count: How many of them were hashed for it.
        oldest_at: When the one whose check is the oldest was hashed; None where there is none.
        missing: The blobs that the store does not have at their size.
        damaged: The blobs whose stored bytes are not those of their digests.
    """

    blob_count: int
    hashed_count: int
    oldest_at: datetime | None
    missing: tuple[Blob, ...] = ()
    damaged: tuple[Blob, ...] = ()

    @property
    def fault(self) -> str:
        """What is wrong, with the first blob that it is wrong with; empty where all are whole."""
        if self.missing:
            return f"is not whole: blob {self.missing[0].digest} is not in the store"
        if self.damaged:
            return f"is not whole: the stored bytes of blob {self.damaged[0].digest} are damaged"
        return ""


class BlobChecks:
    """Hashes stored blobs, and remembers which were whole.

    Args:
        store: Where the blobs are.
        fresh_for: How long a blob that was found whole counts as whole.
        clock: Tells the time.
    """

    def __init__(
        self,
        store: BlobStore,
        *,
        fresh_for: timedelta = FRESH_FOR,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._fresh_for = fresh_for
        self._clock = clock
        self._checked: dict[str, datetime] = {}
        self._under_way: dict[str, asyncio.Future[bool]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blob-checks")

    async def check(self, blobs: Sequence[Blob], *, fresh_for: timedelta | None = None) -> BlobCheck:
        """Tell whether blobs are whole; those that were not hashed lately are hashed now, in parallel.

        Args:
            blobs: The blobs.
            fresh_for: How long ago a blob may have been hashed; None for what the checks were made with.

        Raises:
            UnavailableError: The store failed.
        """
        unique = list({blob.digest: blob for blob in blobs}.values())
        loop = asyncio.get_running_loop()
        missing = await loop.run_in_executor(self._threads, self._store.find_missing, unique)
        gone = {blob.digest for blob in missing}
        for digest in gone:
            self._checked.pop(digest, None)
        since = self._clock() - (self._fresh_for if fresh_for is None else fresh_for)
        there = [blob for blob in unique if blob.digest not in gone]
        old = [blob for blob in there if not self._is_fresh(blob, since)]
        outcomes = await asyncio.gather(*(self._hash_once(blob) for blob in old), return_exceptions=True)
        damaged: list[Blob] = []
        for blob, outcome in zip(old, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            if not outcome:
                damaged.append(blob)
        times = [self._checked[blob.digest] for blob in there if blob.digest in self._checked]
        return BlobCheck(
            blob_count=len(unique),
            hashed_count=len(old),
            oldest_at=min(times, default=None),
            missing=tuple(missing),
            damaged=tuple(damaged),
        )

    def close(self) -> None:
        """End the threads; the pieces that they are at are finished."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _is_fresh(self, blob: Blob, since: datetime) -> bool:
        checked_at = self._checked.get(blob.digest)
        return checked_at is not None and checked_at >= since

    async def _hash_once(self, blob: Blob) -> bool:
        under_way = self._under_way.get(blob.digest)
        if under_way is None:
            loop = asyncio.get_running_loop()
            under_way = loop.run_in_executor(self._threads, self._is_whole, blob)
            self._under_way[blob.digest] = under_way
            under_way.add_done_callback(lambda _: self._under_way.pop(blob.digest, None))
        # Others may wait for the same reading when one of them is cancelled.
        whole = await asyncio.shield(under_way)
        if whole:
            self._remember(blob.digest)
        else:
            self._checked.pop(blob.digest, None)
        return whole

    def _remember(self, digest: str) -> None:
        self._checked.pop(digest, None)
        while len(self._checked) >= REMEMBERED_MAX:
            del self._checked[next(iter(self._checked))]
        self._checked[digest] = self._clock()

    def _is_whole(self, blob: Blob) -> bool:
        """Read a blob to its end, which verifies it; blocks."""
        try:
            with contextlib.closing(self._store.open_blob(blob)) as reading:
                while reading.next_piece() is not None:
                    pass
        except DataLossError:
            return False
        return True
