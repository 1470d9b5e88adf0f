"""Pull: taking blobs from another registry into this one's store.

Responsible for fetching only what the namespace lacks, hashed here as it arrives, going on at the byte where
an earlier attempt stopped. Whose registry that is, and under which right it is read, the caller decided.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.client.blob_codec import decode_chunk
from carnet.client.transfer import (
    BlobCount,
    ByteCount,
    Patience,
    in_parallel,
    is_small,
    read_messages,
    read_small,
    small_batches,
)
from carnet.errors import ConflictError, DigestMismatchError, OffsetOutOfRangeError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet.client.connection import RegistryConnection
    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.service import BlobsService
    from carnet_server.blobs.stream import UploadStream


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How far a fetching is.

    Attributes:
        transferred_bytes: Bytes that are here; those that an earlier attempt left count.
        total_bytes: Bytes of all blobs that were missing.
        completed_blobs: Blobs that the namespace now has and had not.
    """

    transferred_bytes: int
    total_bytes: int
    completed_blobs: int


class _Fetching:
    """One call of `fetch_into_store`."""

    def __init__(
        self,
        connection: RegistryConnection,
        namespace: str,
        service: BlobsService,
        capability: bytes,
        progress: Callable[[FetchProgress], None] | None,
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._service = service
        self._capability = capability
        self._progress = progress
        self._completed = 0
        self._count = ByteCount(0, self._tell)

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(FetchProgress(done, total, self._completed))

    async def run(self, blobs: Sequence[Blob]) -> None:
        unique = list({blob.digest: blob for blob in blobs}.values())
        missing = await self._service.find_missing(self._namespace, unique)
        self._count.total = sum(blob.size_bytes for blob in missing)
        for batch in small_batches(missing):
            await self._take_batch(batch)
        await in_parallel((blob for blob in missing if not is_small(blob)), self._take)
        self._tell(self._count.done, self._count.total)

    async def _take_batch(self, batch: list[Blob]) -> None:
        contents = await read_small(self._connection, self._namespace, batch, capability=self._capability)
        wanted = [(blob.digest, contents[blob.digest]) for blob in batch]
        await self._service.write_small(self._namespace, wanted)
        self._completed += len(batch)
        self._count.add(sum(blob.size_bytes for blob in batch))

    async def _take(self, blob: Blob) -> None:
        count = BlobCount(self._count)
        patience = Patience()
        began = 0
        foreign_bytes_forgiven = False
        while True:
            try:
                async with self._service.open_upload(self._namespace, blob) as upload:
                    began = upload.offset
                    count.at(began)
                    if not upload.complete:
                        await self._receive(blob, upload, count)
            except DigestMismatchError:
                # The bytes that were here may have been another writer's; they are discarded now.
                if foreign_bytes_forgiven or not began:
                    raise
                foreign_bytes_forgiven = True
            except (UnavailableError, ConflictError, OffsetOutOfRangeError) as error:
                await patience.wait(error, began)
            else:
                self._completed += 1
                return

    async def _receive(self, blob: Blob, upload: UploadStream, count: BlobCount) -> None:
        stream = read_messages(
            self._connection, self._namespace, blob.digest, offset=upload.offset, capability=self._capability
        )
        async with contextlib.aclosing(stream) as messages:
            async for message in messages:
                chunk = decode_chunk(message)
                await upload.append(chunk.offset, chunk.data)
                count.at(upload.offset)
        await upload.finish()


async def fetch_into_store(
    connection: RegistryConnection,
    namespace: str,
    blobs: Sequence[Blob],
    service: BlobsService,
    *,
    capability: bytes = b"",
    progress: Callable[[FetchProgress], None] | None = None,
) -> None:
    """Fetch the blobs that a namespace lacks from another registry.

    Args:
        connection: The registry that has them.
        namespace: The namespace, there and here.
        blobs: The blobs.
        service: This registry's blobs.
        capability: The right to read them there.
        progress: Told how far it is; called on the event loop, often, and must be quick.

    Raises:
        DigestMismatchError: What came is not what was asked for; nothing of that blob is kept.
        PermissionDeniedError: The other registry does not let these be read.
        StorageFullError: There is no room here.
        UnavailableError: The other registry was away for too long, or the disk or the database failed.
        CarnetError: A call failed otherwise.
    """
    await _Fetching(connection, namespace, service, capability, progress).run(blobs)
