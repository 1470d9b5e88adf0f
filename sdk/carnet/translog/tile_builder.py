"""Hash tiles out of leaf hashes, as they come.

Responsible for filling the tiles of every level at once, in memory that grows with the height of the tree and
not with its size. Whoever writes tiles and whoever checks them use the same builder.
"""

from __future__ import annotations

from carnet.translog.tiles import TILE_WIDTH, Tile, encode_tile
from carnet.translog.tree import root_of


class TileBuilder:
    """Fills the hash tiles of a tree, leaf by leaf. Not for several threads at once."""

    def __init__(self) -> None:
        self._open: list[list[bytes]] = []
        self._full: list[int] = []

    def append(self, leaf_hash: bytes) -> list[tuple[Tile, bytes]]:
        """Take the next leaf's hash.

        Returns:
            The tiles that it filled, with their bytes, the lowest level first; mostly none.

        Raises:
            InvalidInputError: The hash is not 32 bytes long.
        """
        filled: list[tuple[Tile, bytes]] = []
        level, value = 0, leaf_hash
        while True:
            if level == len(self._open):
                self._open.append([])
                self._full.append(0)
            hashes = self._open[level]
            hashes.append(value)
            if len(hashes) < TILE_WIDTH:
                return filled
            filled.append((Tile(level, self._full[level]), encode_tile(hashes)))
            value = root_of(hashes)
            hashes.clear()
            self._full[level] += 1
            level += 1

    def partial_tiles(self) -> list[tuple[Tile, bytes]]:
        """Return the tiles that are not full yet, with their bytes, the lowest level first.

        Raises:
            InvalidInputError: A hash that was taken is not 32 bytes long.
        """
        return [
            (Tile(level, self._full[level], len(hashes)), encode_tile(hashes))
            for level, hashes in enumerate(self._open)
            if hashes
        ]
