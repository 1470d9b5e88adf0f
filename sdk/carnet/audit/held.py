"""An earlier copy of a log, which the next one is made from.

Responsible for handing out what an export of one environment holds, so that a copy need fetch only what is
new. Believes no more of it than the verifier does: entries are hashed anew, and a document is what its digest
says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.layout import read_bundle, read_checkpoint, read_document, read_tile
from carnet.errors import CarnetError
from carnet.translog.checkpoint import unverified_checkpoint
from carnet.translog.tiles import entry_bundles, parse_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class HeldCopy:
    """An export of one environment; one that is missing or damaged holds nothing from there on.

    Args:
        directory: The environment's part of the export.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def size(self) -> int:
        """How many entries its checkpoint covers; 0 where there is none."""
        try:
            return unverified_checkpoint(read_checkpoint(self._directory)).size
        except CarnetError:
            return 0

    def bundles(self) -> Iterator[list[bytes]]:
        """Yield its entries in order, up to 256 at a time, and stop where one cannot be read."""
        for bundle in entry_bundles(self.size):
            try:
                yield parse_bundle(read_tile(self._directory, bundle), width=bundle.width)
            except CarnetError:
                return

    def document(self, digest: str) -> bytes | None:
        """Return a document; None for one that is not there whole."""
        try:
            return read_document(self._directory, digest)
        except CarnetError:
            return None

    def bundle(self, digest: str) -> tuple[bytes, bytes] | None:
        """Return a bundle's manifest and signature; None where they are not there whole."""
        try:
            return read_bundle(self._directory, digest)
        except CarnetError:
            return None
