from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from carnet_sync.database import Database
from carnet_sync.migrations import upgrade
from carnet_sync.promotions import queries
from carnet_sync.promotions.domain import Promotion, State
from carnet_sync.promotions.outcome import Learned, Outcome
from tests.support.simulator import make_promotion

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)
AFTER_ALL = NOW + timedelta(hours=1)


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    """Two processes' ways to one database file."""
    url = f"sqlite:///{tmp_path}/sync.db"
    upgrade(url)
    pair = (Database(url), Database(url))
    yield pair
    for each in pair:
        each.close()


async def store(database: Database, *promotions: Promotion) -> None:
    for each in promotions:
        await database.write(lambda c, each=each: queries.add(c, each))


async def take(database: Database, owner: str, now: datetime = NOW, **options: Any) -> Promotion | None:
    expires = options.pop("expires", now + timedelta(seconds=5))
    return await database.write(
        lambda c: queries.take_lease(c, "0" * 32, owner=owner, now=now, expires=expires)
    )


async def settle(database: Database, held: Promotion, outcome: Outcome) -> Promotion | None:
    return await database.write(lambda c: queries.settle(c, held, outcome, now=NOW, due_at=NOW))


async def test_of_many_takers_in_two_processes_one_gets_each_lease(
    databases: tuple[Database, Database],
) -> None:
    await store(databases[0], make_promotion())
    for epoch in range(1, 6):
        now = NOW + timedelta(minutes=epoch)
        won = await asyncio.gather(*(take(databases[n % 2], f"worker-{n}", now) for n in range(12)))
        winners = [each for each in won if each is not None]
        assert len(winners) == 1
        assert winners[0].epoch == epoch


async def test_a_lease_is_free_again_when_it_runs_out_and_not_before(
    databases: tuple[Database, Database],
) -> None:
    first, second = databases
    await store(first, make_promotion())
    held = await take(first, "one", expires=LATER)
    assert held is not None
    assert await take(second, "two", LATER - timedelta(microseconds=1)) is None
    assert await first.write(lambda c: queries.renew_lease(c, held, LATER + timedelta(seconds=5)))
    assert await take(second, "two", LATER + timedelta(seconds=4)) is None
    assert await take(second, "two", LATER + timedelta(seconds=6)) is not None


async def test_whoever_lost_the_lease_changes_nothing_more(databases: tuple[Database, Database]) -> None:
    first, second = databases
    await store(first, make_promotion())
    held = await take(first, "one")
    assert held is not None
    assert await take(second, "two", AFTER_ALL) is not None
    before = await second.read(lambda c: queries.get(c, held.id))
    assert not await first.write(lambda c: queries.renew_lease(c, held, AFTER_ALL))
    assert not await first.write(lambda c: queries.drop_lease(c, held, NOW))
    assert not await first.write(lambda c: queries.report_progress(c, held, 1, 2))
    assert await settle(first, held, Outcome(State.CHECKING, "too late")) is None
    assert await second.read(lambda c: queries.get(c, held.id)) == before


@pytest.mark.parametrize(
    "fields",
    [{"state": state} for state in State if not state.active] + [{"wake_at": AFTER_ALL}],
)
async def test_what_has_ended_or_is_not_due_is_not_taken(
    databases: tuple[Database, Database], fields: dict[str, Any]
) -> None:
    await store(databases[0], make_promotion(**fields))
    assert await take(databases[0], "one") is None
    assert await databases[0].read(lambda c: queries.due(c, NOW, 10)) == []


async def test_settling_stores_the_outcome_and_its_event_together(
    databases: tuple[Database, Database],
) -> None:
    await store(databases[0], make_promotion(message="taken in"))
    held = await take(databases[0], "one")
    assert held is not None
    outcome = Outcome(State.CHECKING, "the bundle is there", learned=Learned(manifest=b"{}"))
    settled = await settle(databases[0], held, outcome)
    assert settled is not None
    assert (settled.state, settled.manifest, settled.sequence) == (State.CHECKING, b"{}", 2)
    assert settled.lease_owner == "one"
    found = await databases[1].read(lambda c: queries.glance(c, held.id, 0))
    assert found is not None
    assert [(event.sequence, event.message) for event in found[1]] == [
        (1, "taken in"),
        (2, "the bundle is there"),
    ]


async def test_an_outcome_that_says_nothing_new_is_no_event(databases: tuple[Database, Database]) -> None:
    await store(databases[0], make_promotion(state=State.AWAITING, message="staging awaits a review"))
    for attempt in range(1, 4):
        held = await take(databases[0], "one")
        assert held is not None
        outcome = Outcome(State.AWAITING, "staging awaits a review", wait_seconds=1)
        settled = await settle(databases[0], held, outcome)
        assert settled is not None
        assert (settled.sequence, settled.attempts, settled.lease_owner) == (1, attempt, "")


async def test_a_glance_leaves_the_heavy_bytes_out(databases: tuple[Database, Database]) -> None:
    await store(databases[0], make_promotion(manifest=b"m" * 1000, admission=b"a"))
    found = await databases[0].read(lambda c: queries.glance(c, "0" * 32, 0))
    assert found is not None
    assert (found[0].manifest, found[0].request, found[0].admission) == (b"", b"", b"a")
    assert await databases[0].read(lambda c: queries.glance(c, "1" * 32, 0)) is None


async def test_an_overruling_ends_the_lease_and_a_second_one_finds_it_moved(
    databases: tuple[Database, Database],
) -> None:
    await store(databases[0], make_promotion())
    held = await take(databases[0], "one")
    assert held is not None
    word = "cancelled"
    ended = await databases[1].write(lambda c: queries.overrule(c, held, State.CANCELLED, word, now=NOW))
    assert ended is not None
    assert (ended.state, ended.epoch, ended.lease_owner) == (State.CANCELLED, held.epoch + 1, "")
    assert await settle(databases[0], held, Outcome(State.CHECKING, "on")) is None
    assert (
        await databases[1].write(lambda c: queries.overrule(c, held, State.CANCELLED, word, now=NOW)) is None
    )


async def test_the_list_is_newest_first_and_pages_meet_without_gap(
    databases: tuple[Database, Database],
) -> None:
    stored = [
        make_promotion(
            id=f"{number:032x}",
            created_at=NOW + timedelta(seconds=number // 3),
            state=State.FAILED if number % 4 == 0 else State.AWAITING,
            manifest=b"heavy",
        )
        for number in range(20)
    ]
    await store(databases[0], *stored)
    for active_only in (False, True):
        wanted = [each.id for each in stored if each.state.active or not active_only]
        seen: list[str] = []
        before = None
        while True:
            page = await databases[0].read(
                partial(queries.newest, before=before, active_only=active_only, limit=3)
            )
            if not page:
                break
            assert all(each.manifest == each.admission == b"" for each in page)
            seen += [each.id for each in page]
            before = (page[-1].created_at, page[-1].id)
        assert len(seen) == len(set(seen)) == len(wanted)
        assert set(seen) == set(wanted)


async def test_waking_reaches_those_that_are_meant(databases: tuple[Database, Database]) -> None:
    asleep = make_promotion(wake_at=AFTER_ALL)
    stored = [
        replace(asleep, id="1" * 32, bundle_digest="b" * 64),
        replace(asleep, id="2" * 32, state=State.AWAITING, target="prod"),
        replace(asleep, id="3" * 32, state=State.REJECTED, bundle_digest="b" * 64),
        replace(asleep, id="4" * 32, state=State.CHECKING, target="prod"),
    ]
    await store(databases[0], *stored)

    async def woken(**meant: str) -> list[str]:
        return sorted(each[0] for each in await databases[0].write(lambda c: queries.wake(c, NOW, **meant)))

    assert await woken() == []
    assert await databases[0].read(lambda c: queries.due(c, NOW, 10)) == []
    assert await woken(bundle_digest="b" * 64) == ["1"]
    assert await woken(promotion="4" * 32, bundle_digest="c" * 64) == ["4"]
    assert await woken(waiting_for="prod") == ["2"]
    assert len(await databases[0].read(lambda c: queries.due(c, NOW, 10))) == 3


async def test_what_a_dead_worker_left_is_freed(databases: tuple[Database, Database]) -> None:
    await store(databases[0], make_promotion())
    assert await take(databases[0], "dead", expires=LATER) is not None
    assert await databases[1].write(lambda c: queries.free_expired(c, LATER)) == 0
    assert await databases[1].read(lambda c: queries.due(c, AFTER_ALL, 10)) == []
    assert await databases[1].write(lambda c: queries.free_expired(c, AFTER_ALL)) == 1
    assert await databases[1].read(lambda c: queries.due(c, AFTER_ALL, 10)) == ["0" * 32]
