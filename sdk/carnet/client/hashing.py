"""Hashing what a registry stores, without storing it here.

Responsible for reading every blob of a version once and comparing its bytes with its digest. Nothing touches
this disk, and memory stays flat whatever a file's size.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING

from carnet.client.blob_codec import decode_chunk
from carnet.client.transfer import (
    BlobCount,
    ByteCount,
    NamedBlob,
    download_small,
    in_parallel,
    is_small,
    read_messages,
)
from carnet.errors import DigestMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from carnet.client.connection import RegistryConnection


async def hash_blobs(
    connection: RegistryConnection,
    namespace: str,
    blobs: Iterable[NamedBlob],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Read blobs and verify that each is the bytes of its digest.

    Args:
        connection: The registry.
        namespace: Where they are read.
        blobs: The blobs; a digest may stand there twice, and is read once.
        progress: Told of bytes done and bytes in all.

    Raises:
        DigestMismatchError: One is something else.
        DataLossError: The registry found that its stored bytes are damaged.
        CarnetError: A call failed otherwise.
    """
    unique = list({blob.digest: blob for blob in blobs}.values())
    count = ByteCount(sum(blob.size_bytes for blob in unique), progress)
    async for _, data in download_small(connection, namespace, unique):
        count.add(len(data))

    async def verify(blob: NamedBlob) -> None:
        await _hash_one(connection, namespace, blob, BlobCount(count))

    await in_parallel((blob for blob in unique if not is_small(blob)), verify)


async def _hash_one(
    connection: RegistryConnection, namespace: str, blob: NamedBlob, count: BlobCount
) -> None:
    hasher = hashlib.sha256()
    reached = 0
    async with contextlib.aclosing(read_messages(connection, namespace, blob.digest)) as messages:
        async for message in messages:
            chunk = decode_chunk(message)
            await asyncio.to_thread(hasher.update, chunk.data)
            reached += len(chunk.data)
            count.at(reached)
    if reached != blob.size_bytes or hasher.hexdigest() != blob.digest:
        raise DigestMismatchError(
            f"{connection.peer} answered with other bytes for blob {blob.digest} ({reached} bytes)",
            metadata={"expected": blob.digest, "found": hasher.hexdigest()},
        )
