"""The least that telling costs with gRPC: ``python -m benchmarks.bare_teller FOLDER``.

A bare server with dev's certificate, over mutual TLS, that does nothing but tell all watchers of an alias the
same message at once. Says its address on a line; each line that it reads is a move, and is told.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from benchmarks.watchers import ENVIRONMENT
from carnet.registry.v1 import aliases_pb2, aliases_pb2_grpc
from carnet_server.config import load_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _BareTeller(aliases_pb2_grpc.AliasServiceServicer):
    """Tells; knows nothing of aliases."""

    def __init__(self) -> None:
        self._message = aliases_pb2.WatchAliasResponse(
            alias=aliases_pb2.Alias(name="any", version=1, bundle_digest="a" * 64)
        )
        self._moved = asyncio.get_running_loop().create_future()

    def move(self) -> None:
        """Tell all watchers of a revision more."""
        before = self._message.alias
        self._message = aliases_pb2.WatchAliasResponse(alias=before)
        self._message.alias.revision += 1
        moved, self._moved = self._moved, asyncio.get_running_loop().create_future()
        moved.set_result(None)

    async def WatchAlias(self, request: Any, context: Any) -> AsyncIterator[aliases_pb2.WatchAliasResponse]:  # noqa: N802, ARG002  gRPC's
        """Tell the present state, and then each move."""
        yield self._message
        while True:
            await asyncio.shield(self._moved)
            yield self._message


async def _serve(folder: Path) -> None:
    shown = load_config(folder / "environments" / ENVIRONMENT / "environment.yaml").tls_identity()
    credentials = grpc.ssl_server_credentials(
        [(shown.private_key, shown.certificate)], root_certificates=shown.ca, require_client_auth=True
    )
    server, teller = grpc.aio.server(), _BareTeller()
    aliases_pb2_grpc.add_AliasServiceServicer_to_server(teller, server)
    print(f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}", flush=True)
    await server.start()
    gc.freeze()
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        teller.move()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
