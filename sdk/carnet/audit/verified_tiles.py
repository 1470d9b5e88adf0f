"""Roots of a log's beginnings, from the hash tiles of an export.

Responsible for the root over the first entries of a log whose chain is intact, without hashing all of its
entries again. Believes no tile: the partial ones must lead to the signed root, and a full one to the hash
that the tile above it has.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from carnet.audit.layout import read_tile
from carnet.errors import InvalidInputError, LogTamperedError
from carnet.translog.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, parse_tile
from carnet.translog.tree import node_hash, root_at

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.translog.checkpoint import Checkpoint

_KEPT: Final = 64


class VerifiedTiles:
    """The tree of a verified checkpoint, read from its tiles as they are needed. Not for several threads.

    Args:
        directory: The environment's part of the export.
        checkpoint: The tree head, whose signature and entries were verified.
    """

    def __init__(self, directory: Path, checkpoint: Checkpoint) -> None:
        self._directory = directory
        self._checkpoint = checkpoint
        self._full: OrderedDict[tuple[int, int], list[list[bytes]]] = OrderedDict()
        self._partial: dict[int, list[list[bytes]]] = {}

    def root(self, size: int) -> bytes:
        """Return the root over the first entries.

        Args:
            size: How many; at most the checkpoint's size.

        Raises:
            InvalidInputError: The tree is smaller.
            NotFoundError: A tile that it needs is not in the export.
            FileUnreadableError: One cannot be read.
            LogTamperedError: One does not lead to the signed root.
        """
        if size > self._checkpoint.size:
            raise InvalidInputError(f"a tree of {self._checkpoint.size} has no first {size} entries")
        if not self._partial and self._checkpoint.size:
            self._read_partial()
        return root_at(size, self._node)

    def _read_partial(self) -> None:
        """Read what is on the right edge: together it is all that the signed root is made of."""
        level, count = 0, self._checkpoint.size
        partial: dict[int, list[list[bytes]]] = {}
        while count:
            full, rest = divmod(count, TILE_WIDTH)
            if rest:
                partial[level] = _subtrees(self._hashes(Tile(level, full, rest)))
            level, count = level + 1, full
        self._partial = partial
        if root_at(self._checkpoint.size, self._node) != self._checkpoint.root:
            self._partial = {}
            raise LogTamperedError("the hash tiles do not lead to the signed root")

    def _node(self, level: int, index: int) -> bytes:
        height = level % TILE_HEIGHT
        tile, offset = divmod(index << height, TILE_WIDTH)
        return self._subtrees_of(level // TILE_HEIGHT, tile)[height][offset >> height]

    def _subtrees_of(self, level: int, index: int) -> list[list[bytes]]:
        if index == self._checkpoint.size >> (TILE_HEIGHT * (level + 1)):
            return self._partial[level]
        found = self._full.get((level, index))
        if found is None:
            tile = Tile(level, index)
            found = _subtrees(self._hashes(tile))
            if found[-1] != [self._node(TILE_HEIGHT * (level + 1), index)]:
                raise LogTamperedError(f"{tile.path} does not lead to the signed root")
            self._full[level, index] = found
            if len(self._full) > _KEPT:
                self._full.popitem(last=False)
        self._full.move_to_end((level, index))
        return found

    def _hashes(self, tile: Tile) -> list[bytes]:
        return parse_tile(read_tile(self._directory, tile), width=tile.width)


def _subtrees(hashes: list[bytes]) -> list[list[bytes]]:
    """Return the complete subtrees over a tile's hashes, by their height, from the hashes themselves on."""
    levels = [hashes]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(*below[at : at + 2]) for at in range(0, len(below) - 1, 2)])
    return levels
