from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from carnet.errors import InvalidInputError, NotFoundError, UnavailableError
from carnet_sync.promotions import queries
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.watch import watch
from tests.support.simulator import AWAITING, make_promotion

if TYPE_CHECKING:
    from carnet_sync.promotions.domain import Event, Promotion
    from tests.support.simulator import SimulatedFederation
    from tests.unit.carnet_sync.conftest import Bench


async def collect(bench: Bench, promotion_id: str, after: int = 0) -> list[tuple[Promotion, Event | None]]:
    return [each async for each in watch(bench.service, bench.changes, promotion_id, after)]


async def test_a_watch_tells_every_event_and_ends_with_the_promotion(
    bench: Bench, federation: SimulatedFederation
) -> None:
    promotion = await bench.service.create(federation.request(), caller="spiffe://carnet.internal/service/ci")
    told = await asyncio.wait_for(collect(bench, promotion.id), 10)
    events = [event for _, event in told if event]
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5]
    assert told[-1][0].state is State.SUCCEEDED


@pytest.mark.parametrize("after", [0, 1, 3, 4])
async def test_a_watch_is_resumed_without_gap_or_repeat(
    bench: Bench, federation: SimulatedFederation, after: int
) -> None:
    promotion = await bench.begin(federation.request())
    told = await collect(bench, promotion.id, after)
    assert [event.sequence for _, event in told if event] == list(range(after + 1, 6))


@pytest.mark.parametrize("after", [5, 99])
async def test_a_watch_behind_the_end_tells_once_how_it_stands(
    bench: Bench, federation: SimulatedFederation, after: int
) -> None:
    promotion = await bench.begin(federation.request())
    told = await collect(bench, promotion.id, after)
    assert [(found.state, event) for found, event in told] == [(State.SUCCEEDED, None)]


async def test_mere_progress_is_told_without_an_event_and_not_too_often(bench: Bench) -> None:
    stored = make_promotion(state=State.TRANSFERRING)
    await bench.database.write(lambda c: queries.add(c, stored))
    seen: list[int] = []

    async def follow() -> None:
        async for found, event in watch(bench.service, bench.changes, stored.id, 1):
            assert event is None
            seen.append(found.transferred_bytes)

    following = asyncio.create_task(follow())
    for done in range(1, 61):
        await bench.database.write(lambda c, done=done: queries.report_progress(c, stored, done, 60))
        bench.changes.tell(stored.id)
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    following.cancel()
    assert seen == sorted(set(seen))
    assert seen[-1] == 60
    assert len(seen) <= 10


async def test_a_change_by_another_process_is_noticed_too(
    bench: Bench, federation: SimulatedFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carnet_sync.promotions.watch.LOOK_AGAIN_SECONDS", 0.05)
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.begin(federation.request())
    following = asyncio.create_task(collect(bench, promotion.id))
    await asyncio.sleep(0.3)
    with monkeypatch.context() as patch:
        patch.setattr(bench.changes, "tell", lambda promotion_id: None)
        await bench.service.cancel(
            promotion.id, federation.cancellation(promotion.id), caller="spiffe://carnet.internal/service/ci"
        )
    told = await asyncio.wait_for(following, 5)
    assert told[-1][0].state is State.CANCELLED


async def test_a_stopping_service_sends_watchers_away_to_come_back(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.begin(federation.request())
    following = asyncio.create_task(collect(bench, promotion.id))
    await asyncio.sleep(0.05)
    bench.changes.close()
    with pytest.raises(UnavailableError, match="watch again from the last event"):
        await asyncio.wait_for(following, 5)


async def test_what_cannot_be_watched_is_said(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        await collect(bench, "b" * 32)
    with pytest.raises(InvalidInputError, match="negative"):
        await collect(bench, "b" * 32, -1)
