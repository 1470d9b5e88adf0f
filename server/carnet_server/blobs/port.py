"""What the registry asks of a store of blobs: the interface that a directory and an object store have.

Every implementation keeps these promises:

* What is stored is whole: a blob can be read only after all its bytes were hashed here and were those of its
  digest, and are durable. There is no moment at which half of one is visible.
* Writing is idempotent: two writers of one digest agree, and writing a blob again mends a damaged one.
* No byte is given out as a blob's that reading proved wrong: damage is DataLossError.
* An upload goes on where it stands, in whichever process, and what nobody goes on with can be cleared away.

Everything blocks and is called on threads. Namespaces and digests were checked before. Whose a blob is, and
what may go, is decided elsewhere (``carnet_server.blobs.service`` and ``collector``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from carnet_server.blobs.domain import Blob, Piece


class BlobUpload(Protocol):
    """One blob on its way in; used by one thread at a time."""

    @property
    def offset(self) -> int:
        """How many bytes were taken: where the next ones begin."""

    def append(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Args:
            data: The bytes from ``offset`` on; the buffer is the caller's again on return.

        Raises:
            OffsetOutOfRangeError: They reach past the blob's size; none of them is taken.
            StorageFullError: There is no room; the upload may be discarded.
            UnavailableError: The store failed, now or with bytes that were taken before.
        """

    def finish(self) -> None:
        """Verify the whole and store it, durably; the upload is closed.

        Raises:
            OffsetOutOfRangeError: Bytes are wanting; what is kept of those that were taken is told
                (``metadata["committedBytes"]``), and can be less.
            DigestMismatchError: The bytes are not those of the digest; they are not gone on with.
            StorageFullError: There is no room; the upload may be discarded.
            UnavailableError: The store failed.
        """

    def close(self) -> None:
        """Let go of the upload, which can be gone on with; may be called again."""


class BlobReading(Protocol):
    """A reading of one stored blob, whole or a range; used by one thread at a time."""

    def next_piece(self) -> Piece | None:
        """Read the next piece, ``PIECE_BYTES`` at most; None behind the last.

        Raises:
            DataLossError: The stored bytes are damaged or gone; the last piece is not given out then.
            UnavailableError: The store failed.
        """

    def close(self) -> None:
        """Let go of the blob; may be called again."""


class BlobStore(Protocol):
    """A store of blobs, each under its digest."""

    def check(self) -> None:
        """Insist that the store can be used, by using it; for the start.

        Raises:
            InvalidInputError: It is not there, or its credentials are wrong; says what to do.
            StorageFullError: It has no room.
            UnavailableError: It cannot be reached or written.
        """

    def find_missing(self, blobs: Sequence[Blob]) -> list[Blob]:
        """Tell which blobs are not there whole, by presence and size; their bytes are not read.

        Args:
            blobs: The blobs, 10,000 at most.

        Returns:
            The missing ones, in their order.

        Raises:
            UnavailableError: The store failed.
        """

    def uploaded_bytes(self, namespace: str, blob: Blob) -> int:
        """Tell how much of an upload is held: where a write goes on.

        Raises:
            UnavailableError: The store failed.
        """

    def open_upload(self, namespace: str, blob: Blob) -> BlobUpload:
        """Begin an upload, or take it up where it stands.

        Args:
            namespace: Whose upload it is; those of others are never taken up.
            blob: The blob.

        Raises:
            ConflictError: Another is writing this blob to this namespace now.
            StorageFullError: There is no room for what is still to come.
            UnavailableError: The store failed.
        """

    def write_small(self, namespace: str, contents: Sequence[tuple[str, bytes]]) -> None:
        """Store small blobs; where one fails, those that are stored already are nobody's.

        Args:
            namespace: Whose upload it is.
            contents: Each blob's digest and bytes.

        Raises:
            DigestMismatchError: The bytes of one are not those of its digest; it is named, none is stored.
            StorageFullError: There is no room.
            UnavailableError: The store failed.
        """

    def open_blob(self, blob: Blob, offset: int = 0, length: int = 0) -> BlobReading:
        """Begin to read a stored blob.

        Args:
            blob: Its name and size.
            offset: The first byte that is wanted.
            length: How many bytes are wanted; 0 for all to the end.

        Raises:
            InvalidInputError: The offset or the length is negative.
            OffsetOutOfRangeError: The range reaches past the blob.
            DataLossError: The blob is gone or has another size.
            UnavailableError: The store failed.
        """

    def read_small(self, blob: Blob) -> bytes:
        """Read a small blob whole.

        Raises:
            DataLossError: The stored bytes are damaged or gone.
            UnavailableError: The store failed.
        """

    def discard_uploads(self, before: datetime) -> int:
        """Clear away the uploads that nobody wrote to since a time and nobody writes to now.

        Args:
            before: The time.

        Returns:
            How many.

        Raises:
            UnavailableError: The store failed.
        """

    def stored_before(self, before: datetime) -> Iterator[str]:
        """Yield the digest of every blob that was stored before a time.

        Args:
            before: The time.

        Raises:
            UnavailableError: The store failed.
        """

    def find(self, digest: str) -> Blob | None:
        """Tell how large a stored blob is, by what is stored; its bytes are not read.

        Args:
            digest: The blob's.

        Returns:
            Its name and size; None when it is not there.

        Raises:
            DataLossError: What says how large it is is damaged.
            UnavailableError: The store failed.
        """

    def remove(self, digest: str) -> bool:
        """Take a blob out of the store; whether somebody has it was decided before.

        Returns:
            Whether it was there.

        Raises:
            UnavailableError: The store failed.
        """

    def close(self) -> None:
        """Let go of connections and threads."""
