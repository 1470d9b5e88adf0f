"""A store of blobs whose interface a test taps: it counts what passes, makes it fail, or has it lie."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from carnet_server.blobs.domain import Piece

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_server.blobs.port import BlobReading, BlobStore, BlobUpload


class TappedStore:
    """A store, of whichever kind, and what a test does at its interface.

    Attributes:
        calls: How often each method was called, of the store and of its uploads and readings.
        before: What is done before a method of that name, with its arguments.
        lies: Whether other bytes are given out than are stored.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()
        self.before: dict[str, Callable[..., object]] = {}
        self.lies = False

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def tap(self, name: str, *arguments: object) -> None:
        self.calls[name] += 1
        if name in self.before:
            self.before[name](*arguments)

    def fail(self, name: str, error: Exception, *, at: int | None = None) -> None:
        """Make the calls of a method fail, or only one of those from now on, counted from 1."""
        self.calls[name] = 0

        def before(*_: object) -> None:
            if at in (None, self.calls[name]):
                raise error

        self.before[name] = before

    def write_small(self, namespace, contents) -> None:
        self.tap("write_small", namespace, contents)
        self._store.write_small(namespace, contents)

    def read_small(self, blob) -> bytes:
        self.tap("read_small", blob)
        data = self._store.read_small(blob)
        return bytes(len(data)) if self.lies else data

    def open_upload(self, namespace, blob) -> _TappedUpload:
        return _TappedUpload(self, self._store.open_upload(namespace, blob))

    def open_blob(self, blob, offset=0, length=0) -> _TappedReading:
        return _TappedReading(self, self._store.open_blob(blob, offset, length))


class _TappedUpload:
    def __init__(self, store: TappedStore, upload: BlobUpload) -> None:
        self._store = store
        self._upload = upload

    @property
    def offset(self) -> int:
        return self._upload.offset

    def append(self, data) -> None:
        self._store.tap("append", data)
        self._upload.append(data)

    def finish(self) -> None:
        self._store.tap("finish")
        self._upload.finish()

    def close(self) -> None:
        self._upload.close()


class _TappedReading:
    def __init__(self, store: TappedStore, reading: BlobReading) -> None:
        self._store = store
        self._reading = reading

    def next_piece(self) -> Piece | None:
        self._store.tap("next_piece")
        piece = self._reading.next_piece()
        if piece is not None and self._store.lies:
            return Piece(piece.offset, bytes(len(piece.data)))
        return piece

    def close(self) -> None:
        self._reading.close()
