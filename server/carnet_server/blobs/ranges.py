"""Which bytes of a blob a reader asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import DataLossError, InvalidInputError, OffsetOutOfRangeError

if TYPE_CHECKING:
    from carnet_server.blobs.domain import Blob


def end_of_range(blob: Blob, offset: int, length: int) -> int:
    """Return the offset behind the last byte of a range.

    Args:
        blob: The blob's name and size.
        offset: The first byte that is wanted.
        length: How many bytes are wanted; 0 for all to the end.

    Raises:
        InvalidInputError: The offset or the length is negative.
        OffsetOutOfRangeError: The range reaches past the blob.
    """
    if offset < 0 or length < 0:
        raise InvalidInputError(
            f"offset {offset}, length {length}: neither can be negative", metadata={"field": "offset"}
        )
    end = offset + length if length else blob.size_bytes
    if offset > blob.size_bytes or end > blob.size_bytes:
        raise OffsetOutOfRangeError(
            f"blob {blob.digest} has {blob.size_bytes} bytes: {length or 'all'} bytes from {offset} on reach "
            "past it",
            metadata={"sizeBytes": str(blob.size_bytes)},
        )
    return end


def data_loss(digest: str, problem: str) -> DataLossError:
    """Return the error of a stored blob that is not what was written.

    Args:
        digest: The blob's.
        problem: What is wrong with its bytes.
    """
    return DataLossError(
        f"the stored bytes of blob {digest} are damaged: {problem}; restore them from a backup or from "
        "another environment",
        metadata={"digest": digest},
    )
