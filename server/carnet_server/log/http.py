"""The log over HTTP, read only, as C2SP tlog-tiles has it: any client or cache of tiles can read it.

There is no identity here: whoever reaches the port reads every entry. So it is served only where the operator
says so (``http.tiles``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from carnet.errors import InvalidInputError
from carnet.translog.tiles import TILE_WIDTH, Tile
from carnet_server.log.tiles import LogTiles

if TYPE_CHECKING:
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService

# A full tile never changes (RFC 8246); a partial one does not either, but is soon of no use.
_FULL = "public, max-age=31536000, immutable"
_PARTIAL = "public, max-age=60"


def tile_routes(database: Database, log: LogService) -> list[web.RouteDef]:
    """Return the routes ``/checkpoint`` and ``/tile/…``.

    Args:
        database: The environment's database.
        log: Its log.
    """
    tiles = LogTiles(database, log)

    async def checkpoint(_request: web.Request) -> web.Response:
        return web.Response(text=log.checkpoint, headers={"Cache-Control": "no-cache"})

    async def tile(request: web.Request) -> web.Response:
        try:
            wanted = Tile.parse(request.path.removeprefix("/"))
        except InvalidInputError as error:
            return web.Response(status=404, text=f"{error.message}\n")
        data = await tiles.read(wanted)
        kept = _FULL if wanted.width == TILE_WIDTH else _PARTIAL
        return web.Response(
            body=data, content_type="application/octet-stream", headers={"Cache-Control": kept}
        )

    return [web.get("/checkpoint", checkpoint), web.get("/tile/{path:.+}", tile)]
