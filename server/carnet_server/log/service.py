"""Reading the log: checkpoints, receipts, proofs, entries, documents, and being told of what is new."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from carnet.errors import InvalidInputError, NotFoundError, OffsetOutOfRangeError, UnavailableError
from carnet.serving.paging import page_limit
from carnet.translog.checkpoint import Checkpoint, unverified_checkpoint
from carnet.translog.finality import Finality, finality_at
from carnet.translog.receipt import Receipt
from carnet.translog.tree import (
    EMPTY_ROOT,
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
)
from carnet_server.log import queries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from carnet.translog.entry import Entry
    from carnet.translog.tree import NodeId
    from carnet_server.database.engine import Database
    from carnet_server.log.commit import Commit
    from carnet_server.log.writer import Writer

SUBSCRIPTION_LIMIT = 10_000
SIGNED_WITHIN_SECONDS = 10.0
MAX_DOCUMENTS = 100
PAGE_BYTES = 2 << 20
RECENT_COMMITS = 4
RECENT_MAX_ENTRIES = 4096

logger = logging.getLogger(__name__)


class Subscription:
    """Entries as they are committed, from now on; an async iterator of ``(index, entry)``.

    One that is not read for ``SUBSCRIPTION_LIMIT`` entries ends with UnavailableError: its reader starts
    again from what it has.
    """

    def __init__(
        self, close: Callable[[Subscription], None], wanted: Callable[[Entry], bool] | None = None
    ) -> None:
        self._waiting: deque[tuple[int, Entry]] = deque()
        self._wake = asyncio.Event()
        self._close = close
        self._wanted = wanted
        self._overrun = False
        self._closed = False

    def offer(self, items: Sequence[tuple[int, Entry]]) -> None:
        """Hand entries over; called on the loop that made the subscription."""
        if self._wanted is not None:
            items = [item for item in items if self._wanted(item[1])]
            if not items:
                return
        if len(self._waiting) + len(items) > SUBSCRIPTION_LIMIT:
            self._overrun = True
        else:
            self._waiting.extend(items)
        self._wake.set()

    def take(self) -> list[tuple[int, Entry]]:
        """Return what else waits now, without waiting."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def close(self) -> None:
        """End the subscription; whoever iterates it stops."""
        self._closed = True
        self._close(self)
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[int, Entry]:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            if self._overrun:
                raise UnavailableError("the reader of this stream fell too far behind: start again")
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()


class LogService:
    """Reads the log of one environment.

    Args:
        database: The environment's database.

    Attributes:
        witnessed: Tells the newest checkpoint that a quorum of witnesses cosigned; empty for none.
        cosigned: Adds to a checkpoint of this log the cosignatures that there are of it.
        demands_witnesses: Whether a quorum is asked at all.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: set[Subscription] = set()
        self._recent: deque[Commit] = deque(maxlen=RECENT_COMMITS)
        self._parsed: tuple[str, Checkpoint] = ("", Checkpoint("none", 0, EMPTY_ROOT))
        self.witnessed: Callable[[], str] = lambda: ""
        self.cosigned: Callable[[str], str] = lambda checkpoint: checkpoint
        self.demands_witnesses = False

    def attach(self, writer: Writer, loop: asyncio.AbstractEventLoop) -> None:
        """Take the writer whose checkpoints are served, and the loop that subscriptions live on."""
        self._writer = writer
        self._loop = loop

    def on_commit(self, commit: Commit) -> None:
        """Tell the subscriptions of a commit; called on the writer thread."""
        if len(commit.entries) <= RECENT_MAX_ENTRIES:
            self._recent.append(commit)
        if self._loop is None:
            return
        items = list(enumerate(commit.entries, commit.first_index))
        try:
            self._loop.call_soon_threadsafe(self._offer, items)
        except RuntimeError:
            logger.info("a commit was made after the event loop had ended; nobody is told")

    def _offer(self, items: list[tuple[int, Entry]]) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.offer(items)

    def subscribe(self, wanted: Callable[[Entry], bool] | None = None) -> Subscription:
        """Return the entries that are committed from now on; the caller closes it.

        Args:
            wanted: Picks the entries; None for all. Nobody is woken for the others.
        """
        subscription = Subscription(self._subscriptions.discard, wanted)
        self._subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """End every subscription."""
        for subscription in tuple(self._subscriptions):
            subscription.close()

    @property
    def checkpoint(self) -> str:
        """The newest signed checkpoint, a C2SP signed note."""
        assert self._writer is not None
        return self._writer.checkpoint

    @property
    def head(self) -> Checkpoint:
        """The newest checkpoint's origin, size and root; it is parsed once."""
        text, head = self._parsed
        if text != self.checkpoint:
            text = self.checkpoint
            head = unverified_checkpoint(text)
            self._parsed = text, head
        return head

    @property
    def size(self) -> int:
        """The newest checkpoint's size: how many entries the log has."""
        return self.head.size

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self.head.origin

    def finality(self, index: int) -> Finality:
        """Tell whether an entry is final: witnessed by a quorum."""
        if not self.demands_witnesses:
            return Finality.UNSPECIFIED
        return finality_at(index, _size_of(self.witnessed()))

    async def receipt(self, index: int, *, witnessed: bool = False) -> Receipt:
        """Prove that an entry is in the log.

        Args:
            index: The entry's index.
            witnessed: Whether only a proof to a checkpoint that a quorum of witnesses cosigned will do.

        Returns:
            The entry's bytes with an inclusion proof: to the newest checkpoint that a quorum cosigned where
            that covers the entry, so that the receipt shows by itself that it is final, and to the newest of
            all elsewhere.

        Raises:
            NotFoundError: The log has no such entry, or no quorum has witnessed it yet.
        """
        checkpoint = self.witnessed()
        size = _size_of(checkpoint)
        if index >= size and witnessed and index < self.size:
            raise NotFoundError(
                f"no quorum of witnesses has cosigned entry {index} yet: what is witnessed has {size} "
                "entries",
                metadata={"size": str(size)},
            )
        if index >= size:
            checkpoint = self.checkpoint
            size = _size_of(checkpoint)
        if not 0 <= index < size:
            raise NotFoundError(f"the log has no entry {index}: its size is {self.size}")

        def query(connection: Connection) -> Receipt:
            (row,) = connection.execute(queries.READ_ENTRIES, {"first": index, "end": index + 1})
            proof = _proof(connection, inclusion_nodes(index, size), inclusion_proof, index, size)
            return Receipt(row.entry, index, size, proof, checkpoint, self.finality(index))

        return await self._database.read(query)

    async def signed_receipt(self, index: int) -> Receipt:
        """Prove that an entry is in the log, as soon as a checkpoint covers it.

        What a commit changed can be read a moment before its checkpoint is signed.

        Args:
            index: An entry's index that stands in a committed row.

        Raises:
            NotFoundError: The log has no such entry.
            UnavailableError: No checkpoint covers the entry in time.
        """
        if self.size <= index:
            await self._wait_until_signed(index)
        return await self.receipt(index)

    async def receipt_of_change(self, index: int) -> Receipt:
        """Prove to whoever made a change that its entry is in the log.

        Right after the commit the proof is in memory, and leads to that commit's checkpoint. Whoever reads
        asks for ``signed_receipt``, which comes from what is stored.

        Args:
            index: The index of the entry that the change made.

        Raises:
            NotFoundError: The log has no such entry.
            UnavailableError: No checkpoint covers the entry in time.
        """
        if self.size <= index:
            await self._wait_until_signed(index)
        for commit in tuple(self._recent):
            if commit.has(index):
                return commit.receipt(index, self.finality(index))
        return await self.receipt(index)

    async def _wait_until_signed(self, index: int) -> None:
        subscription = self.subscribe()
        assert self._writer is not None
        self._writer.look()
        try:
            async with asyncio.timeout(SIGNED_WITHIN_SECONDS):
                while self.size <= index:
                    await anext(subscription)
        except (TimeoutError, StopAsyncIteration) as error:
            raise UnavailableError(f"entry {index} is committed and not signed yet: try again") from error
        finally:
            subscription.close()

    async def consistency(self, first: int, second: int) -> tuple[int, tuple[bytes, ...]]:
        """Prove that one tree is the beginning of another.

        Args:
            first: The size of the smaller tree.
            second: The size of the larger; 0 for the newest checkpoint's.

        Returns:
            The size of the larger tree, and the proof.

        Raises:
            InvalidInputError: The sizes are not 0 ≤ first ≤ second ≤ the log's size.
        """
        second = second or self.size
        if not 0 <= first <= second <= self.size:
            raise InvalidInputError(
                f"sizes {first} and {second}: they must be in order and at most the log's size, {self.size}"
            )
        if first in (0, second):
            return second, ()

        def query(connection: Connection) -> tuple[bytes, ...]:
            return _proof(connection, consistency_nodes(first, second), consistency_proof, first, second)

        return second, await self._database.read(query)

    async def entries(self, start: int, page_size: int) -> list[tuple[int, bytes, bytes]]:
        """Read entries in order.

        Args:
            start: The first index.
            page_size: How many at most; 0 for the default.

        Returns:
            Index, bytes and leaf hash of each; fewer than asked for at the log's end or at 2 MiB.

        Raises:
            OffsetOutOfRangeError: The first index is negative.
        """
        if start < 0:
            raise OffsetOutOfRangeError(
                f"start_index: {start} is negative", metadata={"field": "start_index"}
            )
        end = min(start + page_limit(page_size), self.size)

        def query(connection: Connection) -> list[tuple[int, bytes, bytes]]:
            found: list[tuple[int, bytes, bytes]] = []
            total = 0
            for index, data, hashed in connection.execute(queries.READ_ENTRIES, {"first": start, "end": end}):
                total += len(data)
                if found and total > PAGE_BYTES:
                    break
                found.append((index, data, hashed))
            return found

        return await self._database.read(query) if start < end else []

    async def document(self, digest: str) -> bytes | None:
        """Read one document; None where there is none of that digest, or it was erased."""

        def query(connection: Connection) -> bytes | None:
            return connection.execute(queries.READ_DOCUMENT, {"wanted": digest}).scalar()

        return await self._database.read(query)

    async def documents(self, digests: Sequence[str]) -> list[tuple[str, str, bytes]]:
        """Read documents.

        Args:
            digests: Their digests, ``MAX_DOCUMENTS`` at most.

        Returns:
            Digest, media type and bytes of those that are held, erased ones left out; 2 MiB at most, but one
            at least.

        Raises:
            InvalidInputError: Too many were asked for.
        """
        if len(digests) > MAX_DOCUMENTS:
            raise InvalidInputError(
                f"digests: {len(digests)} were asked for, {MAX_DOCUMENTS} at most",
                metadata={"field": "digests"},
            )

        def query(connection: Connection) -> list[tuple[str, str, bytes]]:
            found: list[tuple[str, str, bytes]] = []
            total = 0
            for row in connection.execute(queries.READ_DOCUMENTS, {"wanted": list(digests)}):
                total += len(row.data)
                if found and total > PAGE_BYTES:
                    break
                found.append((row.digest, row.media_type, row.data))
            return found

        return await self._database.read(query)


@functools.lru_cache(maxsize=16)
def _size_of(checkpoint: str) -> int:
    """Return the size that a checkpoint of this log names; 0 for none. Many ask about the same one."""
    return unverified_checkpoint(checkpoint).size if checkpoint else 0


def _proof(
    connection: Connection, places: list[NodeId], build: Callable[..., list[bytes]], *sizes: int
) -> tuple[bytes, ...]:
    nodes: dict[Any, bytes] = queries.read_nodes(connection, places)
    return tuple(build(*sizes, lambda level, index: nodes[level, index]))
