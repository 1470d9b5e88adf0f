"""The log as tiles, out of the database (C2SP tlog-tiles).

Responsible for the bytes of a hash tile or entry bundle, and for which of them there are: every full one of
the signed tree, and partial ones only as a signed tree had them. Only the end of a commit is ever signed, and
all entries of a commit have one time, so that a partial tile of leaves ends where the time changes. Serves
nothing (``carnet_server.log.http``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import NotFoundError
from carnet.translog.entry import parse_entry
from carnet.translog.tiles import (
    ENTRIES_LEVEL,
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    encode_bundle,
    encode_tile,
    in_tree,
)
from carnet_server.log import queries

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService


class LogTiles:
    """Reads the tiles of one environment's log.

    Args:
        database: The environment's database.
        log: Its log.
    """

    def __init__(self, database: Database, log: LogService) -> None:
        self._database = database
        self._log = log

    async def read(self, tile: Tile) -> bytes:
        """Read one tile.

        Args:
            tile: Which.

        Returns:
            Its bytes.

        Raises:
            NotFoundError: No tree that was signed has it, or not that wide.
            UnavailableError: The database failed.
        """
        size = self._log.size
        count = size >> (TILE_HEIGHT * max(tile.level, 0))
        end = tile.first_index + tile.width
        if end > count:
            raise NotFoundError(f"{tile.path}: the signed tree has {size} entries, and not this tile")

        def query(connection: Connection) -> bytes:
            if tile.width < TILE_WIDTH and tile.level <= 0 and not in_tree(tile, size):
                _require_end_of_commit(connection, end, tile)
            span = {"first": tile.first_index, "end": end}
            if tile.level == ENTRIES_LEVEL:
                rows = connection.execute(queries.READ_ENTRIES, span)
                return encode_bundle([row.entry for row in rows])
            if tile.level == 0:
                return encode_tile(list(connection.execute(queries.READ_LEAF_HASHES, span).scalars()))
            span["of_level"] = tile.level * TILE_HEIGHT
            return encode_tile(list(connection.execute(queries.READ_NODE_RANGE, span).scalars()))

        return await self._database.read(query)


def _require_end_of_commit(connection: Connection, end: int, tile: Tile) -> None:
    """Insist that a commit ended before an index: else no tree of that size was ever signed."""
    around = connection.execute(queries.READ_ENTRIES, {"first": end - 1, "end": end + 1})
    before, after = (parse_entry(row.entry).time for row in around)
    if before == after:
        raise NotFoundError(f"{tile.path}: no tree of {end} entries was signed")
