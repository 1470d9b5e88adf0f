"""Hash tiles out of leaf hashes, as they come.

Responsible for filling the tiles of every level at once, in memory that grows with the height of the tree and
not with its size. Whoever writes tiles and whoever checks them use the same builder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.translog.tiles import TILE_WIDTH, Tile, encode_tile
from carnet.translog.tree import EMPTY_ROOT, HASH_BYTES, complete_root, root_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class TileBuilder:
    """Fills the hash tiles of a tree, leaf by leaf. Not for several threads at once.

    Args:
        size: How many leaves there are already.
        right_edge: What ``right_edge`` was for them: the hashes of each level's tile that is not full.

    Raises:
        InvalidInputError: The right edge is not that of a tree of this size.
    """

    def __init__(self, size: int = 0, right_edge: Sequence[Sequence[bytes]] = ()) -> None:
        self._open: list[list[bytes]] = [list(hashes) for hashes in right_edge]
        self._full: list[int] = [size // TILE_WIDTH ** (level + 1) for level in range(len(right_edge))]
        wanted = [size // TILE_WIDTH**level % TILE_WIDTH for level in range(len(right_edge))]
        fits = [len(hashes) for hashes in self._open] == wanted and size < TILE_WIDTH ** len(right_edge)
        if size < 0 or ((size or right_edge) and not fits):
            raise InvalidInputError(f"tiles: the hashes are not the right edge of a tree of {size}")
        if any(len(value) != HASH_BYTES for hashes in self._open for value in hashes):
            raise InvalidInputError(f"tiles: a hash has {HASH_BYTES} bytes")

    @property
    def size(self) -> int:
        """How many leaves there are."""
        if not self._open:
            return 0
        return self._full[0] * TILE_WIDTH + len(self._open[0])

    @property
    def right_edge(self) -> list[list[bytes]]:
        """The hashes of each level's tile that is not full, the lowest level first; some have none."""
        return [list(hashes) for hashes in self._open]

    def append(self, leaf_hash: bytes) -> list[tuple[Tile, bytes]]:
        """Take the next leaf's hash.

        Returns:
            The tiles that it filled, with their bytes, the lowest level first; mostly none.

        Raises:
            InvalidInputError: The hash is not 32 bytes long.
        """
        return self._carry(0, leaf_hash)

    def extend(self, leaf_hashes: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Take the hashes of the next leaves; a whole tile of them is taken at once.

        Returns:
            The tiles that they filled, with their bytes.

        Raises:
            InvalidInputError: A hash is not 32 bytes long.
        """
        if len(leaf_hashes) != TILE_WIDTH or self.size % TILE_WIDTH:
            return [tile for value in leaf_hashes for tile in self.append(value)]
        filled = (Tile(0, self.size // TILE_WIDTH), encode_tile(leaf_hashes))
        if not self._open:
            self._open.append([])
            self._full.append(0)
        self._full[0] += 1
        return [filled, *self._carry(1, complete_root(leaf_hashes))]

    def root(self, more: Sequence[bytes] = ()) -> bytes:
        """Return the root, as if some more leaves had been taken: as many as fit the open tile."""
        last: list[bytes] = []
        levels = self._open or [[]]
        for level, hashes in enumerate(levels):
            nodes = [*hashes, *more, *last] if level == 0 else [*hashes, *last]
            last = [root_of(nodes)] if nodes else []
        return last[0] if last else EMPTY_ROOT

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

    def _carry(self, level: int, value: bytes) -> list[tuple[Tile, bytes]]:
        """Put a hash onto a level, and the root of each tile that is full then onto the next."""
        filled: list[tuple[Tile, bytes]] = []
        while True:
            if level == len(self._open):
                self._open.append([])
                self._full.append(0)
            hashes = self._open[level]
            hashes.append(value)
            if len(hashes) < TILE_WIDTH:
                return filled
            filled.append((Tile(level, self._full[level]), encode_tile(hashes)))
            value = complete_root(hashes)
            hashes.clear()
            self._full[level] += 1
            level += 1
