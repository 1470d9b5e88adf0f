"""The files at the near end of a transfer: read piece by piece, or written, hashed and verified.

Responsible for what a file's bytes must be: as long as was said when it goes up, and the blob that was asked
for when it came down, or gone again. Errors of the file system leave here as typed ones. Knows no registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from carnet.client.blob_codec import encode_read_response
from carnet.errors import AlreadyExistsError, DigestMismatchError, FileUnreadableError, StorageFullError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
    from pathlib import Path

    from carnet.client.transfer.blobs import LocalBlob

PIECE_BYTES = 512 << 10


def read_files(batch: Sequence[LocalBlob]) -> dict[str, bytes]:
    """Read a batch of small files.

    Args:
        batch: The files.

    Returns:
        The bytes of each, by digest.

    Raises:
        FileUnreadableError: A file cannot be read, or is not as long as was said.
    """
    contents = {}
    for file in batch:
        with _typed_file_errors(file.path):
            data = file.path.read_bytes()
        if len(data) != file.size_bytes:
            raise _changed(file, len(data))
        contents[file.digest] = data
    return contents


async def file_messages(file: LocalBlob, offset: int) -> AsyncGenerator[bytes, None]:
    """Read a file from an offset on, one piece ahead of whoever takes them.

    Args:
        file: The file.
        offset: The first byte that is wanted.

    Yields:
        ``ReadBlobResponse`` messages, encoded.

    Raises:
        FileUnreadableError: The file cannot be read, or is shorter than was said.
    """
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


def write_files(batch: Sequence[LocalBlob], contents: Mapping[str, bytes]) -> None:
    """Write a batch of small blobs to new files, verified and durable.

    Args:
        batch: The files.
        contents: The bytes of each, by digest.

    Raises:
        AlreadyExistsError: A file is there already.
        DigestMismatchError: The bytes are not those of the digest; the file is gone again.
        StorageFullError: The disk is full.
        FileUnreadableError: A file cannot be written.
    """
    for file in batch:
        target = NewFile(file)
        try:
            target.append(memoryview(contents[file.digest]))
            target.finish()
        except BaseException:
            target.discard()
            raise


class NewFile:
    """A file that a blob is written to and hashed for; all but ``file`` and ``ahead`` is one thread's.

    Args:
        file: Where it is to be, and the blob that it is to have; it must not exist.

    Attributes:
        file: The same.
        ahead: How many bytes came so far, written or on their way; kept by whoever takes them in.

    Raises:
        AlreadyExistsError: The file is there already.
        StorageFullError: The disk is full.
        FileUnreadableError: It cannot be made.
    """

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


def _changed(file: LocalBlob, found: int) -> FileUnreadableError:
    return FileUnreadableError(
        f"{file.path}: {found} bytes instead of {file.size_bytes}: it changed since it was hashed; try again"
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
