"""Blobs on their way from one store to another.

Responsible for what the target lacks being read through the one store and written through the other, and so
verified on both sides; for going on where an earlier run was interrupted, inside a large blob too; and for a
damaged blob taking only itself with it. Whose a blob is does not matter here: all that are stored are moved.
"""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from carnet.errors import CancelledError, DataLossError, DigestMismatchError, InvalidInputError
from carnet.serving.moving.ends import errors_of
from carnet_server.blobs.domain import MAX_BATCH_BLOBS, MAX_BATCH_BYTES
from carnet_server.blobs.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from carnet_server.blobs.domain import Blob
    from carnet_server.blobs.port import BlobStore
    from carnet_server.moving.pairs import Pair, Place

    Progress = Callable[[str, int, int], None]
    Shown = Callable[[str], contextlib.AbstractContextManager[Progress]]

NAMESPACE = "carnet-migrate"
COPIES_AT_ONCE = 3
LOOKS_AT_ONCE = 16
PAGE_BLOBS = 1_000
SMALL_BYTES = 256 << 10
_FOLDERS = frozenset({"blobs", "uploads"})
_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class MovedBlobs:
    """What was moved.

    Attributes:
        blobs: How many blobs the source has.
        size_bytes: Their bytes in all, without those of damaged ones.
        copied_blobs: How many were copied now.
        copied_bytes: The bytes that were copied now.
        damaged: The digests of those that are damaged in the source, and so were not moved.
    """

    blobs: int
    size_bytes: int
    copied_blobs: int
    copied_bytes: int
    damaged: tuple[str, ...]


class BlobsMove:
    """The move of one store's blobs; a context manager, which lets go of both stores.

    Args:
        pair: From where, and to where.

    Raises:
        InvalidInputError: The source is not there, or the target has something else in it; nothing was
            written.
        UnavailableError: A store cannot be reached.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._damaged: set[str] = set()
        self._reached = 0
        self._copied_bytes = 0
        with contextlib.ExitStack() as opened:
            self._source = self._open(opened, pair.source, _require_store)
            with errors_of(pair.source.label):
                self._digests = sorted(bytes.fromhex(each) for each in self._source.stored_before(_EVER))
            _require_free(pair.target)
            self._target = self._open(opened, pair.target)
            self._require_nothing_else()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @staticmethod
    def _open(
        opened: contextlib.ExitStack, place: Place, check: Callable[[Place], None] = lambda _: None
    ) -> BlobStore:
        check(place)
        with errors_of(place.label):
            store = open_store(place.url)
        opened.callback(store.close)
        return store

    def _require_nothing_else(self) -> None:
        """Refuse a target with blobs of another source: two environments would remove each other's."""
        known = set(self._digests)
        with errors_of(self._pair.target.label):
            for digest in self._target.stored_before(_EVER):
                if bytes.fromhex(digest) not in known:
                    raise InvalidInputError(
                        f"it has something else in it: blob {digest} is not in {self._pair.source.shown}: "
                        "name an empty place"
                    )

    # --- what there is to do ------------------------------------------------------------------------------

    def run(self, *, shown: Shown) -> MovedBlobs:
        """Move the blobs.

        Args:
            shown: Takes what is counted (``blobs`` that are looked for, ``bytes`` that are copied) and shows
                progress within a block.

        Raises:
            ConflictError: Another process moves the same blobs.
            InvalidInputError: The target refused us.
            StorageFullError: The target has no room.
            UnavailableError: A store failed; the move can be gone on with.
        """
        with errors_of(self._pair.target.label):
            self._target.check()
        with shown("blobs") as progress:
            found, missing = self._look(progress)
        total = sum(blob.size_bytes for blob in missing)
        if missing:
            with shown("bytes") as progress:
                self._run_all(_group(missing), partial(self._tell, progress, total))
        copied = [blob for blob in missing if blob.digest not in self._damaged]
        lost = total - sum(blob.size_bytes for blob in copied)
        return MovedBlobs(
            len(self._digests),
            found - lost,
            len(copied),
            self._copied_bytes,
            tuple(sorted(self._damaged)),
        )

    def _look(self, progress: Progress) -> tuple[int, list[Blob]]:
        """Return how many bytes the source's blobs have, and those that the target lacks."""
        found, missing, rest = 0, [], iter(self._digests)
        with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look") as threads:
            looked = 0
            while page := [each.hex() for each in islice(rest, PAGE_BLOBS)]:
                blobs = [blob for blob in threads.map(self._find, page) if blob is not None]
                found += sum(blob.size_bytes for blob in blobs)
                with errors_of(self._pair.target.label):
                    missing += self._target.find_missing(blobs)
                looked += len(page)
                progress("looking", looked, len(self._digests))
        return found, missing

    def _find(self, digest: str) -> Blob | None:
        try:
            with errors_of(self._pair.source.label):
                return self._source.find(digest)
        except DataLossError:
            self._damaged.add(digest)
            return None

    # --- copying ------------------------------------------------------------------------------------------

    def _run_all(self, groups: Iterable[Sequence[Blob]], tell: Callable[[int], None]) -> None:
        """Copy groups of blobs, several at once; the first failure ends all."""
        with ThreadPoolExecutor(COPIES_AT_ONCE, thread_name_prefix="copy") as threads:
            pending: set[Future[None]] = set()
            try:
                for group in groups:
                    pending.add(threads.submit(self._copy, group, tell))
                    if len(pending) > COPIES_AT_ONCE:
                        pending = _settle(pending)
                while pending:
                    pending = _settle(pending)
            finally:
                self._stopped.set()
                for each in pending:
                    each.cancel()

    def _copy(self, group: Sequence[Blob], tell: Callable[[int], None]) -> None:
        if self._stopped.is_set():
            raise CancelledError("the move was interrupted")
        if group[0].size_bytes > SMALL_BYTES:
            self._copy_large(group[0], tell)
            return
        contents = []
        for blob in group:
            with contextlib.suppress(DataLossError):
                contents.append((blob.digest, self._read_small(blob)))
        with errors_of(self._pair.target.label):
            self._target.write_small(NAMESPACE, contents)
        self._count(sum(len(data) for _, data in contents))
        tell(sum(blob.size_bytes for blob in group))

    def _read_small(self, blob: Blob) -> bytes:
        try:
            with errors_of(self._pair.source.label):
                return self._source.read_small(blob)
        except DataLossError:
            self._damaged.add(blob.digest)
            raise

    def _copy_large(self, blob: Blob, tell: Callable[[int], None]) -> None:
        told = 0

        def tell_reached(reached: int) -> None:
            nonlocal told
            tell(reached - told)
            told = reached

        try:
            # What an earlier run left may be damaged itself; it is gone when that is found, so try without.
            if not self._copy_from_where_it_stands(blob, tell_reached):
                self._copy_from_where_it_stands(blob, tell_reached)
        except DataLossError:
            self._damaged.add(blob.digest)
            tell_reached(blob.size_bytes)

    def _copy_from_where_it_stands(self, blob: Blob, tell: Callable[[int], None]) -> bool:
        """Copy a blob; False when the bytes of an earlier run turned out not to be its beginning."""
        with errors_of(self._pair.target.label):
            upload = self._target.open_upload(NAMESPACE, blob)
        begin = upload.offset
        with contextlib.closing(upload):
            tell(begin)
            for data in self._read(blob, begin):
                if self._stopped.is_set():
                    raise CancelledError("the move was interrupted")
                with errors_of(self._pair.target.label):
                    upload.append(data)
                self._count(len(data))
                tell(upload.offset)
            try:
                with errors_of(self._pair.target.label):
                    upload.finish()
            except DigestMismatchError as error:
                if begin:
                    return False
                raise DataLossError(error.message, metadata={"digest": blob.digest}) from error
        return True

    def _read(self, blob: Blob, begin: int) -> Iterator[bytes]:
        if begin == blob.size_bytes:
            return
        with (
            errors_of(self._pair.source.label),
            contextlib.closing(self._source.open_blob(blob, begin)) as reading,
        ):
            for piece in iter(reading.next_piece, None):
                yield piece.data

    def _count(self, size_bytes: int) -> None:
        with self._lock:
            self._copied_bytes += size_bytes

    def _tell(self, progress: Progress, total: int, count: int) -> None:
        with self._lock:
            self._reached += count
            progress("copying", self._reached, total)


def _settle(pending: set[Future[None]]) -> set[Future[None]]:
    """Wait for one at least; return those that are not done."""
    done, rest = wait(pending, return_when=FIRST_COMPLETED)
    for each in done:
        each.result()
    return rest


def _group(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """Put small blobs together, as many as a batch has; each large one is alone."""
    batch: list[Blob] = []
    size_bytes = 0
    for blob in blobs:
        if blob.size_bytes > SMALL_BYTES:
            yield [blob]
            continue
        if len(batch) == MAX_BATCH_BLOBS or size_bytes + blob.size_bytes > MAX_BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(blob)
        size_bytes += blob.size_bytes
    if batch:
        yield batch


def _folder(place: Place) -> Path | None:
    return Path(place.url.removeprefix("file:")) if place.url.startswith("file:") else None


def _require_store(place: Place) -> None:
    """Insist that a source that is a folder has blobs; opening it would make them."""
    folder = _folder(place)
    if folder is not None and not (folder / "blobs").is_dir():
        raise InvalidInputError(f"{place.label}: there is no store of blobs", metadata={"field": "--from"})


def _require_free(place: Place) -> None:
    """Insist that a target that is a folder is not there, is empty, or is a store of blobs."""
    folder = _folder(place)
    try:
        names = {each.name for each in folder.iterdir()} if folder is not None else set()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InvalidInputError(f"{place.label}: {error.strerror}", metadata={"field": "--to"}) from error
    if others := sorted(names - _FOLDERS):
        raise InvalidInputError(
            f"{place.label}: it has something else in it ({', '.join(others[:4])}): name an empty folder",
            metadata={"field": "--to"},
        )
