"""What is carried: blobs, those that have a local file, and which of them travel together.

Responsible for the limits of one message of small blobs. Knows no registry and opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SMALL_BLOB_BYTES = 64 << 10
BATCH_BYTES = 2 << 20
BATCH_BLOBS = 1_000


class NamedBlob(Protocol):
    """Anything that names a blob: ``LocalBlob``, a ``BlobRef`` of the contract, a file of a manifest."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes."""

    @property
    def size_bytes(self) -> int:
        """How many bytes."""


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


Blob = TypeVar("Blob", bound=NamedBlob)


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
