"""What an environment's registry does with blobs.

Responsible for possession (a namespace has what was written to it, whole, and nothing else), for the right to
read (a role, or a capability; and only what a version of the namespace names), and for keeping files and
database work off the event loop. Blobs by themselves are no change of the environment's state, so nothing
here appends to the log; possessions still go through the one writer.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from carnet.errors import DataLossError, NotFoundError, OffsetOutOfRangeError
from carnet_server.access.authorize import require
from carnet_server.access.permissions import READERS
from carnet_server.blobs import queries
from carnet_server.blobs.collector import ABANDONED_AFTER, GRACE, Collector
from carnet_server.blobs.domain import Blob, Collected, Piece, UploadState, check_batch, check_find
from carnet_server.blobs.lane import Lane
from carnet_server.blobs.removals import read_generations, require_unremoved
from carnet_server.blobs.stream import UploadStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from carnet_server.access.identity import Caller
    from carnet_server.blobs.port import BlobReading, BlobStore, BlobUpload
    from carnet_server.database.engine import Database
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

THREADS = 8

Result = TypeVar("Result")


class BlobsService:
    """The use cases of blobs.

    Args:
        store: Where the bytes are.
        database: Where possessions are read.
        writer: Where they are changed.
        readable: Tells whether a version of a namespace names a blob, so that it may be read there; raises
            where none does any more.
        is_named: Tells whether a version of a namespace names a blob, so that it must be kept.
        capability_check: Raises unless a capability lets a caller read blobs of a namespace.
        quota_check: Raises unless a namespace may be given so many bytes more.
        abandoned_after: How long an upload waits to be gone on with before it is collected.
        grace: How long a blob waits for a version to name it before it is collected.
    """

    def __init__(
        self,
        store: BlobStore,
        database: Database,
        writer: Writer,
        *,
        readable: Callable[[Connection, str, str], bool],
        is_named: Callable[[Connection, str, str], bool],
        capability_check: Callable[[bytes, str, Sequence[str], Caller], None],
        quota_check: Callable[[Connection, str, int], None] = lambda *_: None,
        abandoned_after: timedelta = ABANDONED_AFTER,
        grace: timedelta = GRACE,
    ) -> None:
        self._store = store
        self._database = database
        self._writer = writer
        self._readable = readable
        self._capability_check = capability_check
        self._quota_check = quota_check
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._collector = Collector(
            store,
            database,
            writer,
            is_named=is_named,
            threads=self._threads,
            abandoned_after=abandoned_after,
            grace=grace,
        )

    # --- writing ------------------------------------------------------------------------------------------

    async def find_missing(self, namespace: str, blobs: Sequence[Blob]) -> list[Blob]:
        """Tell which blobs a namespace has not been given, or has lost.

        Args:
            namespace: Whose.
            blobs: The blobs, 10,000 at most.

        Returns:
            The missing ones, in their order.

        Raises:
            MessageTooLargeError: There are too many.
            UnavailableError: The database or the disk failed.
        """
        check_find(len(blobs))
        digests = {blob.digest for blob in blobs}
        sizes = await self._database.read(
            lambda connection: queries.read_possessed(connection, namespace, digests)
        )

        def look() -> list[Blob]:
            given = [blob for blob in blobs if sizes.get(blob.digest) == blob.size_bytes]
            lost = set(self._store.find_missing(given))
            return [blob for blob in blobs if sizes.get(blob.digest) != blob.size_bytes or blob in lost]

        return await self._on_thread(look)

    async def write_small(self, namespace: str, contents: Sequence[tuple[str, bytes]]) -> list[Blob]:
        """Write small blobs whole: all, or none.

        Args:
            namespace: The namespace that is given them.
            contents: Each blob's digest and bytes; 1,000 blobs and 2 MiB in all at most.

        Returns:
            What was written.

        Raises:
            MessageTooLargeError: It is too much for a batch.
            ResourceExhaustedError: The namespace would have more than its quota.
            DigestMismatchError: The bytes of one are not those of its digest; it is named.
            StorageFullError: The disk is full.
            UnavailableError: The disk or the database failed.
        """
        check_batch([len(data) for _, data in contents], field="blobs")
        unique = list(dict(contents).items())
        blobs = [Blob(digest, len(data)) for digest, data in unique]
        if blobs:
            generations = await self._begin(namespace, blobs)
            await self._on_thread(lambda: self._store.write_small(namespace, unique))
            await self._possess(namespace, blobs, generations)
        return blobs

    async def upload_state(self, namespace: str, blob: Blob) -> UploadState:
        """Tell where the upload of a blob stands.

        Args:
            namespace: The namespace that is given it.
            blob: The blob.

        Raises:
            UnavailableError: The database or the disk failed.
        """
        if not await self.find_missing(namespace, [blob]):
            return UploadState(blob.size_bytes, complete=True)
        held = await self._on_thread(lambda: self._store.uploaded_bytes(namespace, blob))
        return UploadState(held, complete=False)

    @contextlib.asynccontextmanager
    async def open_upload(
        self, namespace: str, blob: Blob, *, offset: int | None = None
    ) -> AsyncIterator[UploadStream]:
        """Begin the upload of a blob, or take it up where it stands; for as long as the context is open.

        There is one writer of a blob in a namespace at a time, in whichever process. What was written stays
        when the context ends without `UploadStream.finish`.

        Args:
            namespace: The namespace that is given the blob.
            blob: The blob.
            offset: Where the caller goes on; None for wherever the upload stands.

        Yields:
            The stream to write to; it is complete already where the namespace has the blob.

        Raises:
            ConflictError: Another is writing this blob to this namespace.
            ResourceExhaustedError: The namespace would have more than its quota.
            OffsetOutOfRangeError: The upload stands elsewhere (``metadata["committedBytes"]``).
            StorageFullError: There is no room for the rest.
            UnavailableError: The database or the disk failed.
        """
        lane = Lane(self._threads)
        generations = await self._begin(namespace, [blob])

        async def possess() -> None:
            await self._possess(namespace, [blob], generations)

        if not await self.find_missing(namespace, [blob]):
            yield UploadStream(blob, None, lane, possess)
            return
        opened = contextlib.ExitStack()

        def open_upload() -> BlobUpload:
            return opened.enter_context(contextlib.closing(self._store.open_upload(namespace, blob)))

        try:
            upload = await lane.start(open_upload)
            if offset is not None and offset != upload.offset:
                raise OffsetOutOfRangeError(
                    f"the upload of blob {blob.digest} stands at {upload.offset}, not at {offset}: go on "
                    "from there",
                    metadata={"committedBytes": str(upload.offset)},
                )
            yield UploadStream(blob, upload, lane, possess)
        finally:
            await lane.end(opened.close)

    async def _begin(self, namespace: str, blobs: Sequence[Blob]) -> dict[str, int]:
        """Refuse what has no room, and read what `_possess` compares, before the store is used."""

        def read(connection: Connection) -> dict[str, int]:
            self._require_room(connection, namespace, blobs)
            return read_generations(connection, [blob.digest for blob in blobs])

        return await self._database.read(read)

    def _require_room(self, connection: Connection, namespace: str, blobs: Sequence[Blob]) -> list[Blob]:
        """Return the blobs that a namespace has not been given, if its quota has room for them."""
        possessed = queries.read_possessed(connection, namespace, [blob.digest for blob in blobs])
        new = [blob for blob in blobs if blob.digest not in possessed]
        self._quota_check(connection, namespace, sum(blob.size_bytes for blob in new))
        return new

    async def _possess(self, namespace: str, blobs: Sequence[Blob], generations: Mapping[str, int]) -> None:
        """Give a namespace blobs that are stored; ``blobs.collector`` says why generations are compared."""

        def change(transaction: Transaction) -> None:
            connection = transaction.connection
            require_unremoved(connection, generations)
            for blob in self._require_room(connection, namespace, blobs):
                queries.add_possession(connection, namespace, blob, transaction.now)

        await self._writer.commit(change)

    # --- reading ------------------------------------------------------------------------------------------

    async def read(
        self,
        caller: Caller,
        namespace: str,
        digest: str,
        *,
        offset: int = 0,
        length: int = 0,
        capability: bytes = b"",
    ) -> AsyncGenerator[Piece, None]:
        """Read a blob, or a range of it.

        Args:
            caller: Who reads.
            namespace: Where.
            digest: The blob.
            offset: The first byte that is wanted.
            length: How many bytes are wanted; 0 for all to the end.
            capability: A right to read, for a caller with no role in the namespace.

        Yields:
            The pieces in order, one read ahead; of a whole blob that is damaged not the last.

        Raises:
            PermissionDeniedError: The caller may not read here.
            NotFoundError: No version of the namespace names the blob.
            OffsetOutOfRangeError: The range reaches past the blob.
            DataLossError: The stored bytes are damaged or gone.
            UnavailableError: The database or the disk failed.
        """
        (blob,) = await self._readable_blobs(caller, namespace, [digest], capability)
        lane = Lane(self._threads)
        opened = contextlib.ExitStack()

        def open_blob() -> BlobReading:
            return opened.enter_context(contextlib.closing(self._store.open_blob(blob, offset, length)))

        try:
            reader = await lane.start(open_blob)
            ahead = lane.start(reader.next_piece)
            while (piece := await ahead) is not None:
                ahead = lane.start(reader.next_piece)
                yield piece
        finally:
            await lane.end(opened.close)

    async def read_small(
        self, caller: Caller, namespace: str, digests: Sequence[str], *, capability: bytes = b""
    ) -> list[tuple[str, bytes]]:
        """Read small blobs whole.

        Args:
            caller: Who reads.
            namespace: Where.
            digests: The blobs; 1,000 blobs and 2 MiB in all at most.
            capability: A right to read, for a caller with no role in the namespace.

        Returns:
            The digest and the bytes of each, in the request's order.

        Raises:
            MessageTooLargeError: It is too much for a batch.
            PermissionDeniedError: The caller may not read here.
            NotFoundError: No version of the namespace names a blob.
            DataLossError: The stored bytes of one are damaged or gone.
            UnavailableError: The database or the disk failed.
        """
        check_batch([0] * len(digests), field="digests")
        blobs = await self._readable_blobs(caller, namespace, digests, capability)
        check_batch([blob.size_bytes for blob in blobs], field="digests")
        return await self._on_thread(lambda: [(blob.digest, self._store.read_small(blob)) for blob in blobs])

    async def _readable_blobs(
        self, caller: Caller, namespace: str, digests: Sequence[str], capability: bytes
    ) -> list[Blob]:
        if capability:
            self._capability_check(capability, namespace, digests, caller)
        else:
            require(caller, *READERS, namespace=namespace)

        def look(connection: Connection) -> dict[str, int]:
            for digest in digests:
                if not self._readable(connection, namespace, digest):
                    raise NotFoundError(
                        f"no version in namespace {namespace!r} has a file with digest {digest}"
                    )
            return queries.read_possessed(connection, namespace, digests)

        sizes = await self._database.read(look)
        for digest in digests:
            if digest not in sizes:
                raise DataLossError(
                    f"namespace {namespace!r} has lost blob {digest}, which a version names: restore the "
                    "database",
                    metadata={"digest": digest},
                )
        return [Blob(digest, sizes[digest]) for digest in digests]

    # --- keeping house ------------------------------------------------------------------------------------

    async def collect(self, now: datetime) -> Collected:
        """Take away abandoned uploads and blobs that nobody needs; see ``carnet_server.blobs.collector``."""
        return await self._collector.collect(now)

    def close(self) -> None:
        """End the threads; what they are at is finished."""
        self._threads.shutdown(wait=True)

    async def _on_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
