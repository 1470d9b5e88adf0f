"""Blobs that are in a bucket: reading their objects so that nothing damaged gets by.

Responsible for the comparison of every object with its digest before anybody sees its bytes; one that does
not fit is read once more, since a transfer can go wrong too. Everything here blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import DataLossError
from carnet_server.blobs.objects.attempts import read_attempt
from carnet_server.blobs.objects.index import MAX_INDEX_BYTES, Index, parse_index
from carnet_server.blobs.objects.names import PART_BYTES, PartName, index_path, single_path
from carnet_server.blobs.ranges import data_loss

if TYPE_CHECKING:
    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.objects.bucket import Bucket

_READINGS = 2


def is_single(blob: Blob) -> bool:
    """Tell whether a blob is one object."""
    return blob.size_bytes <= PART_BYTES


def fetch_verified(bucket: Bucket, path: str, digest: str, size_bytes: int) -> memoryview | None:
    """Read an object whose bytes are known by their digest.

    Args:
        bucket: Where.
        path: The object's.
        digest: The SHA-256 that its bytes must have.
        size_bytes: How many bytes it must have.

    Returns:
        The bytes; None when they are not there, or were wrong twice.

    Raises:
        UnavailableError: The store failed.
    """
    for _ in range(_READINGS):
        data = bucket.get(path, at_most=size_bytes)
        if data is None:
            return None
        if len(data) == size_bytes and sha256_hex(data) == digest:
            return data
    return None


def fetch_single(bucket: Bucket, blob: Blob) -> memoryview:
    """Read a small blob.

    Raises:
        DataLossError: The stored bytes are damaged or gone.
        UnavailableError: The store failed.
    """
    data = fetch_verified(bucket, single_path(blob.digest), blob.digest, blob.size_bytes)
    if data is None:
        raise data_loss(blob.digest, "the object is gone or is not what was written")
    return data


def fetch_index(bucket: Bucket, blob: Blob) -> Index:
    """Read a large blob's index.

    Raises:
        DataLossError: It is damaged or gone, or is about a blob of another size.
        UnavailableError: The store failed.
    """
    index = find_index(bucket, blob.digest)
    if index is None:
        raise data_loss(blob.digest, "their index is gone")
    if index.size_bytes != blob.size_bytes:
        raise data_loss(
            blob.digest, f"their index is about {index.size_bytes} bytes instead of {blob.size_bytes}"
        )
    return index


def find_index(bucket: Bucket, digest: str) -> Index | None:
    """Read a blob's index; None when there is none.

    Raises:
        DataLossError: It is damaged.
        UnavailableError: The store failed.
    """
    for readings_left in reversed(range(_READINGS)):
        data = bucket.get(index_path(digest), at_most=MAX_INDEX_BYTES)
        if data is None:
            return None
        try:
            return parse_index(data, digest)
        except DataLossError:
            if not readings_left:
                raise
    return None


def parts_are_there(bucket: Bucket, index: Index) -> bool:
    """Tell whether every part that an index names is there with its size; their bytes are not read.

    Raises:
        UnavailableError: The store failed.
    """
    sizes = read_attempt(bucket, index.attempt).sizes
    return all(
        sizes.get(PartName(number, digest)) == index.size_of(number)
        for number, digest in enumerate(index.parts)
    )


def is_stored(bucket: Bucket, blob: Blob) -> bool:
    """Tell whether a blob is there whole, by presence and size.

    Raises:
        UnavailableError: The store failed.
    """
    if is_single(blob):
        return bucket.size_of(single_path(blob.digest)) == blob.size_bytes
    try:
        index = find_index(bucket, blob.digest)
    except DataLossError:
        return False
    return index is not None and index.size_bytes == blob.size_bytes and parts_are_there(bucket, index)


def store_single(bucket: Bucket, digest: str, data: bytes | memoryview) -> None:
    """Store a small blob, or agree with whoever did; what is there and is not the blob is replaced.

    Args:
        bucket: Where.
        digest: The blob's, which is that of the bytes.
        data: The bytes.

    Raises:
        StorageFullError: The store has no room.
        UnavailableError: The store failed.
    """
    path = single_path(digest)
    if not bucket.create(path, data) and fetch_verified(bucket, path, digest, len(data)) is None:
        bucket.put(path, data)
