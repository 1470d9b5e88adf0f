"""One small blob on its way in as a stream: gathered, verified, and put as one object.

There is nothing to resume: what came is forgotten when the upload is let go of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet_server.blobs.objects.outcome import digest_mismatch, past_the_end, too_few
from carnet_server.blobs.objects.stored import store_single

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.objects.bucket import Bucket


class SingleUpload:
    """The upload of one blob that fits into a part.

    Args:
        bucket: Where to.
        blob: Its name and size.
        released: Called once, when the upload is let go of.
    """

    def __init__(self, bucket: Bucket, blob: Blob, *, released: Callable[[], None]) -> None:
        self._bucket = bucket
        self._blob = blob
        self._released: Callable[[], None] | None = released
        self._gathered = bytearray()

    @property
    def offset(self) -> int:
        """How many bytes were taken: where the next ones begin."""
        return len(self._gathered)

    def append(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            OffsetOutOfRangeError: They reach past the blob's size; none of them is taken.
        """
        if self.offset + len(data) > self._blob.size_bytes:
            raise past_the_end(self._blob, self.offset, len(data))
        self._gathered += data

    def finish(self) -> None:
        """Verify the blob and store it, durably; the upload is closed.

        Raises:
            OffsetOutOfRangeError: Bytes are wanting; none is kept.
            DigestMismatchError: The bytes are not those of the digest.
            StorageFullError: The store has no room.
            UnavailableError: The store failed.
        """
        try:
            if self.offset != self._blob.size_bytes:
                raise too_few(self._blob, self.offset, kept=0)
            data = bytes(self._gathered)
            if (found := sha256_hex(data)) != self._blob.digest:
                raise digest_mismatch(self._blob, found)
            store_single(self._bucket, self._blob.digest, data)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the upload; may be called again."""
        released, self._released = self._released, None
        if released is not None:
            self._gathered = bytearray()
            released()
