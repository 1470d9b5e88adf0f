"""One large blob on its way in: parts that are put behind, and at last the index that makes them a blob.

Responsible for resuming at a part's boundary, in whichever process, and for the blob becoming visible only
whole, verified and durable: parts → comparison of the whole digest → every part is there → index.

Invariants: every byte of the whole is hashed in this process, those of parts that an earlier writer left
included, which are read again. At most `IN_FLIGHT` parts are on their way, and one is being filled. What two
processes write at once to one attempt does no harm, so nothing is ever deleted here.

Not responsible for who may write, nor for whose the blob then is. Everything here blocks; an upload is used
by one thread at a time.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import CarnetError, DataLossError, OffsetOutOfRangeError, UnavailableError
from carnet_server.blobs.objects.buffers import new_buffer
from carnet_server.blobs.objects.index import Index, encode_index
from carnet_server.blobs.objects.lookahead import Lookahead
from carnet_server.blobs.objects.names import PART_BYTES, index_path, part_size
from carnet_server.blobs.objects.outcome import digest_mismatch, past_the_end, too_few
from carnet_server.blobs.objects.stored import fetch_verified, find_index, parts_are_there

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.objects.bucket import Bucket
    from carnet_server.blobs.objects.lookahead import PartThreads
    from carnet_server.blobs.objects.names import Attempt

IN_FLIGHT = 2
_NOTHING = memoryview(b"")
CLOSE_SECONDS = 60.0


class ObjectUpload:
    """The upload of one blob that is larger than a part.

    Attributes:
        offset: How many bytes were taken: where the next ones begin.

    Args:
        bucket: Where to.
        threads: Where parts travel.
        blob: Its name and size.
        attempt: The attempt that is gone on with, or a new one.
        run: The digests of the parts that it has, from the first on.
        released: Called once, when the upload is let go of.

    Raises:
        UnavailableError: The store failed.
    """

    def __init__(
        self,
        bucket: Bucket,
        threads: PartThreads,
        blob: Blob,
        attempt: Attempt,
        run: Sequence[str],
        *,
        released: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._blob = blob
        self._attempt = attempt
        self._released = released
        self._hash = hashlib.sha256()
        self._parts: dict[int, str] = {}
        self._buffer = _NOTHING
        self._filled = 0
        self._error: CarnetError | None = None
        self._closed = False
        self._puts: Lookahead[tuple[int, str]] = Lookahead(threads, IN_FLIGHT)
        self.offset = 0
        try:
            self._index_before = self._find_index()
            self._take_up(Lookahead(threads, IN_FLIGHT), run)
        except BaseException:
            self.close()
            raise

    def _find_index(self) -> Index | None:
        try:
            return find_index(self._bucket, self._blob.digest)
        except DataLossError:
            return None

    def _take_up(self, ahead: Lookahead[memoryview | None], run: Sequence[str]) -> None:
        """Read the parts again that are there, and hash them into the whole; a wrong one ends the run."""
        waiting = iter(enumerate(run))
        upcoming = next(waiting, None)
        try:
            for number, digest in enumerate(run):
                while upcoming is not None and ahead.try_start(partial(self._fetch_part, *upcoming)):
                    upcoming = next(waiting, None)
                data = ahead.take()
                if data is None:
                    return
                self._hash.update(data)
                self._parts[number] = digest
                self.offset += len(data)
        finally:
            ahead.drop()

    def _fetch_part(self, number: int, digest: str) -> memoryview | None:
        path = self._attempt.part_path(number, digest)
        return fetch_verified(self._bucket, path, digest, part_size(number, self._blob.size_bytes))

    def append(self, data: bytes | memoryview) -> None:
        """Hash the next bytes, and put a part when it is full.

        Args:
            data: The bytes from ``offset`` on.

        Raises:
            OffsetOutOfRangeError: They reach past the blob's size; none of them is taken.
            StorageFullError: The store has no room; what is there can be gone on with.
            UnavailableError: The store failed, now or with an earlier part.
        """
        if self.offset + len(data) > self._blob.size_bytes:
            raise past_the_end(self._blob, self.offset, len(data))
        self._settle_done()
        rest = memoryview(data)
        while rest:
            if not self._buffer:
                self._buffer = new_buffer(part_size(self.offset // PART_BYTES, self._blob.size_bytes))
                self._filled = 0
            taken = rest[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._hash.update(taken)
            self._filled += len(taken)
            self.offset += len(taken)
            rest = rest[len(taken) :]
            if self._filled == len(self._buffer) and self.offset < self._blob.size_bytes:
                self._ship()

    def _ship(self) -> None:
        """Send the full buffer off, waiting for room first."""
        number = (self.offset - 1) // PART_BYTES
        put = partial(self._put_part, number, self._buffer)
        while not self._puts.try_start(put):
            self._settle_one()
        self._buffer = _NOTHING

    def _put_part(self, number: int, data: memoryview) -> tuple[int, str]:
        digest = sha256_hex(data)
        self._bucket.put(self._attempt.part_path(number, digest), data)
        return number, digest

    def _settle_one(self) -> None:
        if self._error is not None:
            raise self._error
        try:
            number, digest = self._puts.take()
        except CarnetError as error:
            self._error = error
            raise
        self._parts[number] = digest

    def _settle_done(self) -> None:
        if self._error is not None:
            raise self._error
        while self._puts.oldest_is_done():
            self._settle_one()

    def finish(self) -> None:
        """Verify the whole and make it visible, durably; the upload is closed.

        Raises:
            OffsetOutOfRangeError: Bytes are wanting; the parts that are there are kept.
            DigestMismatchError: The bytes are not those of the digest; they are not gone on with.
            StorageFullError: The store has no room; what is there can be gone on with.
            UnavailableError: The store failed.
        """
        try:
            self._settle_done()
            if self.offset != self._blob.size_bytes:
                raise self._ended_early()
            if (found := self._hash.hexdigest()) != self._blob.digest:
                self._spoil()
                raise digest_mismatch(self._blob, found)
            if self._buffer:
                self._ship()
            while self._puts:
                self._settle_one()
            self._show()
        finally:
            self.close()

    def _ended_early(self) -> OffsetOutOfRangeError:
        while self._puts:
            self._settle_one()
        return too_few(self._blob, self.offset, kept=self.offset - self.offset % PART_BYTES)

    def _spoil(self) -> None:
        """Mark the attempt, so that nobody goes on with its parts."""
        while self._puts:
            self._settle_one()
        self._bucket.put(self._attempt.spoiled_path, b"")

    def _show(self) -> None:
        """Put the index, unless somebody else put one meanwhile; one that was there before may be of rot."""
        parts = tuple(self._parts[number] for number in range(len(self._parts)))
        index = Index(self._attempt, self._blob.size_bytes, parts)
        if not parts_are_there(self._bucket, index):
            raise UnavailableError(
                f"parts of blob {self._blob.digest} were cleared away while it was written: ask again where "
                "its upload stands, and go on from there"
            )
        path, data = index_path(self._blob.digest), encode_index(index)
        if self._bucket.create(path, data):
            return
        other = self._find_index()
        if other is None or other == self._index_before or not self._agrees(other):
            self._bucket.put(path, data)

    def _agrees(self, other: Index) -> bool:
        return other.size_bytes == self._blob.size_bytes and parts_are_there(self._bucket, other)

    def close(self) -> None:
        """Let go of the upload, whose parts stay to be gone on with; may be called again.

        Parts that are on their way get there first, so that who goes on finds them.
        """
        if self._closed:
            return
        self._closed = True
        self._buffer = _NOTHING
        self._puts.drop(within_seconds=CLOSE_SECONDS)
        self._released()
