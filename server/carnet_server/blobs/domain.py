"""What a blob is, and the limits of what may be asked about blobs.

Pure: no files, no database, no transport.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import InvalidInputError, MessageTooLargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE_BYTES = 512 << 10
MAX_CHUNK_BYTES = 1 << 20
MAX_BLOB_BYTES = 1 << 40
MAX_FIND = 10_000
MAX_BATCH_BLOBS = 1_000
MAX_BATCH_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob's name and size.

    Attributes:
        digest: The SHA-256 of the bytes.
        size_bytes: How many bytes.
    """

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UploadState:
    """Where an upload stands.

    Attributes:
        committed_bytes: How many bytes are held; a write goes on from here.
        complete: Whether the namespace has the blob whole.
    """

    committed_bytes: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of a stored blob's bytes.

    Attributes:
        offset: Where the bytes begin in the blob.
        data: The bytes.
    """

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection took away.

    Attributes:
        uploads: Unfinished uploads that nobody went on with.
        possessions: Blobs of a namespace that no version names.
        blobs: Stored files that no namespace has.
    """

    uploads: int
    possessions: int
    blobs: int


def check_blob(digest: str, size_bytes: int, *, field: str) -> Blob:
    """Return a blob's name and size if they can be one's.

    Args:
        digest: The digest as received.
        size_bytes: The size as received.
        field: The request's field, for the error message.

    Raises:
        InvalidInputError: The digest is malformed or the size impossible.
    """
    check_digest(digest, field=f"{field}.digest")
    if not 0 <= size_bytes <= MAX_BLOB_BYTES:
        raise InvalidInputError(
            f"{field}.size_bytes: {size_bytes} is not the size of a blob: 0 to {MAX_BLOB_BYTES} bytes",
            metadata={"field": f"{field}.size_bytes"},
        )
    return Blob(digest, size_bytes)


def check_batch(sizes: Sequence[int], *, field: str) -> None:
    """Insist that blobs are few and small enough to travel in one message.

    Args:
        sizes: The size of each, in bytes.
        field: The request's field, for the error message.

    Raises:
        MessageTooLargeError: They are not.
    """
    if len(sizes) > MAX_BATCH_BLOBS or sum(sizes) > MAX_BATCH_BYTES:
        raise MessageTooLargeError(
            f"{field}: {len(sizes)} blobs of {sum(sizes)} bytes in all; a batch has {MAX_BATCH_BLOBS} blobs "
            f"and {MAX_BATCH_BYTES} bytes at most: send several, and stream what is large",
            metadata={"field": field},
        )


def check_find(count: int) -> None:
    """Insist that a question about missing blobs is not too long.

    Raises:
        MessageTooLargeError: It is.
    """
    if count > MAX_FIND:
        raise MessageTooLargeError(
            f"blobs: {count} blobs; ask about {MAX_FIND} at most, in several calls",
            metadata={"field": "blobs"},
        )
