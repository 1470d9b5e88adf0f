"""Tiles: a log as a set of files that never change once they are full (C2SP tlog-tiles).

Responsible for the paths of hash tiles and entry bundles, for their bytes, and for saying which of them a
tree of some size has. A hash tile at level L holds the roots of complete subtrees of ``256**L`` leaves; an
entry bundle holds the entries themselves, each behind its length in 16 bits. Reads and writes no files.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from carnet.errors import InvalidInputError, LogTamperedError
from carnet.translog.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
ENTRY_MAX_BYTES = 0xFFFF
BUNDLE_MAX_BYTES = TILE_WIDTH * (2 + ENTRY_MAX_BYTES)
ENTRIES_LEVEL = -1
_LEVEL_MAX = 63
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: a level (``ENTRIES_LEVEL`` for entries), an index, and how many it holds (1 to 256).

    Raises:
        InvalidInputError: There can be no such tile.
    """

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Refuse what no tile can be."""
        in_range = ENTRIES_LEVEL <= self.level <= _LEVEL_MAX and self.index >= 0
        if not in_range or not 1 <= self.width <= TILE_WIDTH:
            raise InvalidInputError(
                f"tile: there is none at level {self.level}, {self.index}, {self.width} wide"
            )

    @property
    def first_index(self) -> int:
        """The index, within its level, of the first hash or entry that the tile holds."""
        return self.index * TILE_WIDTH

    @property
    def path(self) -> str:
        """The tile's path below the log's prefix, such as ``tile/0/x001/234.p/5``."""
        level = "entries" if self.level == ENTRIES_LEVEL else str(self.level)
        rest, last = divmod(self.index, 1000)
        elements = [f"{last:03d}"]
        while rest:
            rest, element = divmod(rest, 1000)
            elements.append(f"x{element:03d}")
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(elements))}{partial}"

    @classmethod
    def parse(cls, path: str) -> Self:
        """Parse a tile's path; only the one path that a tile has is accepted.

        Raises:
            InvalidInputError: The path is not a tile's.
        """
        match = _PATH.fullmatch(path) if len(path) <= 200 else None
        if match:
            level = ENTRIES_LEVEL if match["level"] == "entries" else int(match["level"])
            index = int(match["index"].replace("x", "").replace("/", ""))
            tile = cls(level, index, int(match["width"] or TILE_WIDTH))
            if tile.path == path:
                return tile
        raise InvalidInputError(f"tile: {path[:200]!r} is not a tile's path, such as tile/0/x001/234.p/5")


def entry_bundles(size: int) -> Iterator[Tile]:
    """Yield the entry bundles of a tree of this size, in order."""
    return _level_tiles(ENTRIES_LEVEL, size)


def hash_tiles(size: int) -> Iterator[Tile]:
    """Yield the hash tiles of a tree of this size, level by level, each level in order."""
    level = 0
    while size:
        yield from _level_tiles(level, size)
        size >>= TILE_HEIGHT
        level += 1


def in_tree(tile: Tile, size: int) -> bool:
    """Tell whether a tree of this size has exactly this tile, as wide as it is."""
    count = size >> (TILE_HEIGHT * max(tile.level, 0))
    return tile.width == min(TILE_WIDTH, count - tile.first_index)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write entries as a bundle.

    Raises:
        InvalidInputError: An entry is longer than 65,535 bytes, or there are none or more than 256.
    """
    _check_count(len(entries))
    for entry in entries:
        if len(entry) > ENTRY_MAX_BYTES:
            raise InvalidInputError(f"log entry: {len(entry)} bytes; at most {ENTRY_MAX_BYTES} fit")
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def parse_bundle(data: bytes, *, width: int) -> list[bytes]:
    """Read a bundle of exactly ``width`` entries.

    Raises:
        LogTamperedError: The bytes end early, or go on after the last entry.
    """
    entries = []
    offset = 0
    for position in range(width):
        end = offset + 2
        if end <= len(data):
            end += struct.unpack_from(">H", data, offset)[0]
        if end > len(data):
            raise LogTamperedError(f"entry bundle: it ends within entry {position} of {width}")
        entries.append(data[offset + 2 : end])
        offset = end
    if offset != len(data):
        raise LogTamperedError(f"entry bundle: {len(data) - offset} bytes follow the last of {width} entries")
    return entries


def encode_tile(hashes: Sequence[bytes]) -> bytes:
    """Write hashes as a tile.

    Raises:
        InvalidInputError: A hash is not 32 bytes long, or there are none or more than 256.
    """
    _check_count(len(hashes))
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise InvalidInputError(f"hash tile: a hash has {HASH_BYTES} bytes, this has {len(value)}")
    return b"".join(hashes)


def parse_tile(data: bytes, *, width: int) -> list[bytes]:
    """Read a tile of exactly ``width`` hashes.

    Raises:
        LogTamperedError: The bytes are fewer or more.
    """
    if len(data) != width * HASH_BYTES:
        raise LogTamperedError(f"hash tile: {width} hashes are {width * HASH_BYTES} bytes, not {len(data)}")
    return [data[offset : offset + HASH_BYTES] for offset in range(0, len(data), HASH_BYTES)]


def _level_tiles(level: int, count: int) -> Iterator[Tile]:
    full, rest = divmod(count, TILE_WIDTH)
    for index in range(full):
        yield Tile(level, index)
    if rest:
        yield Tile(level, full, rest)


def _check_count(count: int) -> None:
    if not 1 <= count <= TILE_WIDTH:
        raise InvalidInputError(f"tile: it holds 1 to {TILE_WIDTH}, not {count}")
