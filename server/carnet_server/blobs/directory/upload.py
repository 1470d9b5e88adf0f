"""One blob on its way in: a file beside the store that grows until its bytes are those of its digest.

Responsible for resuming, for one writer at a time, and for the file becoming a stored blob only whole,
verified and durable: write → fsync → rename → fsync of the folder.

Invariants: the length of the file is what is held; it is synced at intervals, so that a crash of the machine
costs little of it. Every byte is hashed in this process, those that an
earlier writer left included, so that neither a length nor a tail that a crash left is ever believed. Whoever
holds the lock on the file at its path is the only one who changes, renames or removes it; the lock
goes with the process, whichever process it is.

Not responsible for who may write, nor for whose the blob then is. Everything here blocks; an upload is used
by one thread at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import TYPE_CHECKING

from carnet.errors import (
    CarnetError,
    ConflictError,
    DigestMismatchError,
    OffsetOutOfRangeError,
    StorageFullError,
)
from carnet_server.blobs.directory.errors import typed_write_errors, write_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet_server.blobs.domain import Blob

REHASH_BYTES = 1 << 20
SYNC_BYTES = 64 << 20
STORED_MODE = 0o400


def lock_file(path: Path, *, create: bool) -> int | None:
    """Open a file and lock it, for as long as the descriptor is open.

    Args:
        path: The file.
        create: Whether to make it where there is none.

    Returns:
        The descriptor; None when another holds the lock.

    Raises:
        OSError: It cannot be opened.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    while True:
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was renamed or removed between our open and our lock


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of some bytes, however often the system takes only a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class Upload:
    """The upload of one blob.

    Args:
        part: The file that grows.
        place_for: Says where the blob of a digest goes when it is whole, in a folder that is there, durably.
        blob: Its name and size.

    Raises:
        ConflictError: Another is writing this blob to this namespace now.
        StorageFullError: There is no room for what is still to come.
        UnavailableError: The disk failed.
    """

    def __init__(self, part: Path, place_for: Callable[[str], Path], blob: Blob) -> None:
        self._part = part
        self._place_for = place_for
        self._blob = blob
        self._hash = hashlib.sha256()
        self.offset = 0
        with typed_write_errors():
            descriptor = lock_file(part, create=True)
            if descriptor is None:
                raise ConflictError(
                    f"blob {blob.digest} is being written to this namespace by another caller: ask again "
                    "where its upload stands, and go on when it has stopped"
                )
            self._descriptor = descriptor
            try:
                self._take_up()
                self._check_room()
            except StorageFullError:
                self.discard()
                raise
            except BaseException:
                self.close()
                raise

    def _take_up(self) -> None:
        """Hash what is there; more than the blob can have is of no use."""
        if os.fstat(self._descriptor).st_size > self._blob.size_bytes:
            os.ftruncate(self._descriptor, 0)
        buffer = bytearray(REHASH_BYTES)
        view = memoryview(buffer)
        while count := os.readv(self._descriptor, [buffer]):
            self._hash.update(view[:count])
            self.offset += count

    def _check_room(self) -> None:
        disk = os.fstatvfs(self._descriptor)
        room = disk.f_bavail * disk.f_frsize
        wanted = self._blob.size_bytes - self.offset
        if wanted > room:
            raise StorageFullError(
                f"the disk of the blob store has room for {room} bytes and blob {self._blob.digest} needs "
                f"{wanted} more: nothing was stored; free some room and try again"
            )

    def append(self, data: bytes | memoryview) -> None:
        """Hash and write the next bytes.

        Args:
            data: The bytes from ``offset`` on.

        Raises:
            OffsetOutOfRangeError: They reach past the blob's size; none of them is written.
            StorageFullError: The disk is full; the upload is discarded.
            UnavailableError: The disk failed.
        """
        end = self.offset + len(data)
        if end > self._blob.size_bytes:
            raise OffsetOutOfRangeError(
                f"blob {self._blob.digest} has {self._blob.size_bytes} bytes and the data reaches to {end}",
                metadata={"committedBytes": str(self.offset)},
            )
        try:
            write_all(self._descriptor, data)
            if self.offset // SYNC_BYTES != end // SYNC_BYTES:
                os.fsync(self._descriptor)
        except OSError as error:
            raise self._given_up(error) from error
        self._hash.update(data)
        self.offset = end

    def finish(self) -> None:
        """Verify the whole and put it into the store, durably; the upload is closed.

        Raises:
            OffsetOutOfRangeError: Bytes are wanting; what is there is kept.
            DigestMismatchError: The bytes are not those of the digest; they are discarded.
            StorageFullError: The disk is full; the upload is discarded.
            UnavailableError: The disk failed.
        """
        blob = self._blob
        if self.offset != blob.size_bytes:
            self.close()
            raise OffsetOutOfRangeError(
                f"the write of blob {blob.digest} ended after {self.offset} of {blob.size_bytes} bytes: go "
                "on from there",
                metadata={"committedBytes": str(self.offset)},
            )
        if (found := self._hash.hexdigest()) != blob.digest:
            self.discard()
            raise DigestMismatchError(
                f"the {blob.size_bytes} bytes that were written as blob {blob.digest} have the digest "
                f"{found}: they were discarded",
                metadata={"expected": blob.digest, "found": found},
            )
        try:
            os.utime(self._descriptor)
            os.fchmod(self._descriptor, STORED_MODE)
            os.fsync(self._descriptor)
            stored = self._place_for(blob.digest)
            self._part.rename(stored)
            sync_folder(stored.parent)
        except OSError as error:
            raise self._given_up(error) from error
        self.close()

    def discard(self) -> None:
        """Remove what was written, and close."""
        if self._descriptor >= 0:
            with typed_write_errors():
                self._part.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the upload, whose bytes stay to be gone on with; may be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _given_up(self, error: OSError) -> CarnetError:
        """Return the typed error of a failed write; the file's end may not be what was hashed, so close."""
        failure = write_error(error)
        if isinstance(failure, StorageFullError):
            self.discard()
        self.close()
        return failure
