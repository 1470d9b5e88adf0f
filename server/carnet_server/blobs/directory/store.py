"""The directory that holds every blob of an environment, each under its digest.

Responsible for where files are and for their durability::

    blobs/sha256/ab/cdef…             a stored blob: whole, verified, durable, read-only
    uploads/<namespace>/<digest>.part  an upload, see ``carnet_server.blobs.directory.upload``
    uploads/<namespace>/*.tmp          a small blob in the instant of its writing

Invariants: a file gets to its place under ``blobs`` only by a rename after its bytes were verified and
synced, so writing a blob again mends it. Bytes are stored once, however many namespaces have them.

``carnet_server.blobs.port`` says what a store promises. Not responsible for who has a blob, nor for deciding
what may go. Everything here blocks. Namespaces and digests are names that were checked before.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from carnet.canonical import DIGEST_PATTERN, sha256_hex
from carnet.errors import DigestMismatchError
from carnet_server.blobs.directory.errors import typed_read_errors, typed_write_errors
from carnet_server.blobs.directory.reader import BlobReader
from carnet_server.blobs.directory.upload import STORED_MODE, Upload, lock_file, sync_folder, write_all
from carnet_server.blobs.domain import Blob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

_HASH_NAME = hashlib.sha256().name
_FAN_OUT = tuple(f"{number:02x}" for number in range(256))


class DirectoryStore:
    """A store of blobs in a directory.

    Args:
        root: The directory; it is made where there is none.

    Raises:
        StorageFullError: The disk is full.
        UnavailableError: The directory cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self._stored = root / "blobs" / _HASH_NAME
        self._uploads = root / "uploads"
        with typed_write_errors():
            self._uploads.mkdir(parents=True, exist_ok=True)
            self._stored.mkdir(parents=True, exist_ok=True)
            for folder in (self._stored, self._stored.parent, root):
                sync_folder(folder)
        self._shelves: set[Path] = set()  # the folders of blobs whose names this process knows to be durable

    def path_of(self, digest: str) -> Path:
        """Return where a stored blob is, whether it is there or not."""
        return self._stored / digest[:2] / digest[2:]

    def _place_for(self, digest: str) -> Path:
        """Return where a blob is to be stored, in a folder that is there and durable."""
        self._make_shelves([digest])
        return self.path_of(digest)

    def _make_shelves(self, digests: Iterable[str]) -> None:
        """Make the folders that blobs will lie in, durably."""
        new = {self.path_of(digest).parent for digest in digests} - self._shelves
        for folder in new:
            folder.mkdir(exist_ok=True)
        if new:
            sync_folder(self._stored)
            self._shelves |= new

    def _part_of(self, namespace: str, digest: str) -> Path:
        return self._uploads / namespace / f"{digest}.part"

    def check(self) -> None:
        """Insist that the directory can be written.

        Raises:
            StorageFullError: Its disk is full.
            UnavailableError: It cannot be written.
        """
        with typed_write_errors():
            probe = self._uploads / f"{secrets.token_hex(8)}.probe"
            try:
                _write_durably(probe, b"carnet")
            finally:
                probe.unlink(missing_ok=True)

    def find_missing(self, blobs: Sequence[Blob]) -> list[Blob]:
        """Tell which blobs are not there with their size; see the port.

        Raises:
            UnavailableError: The disk failed.
        """
        return [blob for blob in blobs if not self.holds(blob)]

    def holds(self, blob: Blob) -> bool:
        """Tell whether a blob's file is there with its size; its bytes are not read.

        Raises:
            UnavailableError: The disk failed.
        """
        with typed_read_errors(blob.digest), contextlib.suppress(FileNotFoundError):
            return self.path_of(blob.digest).stat().st_size == blob.size_bytes
        return False

    def uploaded_bytes(self, namespace: str, blob: Blob) -> int:
        """Tell how much of an upload is held: where a write goes on.

        Raises:
            UnavailableError: The disk failed.
        """
        with typed_write_errors(), contextlib.suppress(FileNotFoundError):
            size_bytes = self._part_of(namespace, blob.digest).stat().st_size
            return size_bytes if size_bytes <= blob.size_bytes else 0
        return 0

    def open_upload(self, namespace: str, blob: Blob) -> Upload:
        """Begin an upload or take it up where it stands; see `Upload` for what it raises."""
        part = self._part_of(namespace, blob.digest)
        with typed_write_errors():
            part.parent.mkdir(exist_ok=True)
        return Upload(part, self._place_for, blob)

    def write_small(self, namespace: str, contents: Sequence[tuple[str, bytes]]) -> None:
        """Store small blobs, all of them or none that was not there.

        Args:
            namespace: Whose upload folder is used on the way.
            contents: Each blob's digest and bytes.

        Raises:
            DigestMismatchError: The bytes of one are not those of its digest; it is named.
            StorageFullError: The disk is full.
            UnavailableError: The disk failed.
        """
        for digest, data in contents:
            if (found := sha256_hex(data)) != digest:
                raise DigestMismatchError(
                    f"the {len(data)} bytes that were written as blob {digest} have the digest {found}: no "
                    "blob of this batch was stored",
                    metadata={"expected": digest, "found": found},
                )
        folder = self._uploads / namespace
        with typed_write_errors(), contextlib.ExitStack() as leftovers:
            folder.mkdir(exist_ok=True)
            self._make_shelves(digest for digest, _ in contents)
            moves = []
            for digest, data in contents:
                temporary = folder / f"{digest}.{secrets.token_hex(8)}.tmp"
                leftovers.callback(temporary.unlink, missing_ok=True)
                _write_durably(temporary, data)
                moves.append((temporary, self.path_of(digest)))
            for temporary, stored in moves:
                temporary.rename(stored)
            for stored_folder in {stored.parent for _, stored in moves}:
                sync_folder(stored_folder)

    def open_blob(self, blob: Blob, offset: int = 0, length: int = 0) -> BlobReader:
        """Begin to read a stored blob; see `BlobReader` for the arguments and for what it raises."""
        return BlobReader(self.path_of(blob.digest), blob, offset, length)

    def read_small(self, blob: Blob) -> bytes:
        """Read a small blob whole.

        Raises:
            DataLossError: The stored bytes are damaged or gone.
            UnavailableError: The disk failed.
        """
        with contextlib.closing(self.open_blob(blob)) as reader:
            return b"".join(piece.data for piece in iter(reader.next_piece, None))

    def discard_uploads(self, before: datetime) -> int:
        """Remove the uploads that nobody wrote to since a time and nobody writes to now.

        Args:
            before: The time.

        Returns:
            How many were removed.

        Raises:
            UnavailableError: The disk failed.
        """
        removed = 0
        with typed_write_errors():
            for path in self._uploads.glob("*/*"):
                removed += _is_older(path, before) and _remove_unless_locked(path)
        return removed

    def stored_before(self, before: datetime) -> Iterator[str]:
        """Yield the digest of every stored file that was written before a time.

        Args:
            before: The time.

        Raises:
            UnavailableError: The disk failed.
        """
        for name in _FAN_OUT:
            paths: list[Path] = []
            with typed_write_errors(), contextlib.suppress(FileNotFoundError):
                paths = list((self._stored / name).iterdir())
            for path in paths:
                digest = name + path.name
                if DIGEST_PATTERN.fullmatch(digest) and _is_older(path, before):
                    yield digest

    def find(self, digest: str) -> Blob | None:
        """Tell how large a stored blob's file is; None when there is none.

        Raises:
            UnavailableError: The disk failed.
        """
        with typed_read_errors(digest), contextlib.suppress(FileNotFoundError):
            return Blob(digest, self.path_of(digest).stat().st_size)
        return None

    def remove(self, digest: str) -> bool:
        """Take a blob out of the store.

        Returns:
            Whether it was there.

        Raises:
            UnavailableError: The disk failed.
        """
        with typed_write_errors():
            try:
                self.path_of(digest).unlink()
            except FileNotFoundError:
                return False
        return True

    def close(self) -> None:
        """Let go of nothing: a directory is not held open."""


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, STORED_MODE)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_older(path: Path, before: datetime) -> bool:
    try:
        return path.stat().st_mtime < before.timestamp()
    except FileNotFoundError:
        return False


def _remove_unless_locked(path: Path) -> bool:
    try:
        descriptor = lock_file(path, create=False)
    except FileNotFoundError:
        return False
    if descriptor is None:
        return False
    try:
        path.unlink()
    finally:
        os.close(descriptor)
    return True
