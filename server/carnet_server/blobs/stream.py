"""The writing of one blob, as a service's caller sees it: pieces in, and at the end a possession.

Responsible for the order of things: offsets are checked before a piece is taken, hashing and writing go on
behind, and the namespace has the blob only once its file is whole, verified and durable.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.errors import MessageTooLargeError, OffsetOutOfRangeError
from carnet_server.blobs.domain import MAX_CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.lane import Lane
    from carnet_server.blobs.port import BlobUpload


class UploadStream:
    """An upload that is under way.

    Attributes:
        blob: What is written.
        offset: Where the next piece begins.

    Args:
        blob: What is written.
        upload: Its file; None where the namespace has the blob already and nothing is to be written.
        lane: Where its file is worked on.
        possess: Gives the namespace the stored blob.
    """

    def __init__(
        self, blob: Blob, upload: BlobUpload | None, lane: Lane, possess: Callable[[], Awaitable[None]]
    ) -> None:
        self.blob = blob
        self.offset = blob.size_bytes if upload is None else upload.offset
        self._upload = upload
        self._lane = lane
        self._possess = possess

    @property
    def complete(self) -> bool:
        """Whether the namespace had the blob whole from the beginning."""
        return self._upload is None

    async def append(self, offset: int, data: bytes | memoryview) -> None:
        """Take the next piece; it is hashed and written behind, a few pieces later at most.

        Args:
            offset: Where it begins; must be ``self.offset``.
            data: Its bytes, 1 MiB at most.

        Raises:
            MessageTooLargeError: There are more.
            OffsetOutOfRangeError: It begins elsewhere, or reaches past the blob; nothing of it is written.
            StorageFullError: The disk is full; the upload is discarded.
            UnavailableError: The disk failed.
        """
        end = offset + len(data)
        if len(data) > MAX_CHUNK_BYTES:
            raise MessageTooLargeError(
                f"data: {len(data)} bytes in one message; {MAX_CHUNK_BYTES} at most",
                metadata={"field": "data"},
            )
        if offset != self.offset or end > self.blob.size_bytes:
            raise OffsetOutOfRangeError(
                f"blob {self.blob.digest} has {self.blob.size_bytes} bytes and its upload stands at "
                f"{self.offset}: bytes {offset} to {end} do not fit there",
                metadata={"committedBytes": str(self.offset)},
            )
        upload = self._upload
        if upload is not None and data:
            self.offset = end
            await self._lane.put(lambda: upload.append(data))

    async def finish(self) -> None:
        """Verify the blob, store it durably, and give it to the namespace.

        It is done to the end even if the caller goes away meanwhile: all the bytes are here.

        Raises:
            OffsetOutOfRangeError: Bytes are wanting; what is there is kept.
            DigestMismatchError: The bytes are not those of the digest; they are discarded.
            ConflictError: The stored blob was collected in this very moment; write it again.
            StorageFullError: The disk is full; the upload is discarded.
            UnavailableError: The disk or the database failed.
        """
        if self._upload is None:
            return
        finishing = asyncio.ensure_future(self._finish(self._upload))
        finishing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(finishing)

    async def _finish(self, upload: BlobUpload) -> None:
        await self._lane.start(upload.finish)
        await self._possess()
