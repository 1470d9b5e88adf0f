"""Many watchers of one alias in one process: ``python -m benchmarks.watchers FOLDER NAME COUNT [ENDPOINT]``.

Each has a connection of its own to dev, over mutual TLS, as a serving host has, or to another endpoint with
dev's certificate. Says ``ready`` on a line once
all have been told the present state, then a line of JSON for each revision that all were told: the revision,
and when each was told, in seconds of the system's monotonic clock, which processes share.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from carnet.client.channel import TlsIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.registry.v1 import aliases_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIALLED_AT_ONCE = 4
ENVIRONMENT = "dev"
IDENTITY = "ci"


class _Told:
    """When each watcher was told of each revision."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._times: dict[int, list[float]] = {}
        self._ready = 0

    def add(self, revision: int, *, is_first: bool) -> None:
        if is_first:
            self._ready += 1
            if self._ready == self._count:
                # A host has one watcher, and no pauses for collecting the garbage of hundreds.
                gc.disable()
                print("ready", flush=True)
            return
        times = self._times.setdefault(revision, [])
        times.append(time.monotonic())
        if len(times) == self._count:
            print(json.dumps({"revision": revision, "told": self._times.pop(revision)}), flush=True)


def _connections(folder: Path, count: int, endpoint: str) -> Iterator[RegistryConnection]:
    federation = Federation.load(folder)
    me, pinned = federation.identity(IDENTITY), federation.environment(ENVIRONMENT)
    identity = TlsIdentity.load(me.certificate, me.private_key, federation.ca)
    for _ in range(count):
        yield RegistryConnection(
            endpoint or pinned.endpoint,
            server_name=pinned.server_name,
            identity=identity,
            environment=ENVIRONMENT,
        )


async def _watch(connection: RegistryConnection, name: str, told: _Told, dialling: asyncio.Semaphore) -> None:
    """Follow the alias; a handshake that was too slow, with so many at a time, is made again."""
    request = aliases_pb2.WatchAliasRequest(name=name)
    async with connection:
        async with dialling:
            while True:
                stream = connection.aliases.WatchAlias(request)
                with contextlib.suppress(grpc.RpcError):
                    told.add((await stream.read()).alias.revision, is_first=True)
                    break
        while True:
            told.add((await stream.read()).alias.revision, is_first=False)


async def _watch_all(folder: Path, name: str, count: int, endpoint: str = "") -> None:
    told, dialling = _Told(count), asyncio.Semaphore(_DIALLED_AT_ONCE)
    connections = _connections(folder, count, endpoint)
    await asyncio.gather(*(_watch(each, name, told, dialling) for each in connections))


if __name__ == "__main__":
    asyncio.run(_watch_all(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
