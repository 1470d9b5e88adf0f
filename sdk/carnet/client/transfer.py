"""Carrying blobs: up from files, down to files, and through from one registry to another.

Responsible for what all of these share: only what is missing is sent, small blobs travel in batches, large
ones as streams of pieces that go on at the byte where they stopped, a peer that is away is waited for as
long as there is progress, and memory stays flat however large a blob is. What comes down is hashed as it is
written and is gone again if it is not what was asked for; what goes up is hashed by the registry.

Progress is told as bytes done and bytes in all, of what the function was asked to carry; what was there
already counts as done. Does not know manifests, and decides nothing about who may read or write.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import random
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import grpc
import grpc.aio

from carnet.canonical import sha256_hex
from carnet.client.blob_codec import WriteHeader, decode_chunk, encode_first, encode_read_response
from carnet.client.channel import typed_errors
from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    ConflictError,
    DigestMismatchError,
    FileUnreadableError,
    OffsetOutOfRangeError,
    StorageFullError,
    UnavailableError,
)
from carnet.references import ResourceName
from carnet.registry.v1 import blobs_pb2

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from pathlib import Path

    from carnet.client.connection import RegistryConnection

SMALL_BLOB_BYTES = 64 << 10
BATCH_BYTES = 2 << 20
BATCH_BLOBS = 1_000
FIND_BLOBS = 10_000
PIECE_BYTES = 512 << 10
PIECES_AHEAD = 4
STREAMS = 2
ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0
LATE_ANSWER_SECONDS = 1.0
LATE_ANSWER_LOOKS = 50

_READ_METHOD = "/carnet.registry.v1.BlobService/ReadBlob"
_WRITE_METHOD = "/carnet.registry.v1.BlobService/WriteBlob"

Item = TypeVar("Item")


class NamedBlob(Protocol):
    """Anything that names a blob: ``LocalBlob``, a ``BlobRef`` of the contract, a file of a manifest."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes."""

    @property
    def size_bytes(self) -> int:
        """How many bytes."""


Blob = TypeVar("Blob", bound=NamedBlob)


@dataclass(frozen=True, slots=True)
class LocalBlob:
    """A blob and the local file that has its bytes, or is to have them.

    Attributes:
        path: The file.
        digest: The SHA-256 of the bytes.
        size_bytes: How many bytes.
    """

    path: Path
    digest: str
    size_bytes: int


class Patience:
    """How often something is tried again: as long as it moves, and a few times where it does not."""

    def __init__(self) -> None:
        self._reached = -1
        self._failures = 0

    async def wait(self, error: CarnetError, reached: int) -> None:
        """Wait before the next attempt.

        Args:
            error: Why the last one failed.
            reached: How far things are, in bytes; having come further starts the count anew.

        Raises:
            CarnetError: The error, when it has been tried often enough.
        """
        self._failures = 1 if reached > self._reached else self._failures + 1
        self._reached = max(self._reached, reached)
        if self._failures > ATTEMPTS:
            raise error
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1), MAX_PAUSE_SECONDS)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  jitter


class ByteCount:
    """Counts the bytes of a transfer that is made of several.

    Args:
        total: Bytes in all.
        progress: Told of bytes done and bytes in all; None for nobody.
    """

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self.total = total
        self.done = 0
        self._progress = progress

    def add(self, count: int) -> None:
        """Count bytes; fewer than none where some have to be carried again."""
        self.done += count
        if self._progress is not None and count:
            self._progress(self.done, self.total)


class BlobCount:
    """Counts the bytes of one blob within a transfer.

    Args:
        count: The transfer's.
    """

    def __init__(self, count: ByteCount) -> None:
        self._count = count
        self._reached = 0

    def at(self, reached: int) -> None:
        """Say how many of the blob's bytes are done."""
        self._count.add(reached - self._reached)
        self._reached = reached


# --- sorting work -----------------------------------------------------------------------------------------


def is_small(blob: NamedBlob) -> bool:
    """Tell whether a blob travels in a batch."""
    return blob.size_bytes <= SMALL_BLOB_BYTES


def small_batches(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """Group those blobs that are small into batches within the limits of one message."""
    batch: list[Blob] = []
    size_bytes = 0
    for blob in filter(is_small, blobs):
        if batch and (len(batch) == BATCH_BLOBS or size_bytes + blob.size_bytes > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(blob)
        size_bytes += blob.size_bytes
    if batch:
        yield batch


async def in_parallel(
    items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, at_once: int = STREAMS
) -> None:
    """Work on items, a few at once; the first failure cancels the others and is raised as it is.

    Args:
        items: What to work on.
        work: Works on one.
        at_once: How many at the same time.

    Raises:
        CarnetError: What ``work`` raised.
    """
    queue = iter(items)

    async def worker() -> None:
        for item in queue:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(worker())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


# --- calls ------------------------------------------------------------------------------------------------


def _parent(namespace: str) -> str:
    return str(ResourceName(namespace))


async def find_missing(connection: RegistryConnection, namespace: str, blobs: Iterable[Blob]) -> list[Blob]:
    """Ask a registry which blobs a namespace has not been given.

    Args:
        connection: The registry.
        namespace: Whose.
        blobs: The blobs; one that is named twice is asked about once.

    Returns:
        The missing ones, in their order.

    Raises:
        CarnetError: The call failed.
    """
    unique = list({blob.digest: blob for blob in blobs}.values())
    missing: set[str] = set()
    for start in range(0, len(unique), FIND_BLOBS):
        refs = [
            blobs_pb2.BlobRef(digest=b.digest, size_bytes=b.size_bytes) for b in unique[start:][:FIND_BLOBS]
        ]
        request = blobs_pb2.FindMissingBlobsRequest(parent=_parent(namespace), blobs=refs)
        answer = await connection.call(connection.blobs.FindMissingBlobs, request)
        missing.update(blob.digest for blob in answer.missing)
    return [blob for blob in unique if blob.digest in missing]


async def read_small(
    connection: RegistryConnection, namespace: str, batch: Sequence[NamedBlob], *, capability: bytes = b""
) -> dict[str, bytes]:
    """Read one batch of small blobs and verify them.

    Args:
        connection: The registry.
        namespace: Where they are read.
        batch: The blobs, as ``small_batches`` groups them.
        capability: A right to read, for a caller with no role in the namespace.

    Returns:
        The bytes of each, by digest.

    Raises:
        DigestMismatchError: What came is not what was asked for.
        CarnetError: The call failed.
    """
    request = blobs_pb2.BatchReadBlobsRequest(
        parent=_parent(namespace), digests=[blob.digest for blob in batch], capability=capability
    )
    answer = await connection.call(connection.blobs.BatchReadBlobs, request)
    contents = {content.digest: content.data for content in answer.blobs}
    for blob in batch:
        if sha256_hex(contents.get(blob.digest, b"")) != blob.digest:
            raise _mismatch(connection, blob.digest)
    return contents


async def write_small(connection: RegistryConnection, namespace: str, contents: Mapping[str, bytes]) -> None:
    """Write one batch of small blobs.

    Args:
        connection: The registry.
        namespace: The namespace that is given them.
        contents: The bytes of each, by digest; within the limits of one message.

    Raises:
        DigestMismatchError: The bytes of one are not those of its digest; none was stored.
        CarnetError: The call failed.
    """
    request = blobs_pb2.BatchWriteBlobsRequest(
        parent=_parent(namespace),
        blobs=[blobs_pb2.BlobContent(digest=digest, data=data) for digest, data in contents.items()],
    )
    await connection.call(connection.blobs.BatchWriteBlobs, request)


async def read_messages(
    connection: RegistryConnection, namespace: str, digest: str, *, offset: int = 0, capability: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Read a blob's messages from an offset to the end, as they are on the wire.

    Args:
        connection: The registry.
        namespace: Where it is read.
        digest: The blob.
        offset: The first byte that is wanted.
        capability: A right to read, for a caller with no role in the namespace.

    Yields:
        ``ReadBlobResponse`` messages, encoded; ``decode_chunk`` reads them.

    Raises:
        CarnetError: The call failed.
    """
    method: Any = connection.channel.unary_stream(
        _READ_METHOD, request_serializer=blobs_pb2.ReadBlobRequest.SerializeToString
    )
    request = blobs_pb2.ReadBlobRequest(
        parent=_parent(namespace), digest=digest, offset=offset, capability=capability
    )
    async for message in connection.stream(method, request):
        yield message


async def _upload_state(
    connection: RegistryConnection, namespace: str, blob: NamedBlob
) -> blobs_pb2.GetUploadResponse:
    ref = blobs_pb2.BlobRef(digest=blob.digest, size_bytes=blob.size_bytes)
    request = blobs_pb2.GetUploadRequest(parent=_parent(namespace), blob=ref)
    answer: blobs_pb2.GetUploadResponse = await connection.call(connection.blobs.GetUpload, request)
    return answer


async def _write_stream(
    connection: RegistryConnection,
    namespace: str,
    blob: NamedBlob,
    messages: AsyncIterator[bytes],
    *,
    offset: int,
    count: BlobCount,
) -> None:
    """Write a blob's bytes from an offset on; the registry may have it before the last message."""
    call = _WriteCall(connection)
    header = WriteHeader(_parent(namespace), blob.digest, blob.size_bytes)
    try:
        open_for_more = await call.send(encode_first(header, offset))
        while open_for_more and (message := await anext(messages, None)) is not None:
            open_for_more = await call.send(message)
            chunk = decode_chunk(message)
            count.at(min(chunk.offset + len(chunk.data), blob.size_bytes))
        await call.answer()
    finally:
        call.cancel()
    count.at(blob.size_bytes)


class _WriteCall:
    """A call of WriteBlob that knows its answer even if that came before the last message was sent.

    gRPC's asyncio client loses such an answer: the write that then fails is INTERNAL to it, and takes the
    place of a status that was there, or is raised before the status is (grpc/grpc#36066). So the status is
    noted in the moment that it comes, and waited for when it comes late.
    """

    def __init__(self, connection: RegistryConnection) -> None:
        method: Any = connection.channel.stream_unary(
            _WRITE_METHOD, response_deserializer=blobs_pb2.WriteBlobResponse.FromString
        )
        self._peer = connection.peer
        self._noted: grpc.aio.AioRpcError | None = None
        self._call = method()
        self._call.add_done_callback(self._note)

    def _note(self, _: object) -> None:
        code, details, trailing = (
            _result_now(part())
            for part in (self._call.code, self._call.details, self._call.trailing_metadata)
        )
        self._noted = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=details)

    async def send(self, message: bytes) -> bool:
        """Send a message; return whether the registry takes more."""
        try:
            await self._call.write(message)
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            return False
        return True

    async def answer(self) -> None:
        """Wait for the registry's answer; raise it if it is an error."""
        with typed_errors(self._peer):
            with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                await self._call.done_writing()
            for _ in range(LATE_ANSWER_LOOKS):
                try:
                    await self._call
                except grpc.aio.AioRpcError as error:
                    failure = self._noted if self._noted and _is_lost(error) else error
                    if failure.code() is grpc.StatusCode.OK:
                        return
                    if not _is_lost(failure):
                        raise failure from None
                else:
                    return
                await asyncio.sleep(LATE_ANSWER_SECONDS / LATE_ANSWER_LOOKS)
        raise UnavailableError(f"{self._peer} ended a write and the reason was lost")

    def cancel(self) -> None:
        """End the call if it has not ended."""
        self._call.cancel()


def _is_lost(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether an error is the client library's own word for a write that failed."""
    return error.code() is grpc.StatusCode.INTERNAL and not error.trailing_metadata()


def _result_now(coroutine: Any) -> Any:
    """Return the result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None


async def _write_resumably(
    connection: RegistryConnection,
    namespace: str,
    blob: NamedBlob,
    messages_from: Callable[[int], AsyncGenerator[bytes, None]],
    count: BlobCount,
) -> None:
    """Write a blob from wherever its upload stands, again and again while that moves.

    The bytes that an upload stood at may be another writer's, and wrong: the registry discards them when it
    finds out, so that is tried once more from the first byte.
    """
    patience = Patience()
    foreign_bytes_forgiven = False
    while True:
        state = await _upload_state(connection, namespace, blob)
        count.at(blob.size_bytes if state.complete else state.committed_bytes)
        if state.complete:
            return
        try:
            async with contextlib.aclosing(messages_from(state.committed_bytes)) as messages:
                offset = state.committed_bytes
                await _write_stream(connection, namespace, blob, messages, offset=offset, count=count)
        except DigestMismatchError:
            if foreign_bytes_forgiven or not state.committed_bytes:
                raise
            foreign_bytes_forgiven = True
        except (UnavailableError, ConflictError, OffsetOutOfRangeError) as error:
            await patience.wait(error, state.committed_bytes)
        else:
            return


# --- up ---------------------------------------------------------------------------------------------------


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
        await write_small(connection, namespace, await asyncio.to_thread(_read_files, batch))
        count.add(sum(file.size_bytes for file in batch))

    async def upload(file: LocalBlob) -> None:
        await _write_resumably(
            connection, namespace, file, lambda offset: _file_messages(file, offset), BlobCount(count)
        )

    await in_parallel((file for file in missing if not is_small(file)), upload)


def _read_files(batch: Sequence[LocalBlob]) -> dict[str, bytes]:
    contents = {}
    for file in batch:
        with _typed_file_errors(file.path):
            data = file.path.read_bytes()
        if len(data) != file.size_bytes:
            raise _changed(file, len(data))
        contents[file.digest] = data
    return contents


async def _file_messages(file: LocalBlob, offset: int) -> AsyncGenerator[bytes, None]:
    """Read a file from an offset on, one piece ahead of whoever takes them."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="blob-file") as thread, _typed_file_errors(file.path):
        source = await loop.run_in_executor(thread, file.path.open, "rb", 0)
        with contextlib.closing(source):
            ahead = loop.run_in_executor(thread, os.pread, source.fileno(), PIECE_BYTES, offset)
            while offset < file.size_bytes:
                data = (await ahead)[: file.size_bytes - offset]
                if not data:
                    raise _changed(file, offset)
                message = encode_read_response(offset, data)
                offset += len(data)
                ahead = loop.run_in_executor(thread, os.pread, source.fileno(), PIECE_BYTES, offset)
                yield message
            await ahead


def _changed(file: LocalBlob, found: int) -> FileUnreadableError:
    return FileUnreadableError(
        f"{file.path}: {found} bytes instead of {file.size_bytes}: it changed since it was hashed; try again"
    )


# --- down -------------------------------------------------------------------------------------------------


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
        await asyncio.to_thread(_write_files, batch, contents)
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


def _write_files(batch: Sequence[LocalBlob], contents: Mapping[str, bytes]) -> None:
    for file in batch:
        target = _NewFile(file)
        try:
            target.append(memoryview(contents[file.digest]))
            target.finish()
        except BaseException:
            target.discard()
            raise


async def _download(
    connection: RegistryConnection, namespace: str, file: LocalBlob, capability: bytes, count: BlobCount
) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="blob-file") as thread:
        target = await loop.run_in_executor(thread, _NewFile, file)
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
    target: _NewFile,
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
                    raise _mismatch(connection, file.digest)
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
        raise _mismatch(connection, file.digest)


class _NewFile:
    """A file that a blob is written to and hashed for; all but ``ahead`` is one thread's."""

    def __init__(self, file: LocalBlob) -> None:
        self.file = file
        self.ahead = 0
        self._hash = hashlib.sha256()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with _typed_file_errors(file.path):
            self._descriptor = os.open(file.path, flags, 0o644)

    def append(self, data: memoryview) -> None:
        """Hash and write the next bytes."""
        with _typed_file_errors(self.file.path):
            rest = data
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        self._hash.update(data)

    def finish(self) -> None:
        """Verify the whole, make it durable, and close it."""
        if (found := self._hash.hexdigest()) != self.file.digest:
            raise DigestMismatchError(
                f"{self.file.path}: what came for blob {self.file.digest} has the digest {found}: removed",
                metadata={"expected": self.file.digest, "found": found},
            )
        with _typed_file_errors(self.file.path):
            os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def discard(self) -> None:
        """Close the file and remove it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self.file.path.unlink(missing_ok=True)


# --- through ----------------------------------------------------------------------------------------------


async def relay_blob(
    source: RegistryConnection,
    target: RegistryConnection,
    namespace_from: str,
    namespace_to: str,
    blob: NamedBlob,
    *,
    capability: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Pass a blob's messages on from one registry to another, as they are; goes on where the target stands.

    Args:
        source: The registry that has it.
        target: The registry that is to have it, and hashes it.
        namespace_from: Where it is read.
        namespace_to: The namespace that is given it.
        blob: The blob.
        capability: A right to read, for a caller with no role at the source.
        progress: Told of bytes done and bytes in all.

    Raises:
        DigestMismatchError: What the source gave is not the blob.
        UnavailableError: A registry was away for too long.
        CarnetError: A call failed otherwise.
    """
    count = BlobCount(ByteCount(blob.size_bytes, progress))
    await _write_resumably(
        target,
        namespace_to,
        blob,
        lambda offset: read_messages(
            source, namespace_from, blob.digest, offset=offset, capability=capability
        ),
        count,
    )


async def relay_small(
    source: RegistryConnection,
    target: RegistryConnection,
    namespace_from: str,
    namespace_to: str,
    blobs: Iterable[NamedBlob],
    *,
    capability: bytes = b"",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Pass those of some blobs that are small on from one registry to another; see ``relay_blob``."""
    batches = list(small_batches(blobs))
    count = ByteCount(sum(blob.size_bytes for batch in batches for blob in batch), progress)
    for batch in batches:
        await write_small(
            target, namespace_to, await read_small(source, namespace_from, batch, capability=capability)
        )
        count.add(sum(blob.size_bytes for blob in batch))


# --- errors -----------------------------------------------------------------------------------------------


def _mismatch(connection: RegistryConnection, digest: str) -> DigestMismatchError:
    return DigestMismatchError(
        f"what {connection.peer} gave for blob {digest} is not that blob", metadata={"expected": digest}
    )


@contextlib.contextmanager
def _typed_file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise AlreadyExistsError(f"{path} exists already: nothing was changed") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFullError(
                f"{path}: the disk is full ({error.strerror}); free some room and try again"
            ) from error
        raise FileUnreadableError(f"{path}: {error.strerror or error}") from error
