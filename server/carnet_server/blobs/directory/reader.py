"""A stored blob on its way out, whole or a range of it.

Responsible for never giving out damaged bytes as a whole blob: a file of another size is refused at once,
and a reading from the first byte to the last hashes what it reads and fails before the last piece if the
digest is another. A range is not verified here: whoever puts ranges together hashes the whole. Everything
here blocks.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from carnet_server.blobs.directory.errors import typed_read_errors
from carnet_server.blobs.domain import PIECE_BYTES, Piece
from carnet_server.blobs.ranges import data_loss, end_of_range

if TYPE_CHECKING:
    from pathlib import Path

    from carnet_server.blobs.domain import Blob


class BlobReader:
    """A reading of one stored blob.

    Args:
        path: The stored file.
        blob: Its name and size.
        offset: The first byte that is wanted.
        length: How many bytes are wanted; 0 for all to the end.

    Raises:
        InvalidInputError: The offset or the length is negative.
        OffsetOutOfRangeError: The range reaches past the blob.
        DataLossError: The file is gone or has another size.
        UnavailableError: The disk failed.
    """

    def __init__(self, path: Path, blob: Blob, offset: int = 0, length: int = 0) -> None:
        self._blob = blob
        self._offset = offset
        self._end = end_of_range(blob, offset, length)
        whole = offset == 0 and self._end == blob.size_bytes
        self._hash = hashlib.sha256() if whole else None
        with typed_read_errors(blob.digest):
            self._descriptor = os.open(path, os.O_RDONLY)
            stored = os.fstat(self._descriptor).st_size
        if stored != blob.size_bytes:
            self.close()
            raise data_loss(blob.digest, f"the file has {stored} bytes instead of {blob.size_bytes}")

    def next_piece(self) -> Piece | None:
        """Read the next piece; None behind the last.

        Raises:
            DataLossError: The file has become shorter, or the whole has another digest; the last piece is not
                given out then.
            UnavailableError: The disk failed.
        """
        wanted = min(PIECE_BYTES, self._end - self._offset)
        if not wanted:
            self._verify()
            return None
        with typed_read_errors(self._blob.digest):
            data = os.pread(self._descriptor, wanted, self._offset)
        if len(data) != wanted:
            raise data_loss(self._blob.digest, f"the file ends before byte {self._offset + wanted}")
        piece = Piece(self._offset, data)
        self._offset += wanted
        if self._hash is not None:
            self._hash.update(data)
            if self._offset == self._end:
                self._verify()
        return piece

    def _verify(self) -> None:
        if self._hash is not None and (found := self._hash.hexdigest()) != self._blob.digest:
            raise data_loss(self._blob.digest, f"they have the digest {found}")

    def close(self) -> None:
        """Let go of the file; may be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
