"""Fixtures of the promotion service's tests: a simulated federation, a database file, workers over it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from carnet.client.renewal import FollowedIdentity
from carnet_sync.config import load_config
from carnet_sync.database import Database
from carnet_sync.environments.links import Links
from carnet_sync.migrations import upgrade
from carnet_sync.promotions.changes import Changes
from carnet_sync.promotions.service import PromotionsService
from carnet_sync.promotions.worker import Worker
from tests.support.simulator import SimulatedFederation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from carnet_sync.config import SyncConfig
    from carnet_sync.promotions.domain import Promotion


class Bench:
    """A promotion service's parts over one database file, without a clock that ticks or a server."""

    def __init__(self, config: SyncConfig) -> None:
        self.config = config
        self.changes = Changes()
        self.links = Links(config.environments, config.routes, FollowedIdentity(config.tls_identity()))
        self.database = Database(config.database)
        self.worker = self.another_worker()
        self.service = PromotionsService(self.database, self.links, self.worker, self.changes)

    def another_worker(self, database: Database | None = None, **options: Any) -> Worker:
        """Return a further worker, as another process would have it."""
        return Worker(database or self.database, self.links, self.changes, **options)

    async def begin(self, request: bytes) -> Promotion:
        """Take a request in, and wait until the worker has nothing more to do at once."""
        promotion = await self.service.create(request, caller="spiffe://carnet.internal/service/ci")
        await self.worker.idle()
        return await self.promotion(promotion.id)

    async def promotion(self, promotion_id: str) -> Promotion:
        """Read a promotion whole."""
        return await self.service._whole(promotion_id)

    async def states(self, promotion_id: str) -> list[str]:
        """The states of its events."""
        return [str(event.state) for event in (await self.service.get(promotion_id))[1]]

    async def go_on(self, promotion_id: str, worker: Worker | None = None) -> Promotion:
        """Make it due, and carry it on."""
        worker = worker or self.worker
        await worker.wake_everything()
        await worker.carry_on(promotion_id)
        return await self.promotion(promotion_id)

    async def close(self) -> None:
        await self.worker.stop()
        await self.links.close()
        self.database.close()


@pytest.fixture
async def federation() -> AsyncIterator[SimulatedFederation]:
    async with SimulatedFederation() as found:
        yield found


@pytest.fixture
def make_config(federation: SimulatedFederation, tmp_path: Path) -> Callable[..., SyncConfig]:
    def make(**options: Any) -> SyncConfig:
        document = federation.configuration(tmp_path / "sync", **options)
        path = tmp_path / "sync" / "sync.yaml"
        path.write_text(json.dumps(document), encoding="utf-8")
        config = load_config(path)
        upgrade(config.database)
        return config

    return make


@pytest.fixture
async def bench(make_config: Callable[..., SyncConfig]) -> AsyncIterator[Bench]:
    found = Bench(make_config())
    yield found
    await found.close()
