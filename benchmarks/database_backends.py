"""What PostgreSQL costs against SQLite, on publishing, resolving and listing.

Two registries of dev side by side, one on each database, each a process of its own behind mutual TLS and
under the shipped policy. The calls are bare gRPC calls, so that no client's verification is in the clock.
They take turns: in each round every kind of call is made on the one and then on the other, by one caller and
by several at once. A ratio is of one round's times; the median of the rounds is told.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.bundles import make_bundle
from benchmarks.registries import Registries
from benchmarks.report import Report, Row
from carnet.bundle.build import build_manifest
from carnet.bundle.document import read_document
from carnet.bundle.paths import MANIFEST_NAME
from carnet.client.channel import TlsIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.client.transfer import LocalBlob, upload_files
from carnet.registry.v1 import models_pb2
from carnet.signing.model_signature import sign_model
from carnet_server.local.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from carnet.bundle.manifest import Manifest
    from carnet.signing.keys import SigningKey

LIMIT = 2.5
CALLERS = 8
ROUNDS = 5
QUICK_ROUNDS = 2
PUBLISHED_EACH = 8  # versions that each caller publishes in a round
READS_EACH = 60
_STORES = {"SQLite": Stores(), "PostgreSQL": Stores(database="postgres")}


class _Registry:
    """A registry under load, and what is published there next."""

    def __init__(
        self, connection: RegistryConnection, key: SigningKey, manifests: list[list[Manifest]]
    ) -> None:
        self._connection = connection
        self._key = key
        self._manifests = manifests

    async def publish(self, lane: int) -> None:
        manifest = self._manifests[lane].pop(0)
        covered = [(file.path, file.digest) for file in manifest.files] + [(MANIFEST_NAME, manifest.digest)]
        signature = await asyncio.to_thread(sign_model, manifest.model, covered, self._key)
        parent = f"namespaces/{manifest.namespace}/models/{manifest.model}"
        await self._connection.call(
            self._connection.models.PublishVersion,
            models_pb2.PublishVersionRequest(
                parent=parent, canonical_manifest=manifest.to_bytes(), signature=signature
            ),
        )

    async def resolve(self, lane: int) -> None:
        name = f"namespaces/bench/models/{_model(lane)}/versions/1"
        await self._connection.call(
            self._connection.models.ResolveVersion, models_pb2.ResolveVersionRequest(name=name)
        )

    async def list(self, lane: int) -> None:
        parent = f"namespaces/bench/models/{_model(lane)}"
        await self._connection.call(
            self._connection.models.ListVersions, models_pb2.ListVersionsRequest(parent=parent, page_size=50)
        )


def _model(lane: int) -> str:
    return f"model-{lane}"


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with ExitStack() as stack:
        running = {
            name: stack.enter_context(Registries(work / name.lower(), "pull", stores=stores))
            for name, stores in _STORES.items()
        }
        times = asyncio.run(_measure(work, {name: each.folder for name, each in running.items()}, rounds))
    rows = []
    for what in next(iter(times.values())):
        lite, post = times["SQLite"][what], times["PostgreSQL"][what]
        ratio = median(mine / other for mine, other in zip(post, lite, strict=True))
        rows.append(
            Row(
                what,
                _in_ms(median(post)),
                _in_ms(median(lite)),
                ratio,
                held=None if quick else ratio <= LIMIT,
            )
        )
    return Report(
        name="database_backends",
        question="PostgreSQL against SQLite: the time of one call, over mutual TLS",
        rows=rows,
        figures={"limit": LIMIT, "rounds": rounds, "callers": CALLERS, "seconds_a_call": times},
        notes=[f"medians of {rounds} rounds; each ratio is the median of the rounds' own ratios"],
    )


def _in_ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


async def _measure(work: Path, folders: dict[str, Path], rounds: int) -> dict[str, dict[str, list[float]]]:
    times: dict[str, dict[str, list[float]]] = {name: {} for name in folders}
    registries = {}
    for name, folder in folders.items():
        registries[name] = await _prepare(work, folder, rounds)
    for _ in range(rounds):
        for what, callers, measure in _KINDS:
            for name, registry in registries.items():
                times[name].setdefault(what, []).append(await measure(registry, callers))
    for registry in registries.values():
        await registry._connection.close()  # noqa: SLF001  ours
    return times


async def _prepare(work: Path, folder: Path, rounds: int) -> _Registry:
    """Upload every version's blob, and publish the first version of each model."""
    federation = Federation.load(folder)
    me, pinned = federation.identity("ci"), federation.environment("dev")
    identity = TlsIdentity.load(me.certificate, me.private_key, federation.ca)
    connection = RegistryConnection(
        pinned.endpoint, server_name=pinned.server_name, identity=identity, environment="dev"
    )
    count = 1 + rounds * 2 * PUBLISHED_EACH
    manifests: list[list[Manifest]] = []
    for lane in range(CALLERS):
        manifests.append([])
        for number in range(1, count + 1):
            bundle = make_bundle(work / "bundle", {"model.bin": 1024 + lane * count + number})
            manifest = build_manifest(
                read_document(bundle / "carnet.yaml"),
                bundle,
                home="dev",
                namespace="bench",
                model=_model(lane),
                version=number,
            )
            blobs = [LocalBlob(bundle / file.path, file.digest, file.size_bytes) for file in manifest.files]
            await upload_files(connection, "bench", blobs)
            shutil.rmtree(bundle)
            manifests[lane].append(manifest)
    registry = _Registry(connection, me.signing_key(), manifests)
    await asyncio.gather(*(registry.publish(lane) for lane in range(CALLERS)))
    return registry


async def _publish(registry: _Registry, callers: int) -> float:
    return await _timed(registry.publish, callers, PUBLISHED_EACH)


async def _resolve(registry: _Registry, callers: int) -> float:
    return await _timed(registry.resolve, callers, READS_EACH)


async def _list(registry: _Registry, callers: int) -> float:
    return await _timed(registry.list, callers, READS_EACH)


async def _timed(call: Callable[[int], Awaitable[None]], callers: int, each: int) -> float:
    async def caller(lane: int) -> None:
        for _ in range(each):
            await call(lane)

    began = time.perf_counter()
    await asyncio.gather(*(caller(lane) for lane in range(callers)))
    return (time.perf_counter() - began) / (callers * each)


_KINDS: tuple[tuple[str, int, Callable[[_Registry, int], Awaitable[float]]], ...] = (
    ("publish: one caller", 1, _publish),
    (f"publish: {CALLERS} callers", CALLERS, _publish),
    ("resolve: one caller", 1, _resolve),
    (f"resolve: {CALLERS} callers", CALLERS, _resolve),
    ("list versions: one caller", 1, _list),
    (f"list versions: {CALLERS} callers", CALLERS, _list),
)
