from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from carnet.translog.entry import EntryType
from carnet_sync.promotions import waking
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.waking import LogFollower
from tests.support.simulator import AWAITING, READY, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.simulator import SimulatedFederation
    from tests.unit.carnet_sync.conftest import Bench


@pytest.fixture
async def follower(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LogFollower]:
    monkeypatch.setattr(waking, "FIRST_PAUSE_SECONDS", 0.05)
    found = LogFollower(bench.database, bench.links, bench.worker)
    yield found
    await found.stop()


@pytest.mark.parametrize(
    ("environment", "kind", "by"),
    [
        ("dev", EntryType.EVIDENCE_ADDED, "bundle_digest"),
        ("dev", EntryType.VERSION_REVOKED, "bundle_digest"),
        ("staging", EntryType.EVIDENCE_ADDED, "bundle_digest"),
        ("staging", EntryType.APPROVAL_RECORDED, "promotion"),
        ("staging", EntryType.POLICY_CHANGED, "policy"),
        ("staging", EntryType.TRUST_CHANGED, "key"),
    ],
)
async def test_an_entry_wakes_what_it_is_about(
    bench: Bench,
    federation: SimulatedFederation,
    follower: LogFollower,
    environment: str,
    kind: EntryType,
    by: str,
) -> None:
    federation.staging.script.answers = [int(AWAITING), int(READY)]
    promotion = await bench.begin(federation.request())
    registry = getattr(federation, environment)
    follower.start(["dev", "staging"])
    await eventually(lambda: "WatchEntries" in registry.calls)
    values = {"promotion": promotion.id, "bundle_digest": federation.bundle_digest}
    await registry.log(kind, **{by: values.get(by, "c" * 64)})
    await eventually(lambda: federation.dev.recorded == [promotion.id])


async def test_an_entry_about_something_else_wakes_nothing(
    bench: Bench, federation: SimulatedFederation, follower: LogFollower
) -> None:
    federation.staging.script.answers = [int(AWAITING), int(READY)]
    promotion = await bench.begin(federation.request())
    follower.start(["dev", "staging"])
    await eventually(lambda: "WatchEntries" in federation.staging.calls)
    await federation.staging.log(EntryType.EVIDENCE_ADDED, bundle_digest="c" * 64)
    await federation.staging.log(EntryType.APPROVAL_RECORDED, promotion="d" * 32)
    await federation.staging.log(EntryType.DOSSIER_ISSUED, promotion=promotion.id)
    await federation.dev.log(EntryType.POLICY_CHANGED, policy="c" * 64)
    federation.staging._entries.append(b"not an entry")
    await federation.staging.log(EntryType.EVIDENCE_ADDED, bundle_digest="c" * 64)
    await asyncio.sleep(0.2)
    await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).state is State.AWAITING


async def test_a_log_that_was_away_is_followed_again_from_where_it_was(
    bench: Bench, federation: SimulatedFederation, follower: LogFollower
) -> None:
    federation.staging.script.answers = [int(AWAITING), int(READY)]
    promotion = await bench.begin(federation.request())
    follower.start(["staging"])
    await eventually(lambda: "WatchEntries" in federation.staging.calls)
    await federation.staging.stop()
    await federation.staging.log(EntryType.APPROVAL_RECORDED, promotion=promotion.id)
    await federation.staging.start()
    await eventually(lambda: federation.dev.recorded == [promotion.id], seconds=15)
