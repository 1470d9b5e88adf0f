"""Writing an export: a copy of logs and their documents that can be verified without any server.

Responsible for the files of one environment after the other, in constant memory, and for showing only whole
copies: an environment is written beside its place and renamed into it, so that a copy which breaks off leaves
the one before untouched.

Judges nothing: what a server hands out is written down as it is, and ``carnet.audit.verify`` is the judge.
If the server hands out the leaf hashes that its tree was built from, they are kept, and the verifier can name
the first entry that no longer fits its hash.
"""

from __future__ import annotations

import errno
import shutil
from itertools import islice
from typing import TYPE_CHECKING, Self

from carnet.audit.layout import CHECKPOINT, ENVELOPES, WITNESSED_CHECKPOINT
from carnet.canonical import sha256_hex
from carnet.errors import CarnetError, FileUnreadableError, InvalidInputError, StorageFullError
from carnet.references import check_name
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.tile_builder import TileBuilder
from carnet.translog.tiles import ENTRIES_LEVEL, ENTRY_MAX_BYTES, TILE_WIDTH, Tile, encode_bundle
from carnet.translog.tree import HASH_BYTES, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType


class ExportWriter:
    """Writes an export, environment by environment.

    Example:
        ``with ExportWriter(directory).environment("prod") as export:`` then ``export.write_log(…)`` and
        ``export.add_document(…)`` for each document.

    Args:
        directory: Where the export is, or shall be; other environments that it holds stay as they are.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def environment(self, name: str) -> EnvironmentExport:
        """Begin the copy of one environment; used as a context manager, whose end puts it in its place.

        Raises:
            ReferenceInvalidError: The name cannot be an environment's.
        """
        return EnvironmentExport(self._directory, check_name(name, field="environment"))


class EnvironmentExport:
    """The copy of one environment as it is being written. Made by ``ExportWriter.environment``."""

    def __init__(self, directory: Path, name: str) -> None:
        self._place = directory / name
        self._staging = directory / f".{name}.partial"
        self._replaced = directory / f".{name}.replaced"
        self._tiles = TileBuilder()
        self._bundle: list[bytes] = []
        self._bundles = 0
        self._finished = False

    def __enter__(self) -> Self:
        try:
            if self._replaced.exists() and not self._place.exists():
                self._replaced.rename(self._place)  # an earlier copy broke off between its two renames
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging.mkdir(parents=True)
        except OSError as error:
            raise _write_error(self._staging, error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._finished:
            self._put_in_place()
            return
        shutil.rmtree(self._staging, ignore_errors=True)
        if kind is None:
            raise InvalidInputError(
                f"export: the log of {self._place.name} was not finished with a checkpoint"
            )

    def write_log(
        self, entries: Iterable[bytes], checkpoint: str, leaf_hashes: Iterable[bytes] | None = None
    ) -> int:
        """Write a whole log, as far as its checkpoint covers it.

        Args:
            entries: The entries' bytes, in order, as the server hands them out; those beyond the checkpoint's
                size are left alone.
            checkpoint: The signed checkpoint.
            leaf_hashes: The leaf hashes that the server has stored, as many as entries; without them the
                hashes are computed from the entries.

        Returns:
            How many entries were written: fewer than the checkpoint covers if the server held some back,
            which the verifier will report.

        Raises:
            InvalidInputError: An entry or a hash cannot be in a log, or there are fewer hashes than entries.
            ProofInvalidError: The checkpoint is not one.
            StorageFullError: The disk is full.
            FileUnreadableError: A file cannot be written.
        """
        size = unverified_checkpoint(checkpoint).size
        hashes = iter(leaf_hashes) if leaf_hashes is not None else None
        count = 0
        for entry in islice(entries, size):
            stored = None
            if hashes is not None and (stored := next(hashes, None)) is None:
                raise InvalidInputError(f"export: there is no leaf hash for entry {count}")
            self.append_entry(entry, stored)
            count += 1
        self.finish_log(checkpoint)
        return count

    def append_entry(self, entry: bytes, stored_leaf_hash: bytes | None = None) -> None:
        """Write the next entry.

        Args:
            entry: Its bytes.
            stored_leaf_hash: The leaf hash that the server has stored for it, if it hands it out.

        Raises:
            InvalidInputError: The entry is over 65,535 bytes, or the hash is not 32 bytes long.
            StorageFullError: The disk is full.
            FileUnreadableError: A file cannot be written.
        """
        if len(entry) > ENTRY_MAX_BYTES:
            raise InvalidInputError(f"log entry: {len(entry)} bytes; at most {ENTRY_MAX_BYTES} fit")
        value = leaf_hash(entry) if stored_leaf_hash is None else stored_leaf_hash
        if len(value) != HASH_BYTES:
            raise InvalidInputError(f"leaf hash: {HASH_BYTES} bytes are wanted, not {len(value)}")
        self._bundle.append(entry)
        if len(self._bundle) == TILE_WIDTH:
            self._write_bundle()
        for tile, data in self._tiles.append(value):
            self._write(tile.path, data)

    def finish_log(self, checkpoint: str, witnessed: str = "") -> None:
        """Write what is left of the log, and its checkpoint as the last.

        Args:
            checkpoint: The signed checkpoint, with the cosignatures that it has.
            witnessed: The newest checkpoint that a quorum of witnesses cosigned; empty for none.

        Raises:
            ProofInvalidError: The checkpoint is not one.
            StorageFullError: The disk is full.
            FileUnreadableError: A file cannot be written.
        """
        unverified_checkpoint(checkpoint)
        if witnessed:
            unverified_checkpoint(witnessed)
            self._write(WITNESSED_CHECKPOINT, witnessed.encode())
        if self._bundle:
            self._write_bundle()
        for tile, data in self._tiles.partial_tiles():
            self._write(tile.path, data)
        self._write(CHECKPOINT, checkpoint.encode())
        self._finished = True

    def add_document(self, data: bytes) -> str:
        """Write a document that entries rest on, under its digest, which is returned.

        Raises:
            StorageFullError: The disk is full.
            FileUnreadableError: The file cannot be written.
        """
        digest = sha256_hex(data)
        self._write(f"{ENVELOPES}/{digest}", data)
        return digest

    def _write_bundle(self) -> None:
        tile = Tile(ENTRIES_LEVEL, self._bundles, len(self._bundle))
        self._write(tile.path, encode_bundle(self._bundle))
        self._bundle.clear()
        self._bundles += 1

    def _write(self, path: str, data: bytes) -> None:
        place = self._staging / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        except OSError as error:
            raise _write_error(place, error) from error

    def _put_in_place(self) -> None:
        try:
            shutil.rmtree(self._replaced, ignore_errors=True)
            if self._place.exists():
                self._place.rename(self._replaced)
            self._staging.rename(self._place)
        except OSError as error:
            if self._replaced.exists() and not self._place.exists():
                self._replaced.rename(self._place)
            raise _write_error(self._place, error) from error
        shutil.rmtree(self._replaced, ignore_errors=True)


def _write_error(path: Path, error: OSError) -> CarnetError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFullError(f"export: no space is left for {path}")
    return FileUnreadableError(f"export: {path} cannot be written: {error.strerror}")
