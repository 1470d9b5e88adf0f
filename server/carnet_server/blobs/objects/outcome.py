"""How an upload ends that does not end well: the errors of small and large ones alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import DigestMismatchError, OffsetOutOfRangeError

if TYPE_CHECKING:
    from carnet_server.blobs.domain import Blob


def past_the_end(blob: Blob, offset: int, count: int) -> OffsetOutOfRangeError:
    """Return the error of bytes that do not fit.

    Args:
        blob: What is uploaded.
        offset: Where the bytes begin.
        count: How many there are.
    """
    return OffsetOutOfRangeError(
        f"blob {blob.digest} has {blob.size_bytes} bytes and the data reaches to {offset + count}",
        metadata={"committedBytes": str(offset)},
    )


def too_few(blob: Blob, offset: int, *, kept: int) -> OffsetOutOfRangeError:
    """Return the error of an upload that ended early.

    Args:
        blob: What is uploaded.
        offset: How many bytes came.
        kept: How many of them are held.
    """
    return OffsetOutOfRangeError(
        f"the write of blob {blob.digest} ended after {offset} of {blob.size_bytes} bytes, of which "
        f"{kept} are kept: go on from there",
        metadata={"committedBytes": str(kept)},
    )


def digest_mismatch(blob: Blob, found: str) -> DigestMismatchError:
    """Return the error of bytes that are not the blob's.

    Args:
        blob: What was uploaded.
        found: The digest of what came.
    """
    return DigestMismatchError(
        f"the {blob.size_bytes} bytes that were written as blob {blob.digest} have the digest {found}: they "
        "were discarded",
        metadata={"expected": blob.digest, "found": found},
    )
