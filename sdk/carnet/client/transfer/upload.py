"""Up: from local files to a registry, which hashes what it is given.

Responsible for sending only what is missing: small files in batches, large ones as streams.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.client.transfer.blobs import is_small, small_batches
from carnet.client.transfer.calls import find_missing, write_small
from carnet.client.transfer.counting import BlobCount, ByteCount
from carnet.client.transfer.local_files import file_messages, read_files
from carnet.client.transfer.parallel import in_parallel
from carnet.client.transfer.writing import write_resumably

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet.client.connection import RegistryConnection
    from carnet.client.transfer.blobs import LocalBlob


async def upload_files(
    connection: RegistryConnection,
    namespace: str,
    files: Sequence[LocalBlob],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Give a namespace the bytes of local files; those that it has been given before are passed over.

    Args:
        connection: The registry.
        namespace: The namespace that is given them.
        files: The files; a digest may stand there twice.
        progress: Told of bytes done and bytes in all.

    Raises:
        FileUnreadableError: A file cannot be read, or is shorter than was said.
        DigestMismatchError: A file's bytes are not those of its digest.
        StorageFullError: The registry has no room.
        UnavailableError: The registry was away for too long.
        CarnetError: A call failed otherwise.
    """
    unique = list({file.digest: file for file in files}.values())
    missing = await find_missing(connection, namespace, unique)
    count = ByteCount(sum(file.size_bytes for file in unique), progress)
    count.add(count.total - sum(file.size_bytes for file in missing))
    for batch in small_batches(missing):
        await write_small(connection, namespace, await asyncio.to_thread(read_files, batch))
        count.add(sum(file.size_bytes for file in batch))

    async def upload(file: LocalBlob) -> None:
        await write_resumably(
            connection, namespace, file, lambda offset: file_messages(file, offset), BlobCount(count)
        )

    await in_parallel((file for file in missing if not is_small(file)), upload)
