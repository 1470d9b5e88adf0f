"""Down: from a registry to new local files, or to memory where blobs are small.

Responsible for taking a large blob in a few pieces ahead of the disk and no more, and for going on at the
byte where a stream broke. What is not the blob that was asked for leaves no file behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from carnet.client.blob_codec import decode_chunk
from carnet.client.transfer.blobs import LocalBlob, is_small, small_batches
from carnet.client.transfer.calls import mismatch, read_messages, read_small
from carnet.client.transfer.counting import BlobCount, ByteCount
from carnet.client.transfer.local_files import NewFile, write_files
from carnet.client.transfer.parallel import in_parallel
from carnet.client.transfer.patience import Patience
from carnet.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from pathlib import Path

    from carnet.client.connection import RegistryConnection
    from carnet.client.transfer.blobs import NamedBlob

PIECES_AHEAD = 4


async def download_files(
    connection: RegistryConnection,
    namespace: str,
    files: Sequence[LocalBlob],
    *,
    capability: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fetch blobs into new files, verified and durable; their folders are there already.

    Args:
        connection: The registry.
        namespace: Where they are read.
        files: Where each blob goes; a digest may stand there twice.
        capability: A right to read, for a caller with no role in the namespace.
        progress: Told of bytes done and bytes in all.

    Raises:
        AlreadyExistsError: A file is there already.
        DigestMismatchError: What came is not what was asked for.
        StorageFullError: The local disk is full.
        FileUnreadableError: A file cannot be written.
        UnavailableError: The registry was away for too long.
        CarnetError: A call failed otherwise.
    """
    count = ByteCount(sum(file.size_bytes for file in files), progress)
    for batch in small_batches(files):
        unique = list({file.digest: file for file in batch}.values())
        contents = await read_small(connection, namespace, unique, capability=capability)
        await asyncio.to_thread(write_files, batch, contents)
        count.add(sum(file.size_bytes for file in batch))

    async def download(file: LocalBlob) -> None:
        await _download(connection, namespace, file, capability, BlobCount(count))

    await in_parallel((file for file in files if not is_small(file)), download)


async def download_blob(
    connection: RegistryConnection,
    namespace: str,
    digest: str,
    size_bytes: int,
    path: Path,
    *,
    capability: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Fetch one blob into a new file, as a stream; see ``download_files`` for the rest."""
    count = BlobCount(ByteCount(size_bytes, progress))
    await _download(connection, namespace, LocalBlob(path, digest, size_bytes), capability, count)


async def download_small(
    connection: RegistryConnection, namespace: str, blobs: Iterable[NamedBlob], *, capability: bytes = b""
) -> AsyncIterator[tuple[str, bytes]]:
    """Fetch small blobs in batches.

    Args:
        connection: The registry.
        namespace: Where they are read.
        blobs: The blobs; those that are not small are passed over.
        capability: A right to read, for a caller with no role in the namespace.

    Yields:
        The digest and the verified bytes of each.

    Raises:
        DigestMismatchError: What came is not what was asked for.
        CarnetError: A call failed.
    """
    for batch in small_batches(blobs):
        contents = await read_small(connection, namespace, batch, capability=capability)
        for digest, data in contents.items():
            yield digest, data


async def _download(
    connection: RegistryConnection, namespace: str, file: LocalBlob, capability: bytes, count: BlobCount
) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="blob-file") as thread:
        target = await loop.run_in_executor(thread, NewFile, file)
        try:
            patience = Patience()
            while target.ahead < file.size_bytes:
                try:
                    await _receive(
                        connection, namespace, target, thread=thread, capability=capability, count=count
                    )
                except UnavailableError as error:
                    await patience.wait(error, target.ahead)
            await loop.run_in_executor(thread, target.finish)
        except BaseException:
            thread.submit(target.discard)
            raise


async def _receive(
    connection: RegistryConnection,
    namespace: str,
    target: NewFile,
    *,
    thread: ThreadPoolExecutor,
    capability: bytes,
    count: BlobCount,
) -> None:
    """Take in a blob from where its file stands, a few pieces ahead of the disk."""
    loop = asyncio.get_running_loop()
    file = target.file
    pieces: deque[asyncio.Future[None]] = deque()
    stream = read_messages(connection, namespace, file.digest, offset=target.ahead, capability=capability)
    try:
        async with contextlib.aclosing(stream) as messages:
            async for message in messages:
                chunk = decode_chunk(message)
                if chunk.offset != target.ahead or chunk.offset + len(chunk.data) > file.size_bytes:
                    raise mismatch(connection, file.digest)
                target.ahead += len(chunk.data)
                pieces.append(loop.run_in_executor(thread, target.append, chunk.data))
                count.at(target.ahead)
                if len(pieces) > PIECES_AHEAD:
                    await pieces.popleft()
    finally:
        written = await asyncio.gather(*pieces, return_exceptions=True)
    for outcome in written:
        if isinstance(outcome, BaseException):
            raise outcome
    if target.ahead != file.size_bytes:
        raise mismatch(connection, file.digest)
