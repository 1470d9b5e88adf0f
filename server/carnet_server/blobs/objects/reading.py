"""A stored blob on its way out, whole or a range of it.

Responsible for never giving out a damaged byte: an object is fetched whole and compared with its digest
before any of it leaves, in a range too, and a reading from the first byte to the last compares the whole as
well. Parts are fetched a few ahead. Everything here blocks.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from carnet_server.blobs.domain import PIECE_BYTES, Blob, Piece
from carnet_server.blobs.objects.lookahead import Lookahead
from carnet_server.blobs.objects.stored import fetch_index, fetch_single, fetch_verified, is_single
from carnet_server.blobs.ranges import data_loss, end_of_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_server.blobs.objects.bucket import Bucket
    from carnet_server.blobs.objects.index import Index
    from carnet_server.blobs.objects.lookahead import PartThreads

AHEAD = 2


class ObjectReading:
    """A reading of one stored blob.

    Args:
        bucket: Where from.
        threads: Where parts travel.
        blob: Its name and size.
        offset: The first byte that is wanted.
        length: How many bytes are wanted; 0 for all to the end.

    Raises:
        InvalidInputError: The offset or the length is negative.
        OffsetOutOfRangeError: The range reaches past the blob.
        DataLossError: The blob is gone, damaged, or has another size.
        UnavailableError: The store failed.
    """

    def __init__(
        self, bucket: Bucket, threads: PartThreads, blob: Blob, offset: int = 0, length: int = 0
    ) -> None:
        self._offset = offset
        self._end = end_of_range(blob, offset, length)
        self._at_hand = memoryview(b"")
        self._parts: _Parts | None = None
        if is_single(blob):
            self._at_hand = fetch_single(bucket, blob)[offset : self._end]
        else:
            self._parts = _Parts(bucket, threads, fetch_index(bucket, blob), offset, self._end)

    def next_piece(self) -> Piece | None:
        """Read the next piece; None behind the last.

        Raises:
            DataLossError: A part is damaged or gone; no byte of it is given out.
            UnavailableError: The store failed.
        """
        if self._offset == self._end:
            return None
        if not self._at_hand and self._parts is not None:
            self._at_hand = self._parts.take()[: self._end - self._offset]
        data = bytes(self._at_hand[:PIECE_BYTES])
        self._at_hand = self._at_hand[PIECE_BYTES:]
        piece = Piece(self._offset, data)
        self._offset += len(data)
        return piece

    def close(self) -> None:
        """Let go of the blob; may be called again."""
        self._at_hand = memoryview(b"")
        if self._parts is not None:
            self._parts.close()


class _Parts:
    """The parts that a range touches, one after another, cut off in front of the range."""

    def __init__(self, bucket: Bucket, threads: PartThreads, index: Index, offset: int, end: int) -> None:
        self._bucket = bucket
        self._index = index
        self._ahead: Lookahead[memoryview] = Lookahead(threads, AHEAD)
        self._first, self._skipped = divmod(offset, index.part_bytes)
        self._hash = hashlib.sha256() if offset == 0 and end == index.size_bytes else None
        self._left = -(-end // index.part_bytes) - self._first
        self._upcoming: Iterator[int] = iter(range(self._first, self._first + self._left))
        self._number = next(self._upcoming, None)

    def take(self) -> memoryview:
        """Return the next part's bytes, those before the range left out.

        Raises:
            DataLossError: It is damaged or gone, or with it the whole is not the blob.
            UnavailableError: The store failed.
        """
        while self._number is not None and self._ahead.try_start(partial(self._fetch, self._number)):
            self._number = next(self._upcoming, None)
        data = self._ahead.take()
        self._left -= 1
        if self._hash is not None:
            self._hash.update(data)
            if not self._left and (found := self._hash.hexdigest()) != self._index.attempt.digest:
                raise data_loss(self._index.attempt.digest, f"they have the digest {found}")
        skipped, self._skipped = self._skipped, 0
        return data[skipped:]

    def _fetch(self, number: int) -> memoryview:
        """Fetch a part; where it is not whole, the blob may have been written again at another place."""
        index = self._index
        digest = index.attempt.digest
        data = fetch_verified(self._bucket, index.path_of(number), index.parts[number], index.size_of(number))
        if data is None:
            now = fetch_index(self._bucket, Blob(digest, index.size_bytes))
            if now.attempt != index.attempt and now.parts == index.parts:
                self._index = now
                data = fetch_verified(
                    self._bucket, now.path_of(number), now.parts[number], now.size_of(number)
                )
        if data is None:
            raise data_loss(digest, f"part {number} is gone or is not what was written")
        return data

    def close(self) -> None:
        self._ahead.drop()
