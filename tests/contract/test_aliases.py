"""Aliases as facts: reports of serving hosts, stale aliases, warm sets and drills.

Service objects over real storage, no transport.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from carnet.errors import (
    AlreadyExistsError,
    DataLossError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
    ResourceExhaustedError,
)
from carnet.references import ResourceName
from carnet_server.aliases import serving
from carnet_server.aliases.domain import MoveKind
from carnet_server.aliases.queries import read_moves
from carnet_server.aliases.serving import FORGOTTEN_AFTER, REPORT_TTL
from carnet_server.aliases.stale_rules import StaleReason
from tests.support.house import CHAMPION, a_house
from tests.support.registry import OPERATOR, READER

SHADOW = ResourceName("risk", "fraud", alias="shadow")
UNKNOWN = "9" * 64


@pytest.fixture
async def house(tmp_path, storage):
    async with a_house(tmp_path, storage) as house:
        yield house


# --- reports ------------------------------------------------------------------------------------------------


async def test_reports_are_counted_by_revision(house):
    await house.say(house.digests[3], 3)
    await house.say(house.digests[2], 2, instance="host-b")
    await house.say(house.digests[3], 3, by=OPERATOR)
    found = await house.serving()
    assert [(each.revision, each.instance_count) for each in found.revisions] == [(3, 2), (2, 1)]
    assert (found.instance_count, found.current_count) == (3, 2)
    assert found.lagging == (f"{READER} host-b",)
    assert await house.count("alias_reports") == 3


async def test_a_report_is_written_over_and_expires(house):
    await house.say(house.digests[2], 2)
    await house.say(house.digests[3], 3)
    assert (await house.serving()).current_count == 1
    house.clock.ahead = REPORT_TTL + timedelta(seconds=1)
    assert await house.serving() is None
    await house.say(house.digests[3], 3)
    assert (await house.serving()).instance_count == 1
    assert await house.count("alias_reports") == 1


async def test_what_is_unchanged_is_no_entry_and_hardly_a_write(house):
    await house.say(house.digests[3], 3, instance="host-b")
    size = house.log.size
    writes = []
    commit = house.writer.commit

    async def counted(change):
        writes.append(change)
        return await commit(change)

    house.writer.commit = counted
    for _ in range(5):
        await house.say(house.digests[3], 3)
    assert (len(writes), house.log.size) == (1, size)


async def test_drift_is_an_entry_once_an_hour(house):
    assert not (await house.say(house.digests[3], 3)).drifted
    assert not (await house.say(house.digests[2], 2)).drifted
    for _ in range(2):
        assert (await house.say(house.digests[1], 1)).drifted
        assert not (await house.say(house.digests[3], 3)).drifted
    (entry,) = await house.drifts()
    assert (entry.actor.subject, entry.old, entry.new) == (READER, house.digests[3], "host-a")
    assert entry.subject["bundle_digest"] == house.digests[1]
    house.clock.ahead = FORGOTTEN_AFTER
    await house.say(UNKNOWN, 1)
    assert len(await house.drifts()) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"instance": ""}, InvalidInputError),
        ({"instance": "a b"}, InvalidInputError),
        ({"instance": "x" * 129}, InvalidInputError),
        ({"digest": "sha256:x"}, InvalidInputError),
        ({"revision": 0}, InvalidInputError),
        ({"revision": 4}, InvalidInputError),
        ({"revision": 2**62}, InvalidInputError),
        ({"name": SHADOW}, NotFoundError),
    ],
)
async def test_a_report_of_what_there_cannot_be_is_refused(house, given, error):
    with pytest.raises(error):
        await house.say(**({"digest": UNKNOWN, "revision": 1} | given))
    assert await house.count("alias_reports") == 0


async def test_instances_are_bounded_and_make_room_when_they_are_forgotten(house, monkeypatch):
    monkeypatch.setattr(serving, "INSTANCES_OF_SUBJECT_MAX", 2)
    monkeypatch.setattr(serving, "INSTANCES_MAX", 3)
    for instance in ("a", "b", "a"):
        await house.say(house.digests[3], 3, instance=instance)
    with pytest.raises(ResourceExhaustedError, match="2 of a caller"):
        await house.say(house.digests[3], 3, instance="c")
    await house.say(house.digests[3], 3, by=OPERATOR, instance="a")
    with pytest.raises(ResourceExhaustedError):
        await house.say(house.digests[3], 3, by=OPERATOR, instance="b")
    house.clock.ahead = FORGOTTEN_AFTER + timedelta(minutes=1)
    await house.say(house.digests[3], 3, instance="c")
    assert await house.count("alias_reports") == 1


async def test_many_hosts_report_at_once(house):
    await asyncio.gather(*(house.say(house.digests[3], 3, instance=f"h{number}") for number in range(40)))
    assert (await house.serving()).current_count == 40


# --- the warm set -------------------------------------------------------------------------------------------


async def test_the_warm_set_is_the_present_one_and_where_rollbacks_lead(house):
    async def warm(count):
        return [version for version, _ in (await house.aliases.get_state(CHAMPION, warm=count)).warm]

    assert await warm(2) == [3, 2]
    assert await warm(20) == [3, 2, 1]
    assert await warm(0) == []
    await house.aliases.roll_back(
        house.caller(OPERATOR), CHAMPION, version=0, reason_code="bad", note="", request_id=""
    )
    assert await warm(20) == [2, 1]
    await house.models.revoke(house.caller(OPERATOR), ResourceName("risk", "fraud", 1), "poisoned")
    assert await warm(20) == [2]
    for count in (-1, 21):
        with pytest.raises(InvalidInputError, match="warm"):
            await warm(count)


# --- drills -------------------------------------------------------------------------------------------------


async def test_a_drill_moves_back_and_forward_with_an_entry_each(house):
    drilled = await house.drill(note="monthly")
    assert (drilled.alias.version, drilled.alias.revision, drilled.drilled_version) == (3, 5, 2)
    assert drilled.check.blob_count == 1
    moves, _ = await house.aliases.list_moves(CHAMPION, page_size=2, page_token="")
    assert [(move.kind, move.old_version, move.new_version) for move in moves] == [
        (MoveKind.DRILLED, 2, 3),
        (MoveKind.DRILLED, 3, 2),
    ]
    assert moves[1].note == "monthly"
    assert [drilled.back.index, drilled.forward.index] == [moves[1].log_index, moves[0].log_index]
    state = await house.aliases.get_state(CHAMPION)
    assert state.drilled_at == moves[0].created_at
    (listed,) = await house.aliases.describe(CHAMPION, [state.alias])
    assert listed.drilled_at == state.drilled_at


async def test_a_drill_leaves_no_trace_in_where_a_rollback_leads(house):
    await house.drill()
    await house.drill()
    led = []
    for _ in range(2):
        moved = await house.aliases.roll_back(
            house.caller(OPERATOR), CHAMPION, version=0, reason_code="bad", note="", request_id=""
        )
        led.append(moved.alias.version)
    assert led == [2, 1]


async def test_a_watcher_is_told_of_both_moves(house):
    states = house.watch(CHAMPION, 3)
    telling = asyncio.create_task(anext(states))
    await asyncio.sleep(0.05)
    await house.drill()
    first = await asyncio.wait_for(telling, 10)
    second = await asyncio.wait_for(anext(states), 10)
    await states.aclose()
    assert [(each.revision, each.version) for each in (first, second)] == [(4, 2), (5, 3)]


async def test_what_watchers_are_told_is_what_the_database_keeps(house):
    states = house.watch(CHAMPION, 3)
    telling = asyncio.create_task(anext(states))
    await asyncio.sleep(0.05)
    await house.set(1, SHADOW)
    await house.drill()
    await house.aliases.roll_back(
        house.caller(OPERATOR), CHAMPION, version=0, reason_code="bad", note="", request_id=""
    )
    await house.aliases.delete_alias(
        house.caller(OPERATOR), CHAMPION, expected_revision=None, note="", request_id=""
    )
    await house.set(1)
    async with asyncio.timeout(10):
        told = [await telling, *[await anext(states) for _ in range(4)]]
    await states.aclose()
    kept = await house.database.read(lambda connection: read_moves(connection, CHAMPION, after_revision=3))
    assert told == [move.after for move in kept]
    assert [each.version for each in told] == [2, 3, 2, 0, 1]


async def test_a_move_reaches_many_watchers_without_a_reading_for_each(house):
    watching = [house.watch(CHAMPION, 0) for _ in range(50)]
    await asyncio.gather(*(anext(each) for each in watching))
    readings = []
    read = house.database.read

    async def counted(query):
        readings.append(query)
        return await read(query)

    house.database.read = counted
    telling = asyncio.gather(*(anext(each) for each in watching))
    await asyncio.sleep(0)
    await house.set(1)
    async with asyncio.timeout(10):
        assert {each.revision for each in await telling} == {4}
    # What is read is the receipt of the move, by whoever moved it.
    assert len(readings) <= 2
    for each in watching:
        await each.aclose()


async def test_a_protected_alias_that_hosts_follow_is_drilled_only_when_that_is_confirmed(house):
    house.set_policy(protected_aliases=["champion"])
    assert (await house.drill()).alias.revision == 5
    await house.say(house.digests[3], 5)
    with pytest.raises(PreconditionFailedError, match="1 serving instances follow it"):
        await house.drill()
    assert (await house.aliases.get(CHAMPION)).revision == 5
    assert (await house.drill(confirmed=True)).alias.revision == 7


async def test_a_repeated_drill_is_the_same_drill(house):
    first = await house.drill(request_id="once")
    again = await house.drill(request_id="once")
    assert (again.alias, again.drilled_version, again.check) == (first.alias, 2, None)
    assert (await house.aliases.get(CHAMPION)).revision == 5
    with pytest.raises(AlreadyExistsError):
        await house.drill(request_id="once", note="another")
    outcomes = await asyncio.gather(
        *(house.drill(request_id="twice") for _ in range(4)), return_exceptions=True
    )
    assert any(not isinstance(each, Exception) for each in outcomes)
    assert (await house.aliases.get(CHAMPION)).revision == 7


async def test_a_drill_that_cannot_be_changes_nothing(house):
    with pytest.raises(NotFoundError):
        await house.drill(SHADOW)
    await house.set(1, SHADOW)
    with pytest.raises(PreconditionFailedError, match="nothing to roll back to"):
        await house.drill(SHADOW)
    for field in ({"note": "x" * 2001}, {"request_id": "x" * 65}):
        with pytest.raises(InvalidInputError):
            await house.drill(**field)
    before = await house.count("alias_moves")
    for number in (1, 2):
        file = house.files[number]
        house.bench.damage(file.digest, b"x" * file.size_bytes)
    with pytest.raises(DataLossError):
        await house.drill()
    assert await house.count("alias_moves") == before


# --- stale aliases ------------------------------------------------------------------------------------------


async def test_what_is_moved_and_resolved_is_not_stale(house):
    assert await house.stale(1) == ([], "")
    house.clock.ahead = timedelta(days=2)
    ((found,), _) = await house.stale(1)
    assert found.reasons == (StaleReason.UNMOVED, StaleReason.UNRESOLVED)
    house.aliases.resolves.count(CHAMPION)
    await house.aliases.get_state(CHAMPION)
    await house.aliases.resolves.flush()
    ((found,), _) = await house.stale(1)
    assert (found.reasons, found.standing.resolve_count) == ((StaleReason.UNMOVED,), 2)
    await house.aliases.get_state(CHAMPION)
    await house.aliases.resolves.flush()
    ((found,), _) = await house.stale(1)
    assert found.standing.resolve_count == 3
    assert await house.count("alias_resolves") == 1


async def test_an_alias_of_a_revoked_version_is_stale(house):
    await house.models.revoke(house.caller(OPERATOR), ResourceName("risk", "fraud", 3), "poisoned")
    house.aliases.resolves.count(CHAMPION)
    await house.aliases.resolves.flush()
    assert await house.stale(1) == ([], "")
    ((found,), _) = await house.stale(0)
    assert StaleReason.REVOKED in found.reasons
    house.clock.ahead = timedelta(days=2)
    ((found,), _) = await house.stale(1)
    assert StaleReason.REVOKED in found.reasons


async def test_stale_aliases_come_in_pages_of_what_the_caller_may_read(house):
    await house.add_version(1, model="scores", namespace="growth")
    await house.set(1, ResourceName("growth", "scores", alias="champion"))
    for alias in ("a", "b"):
        await house.set(1, ResourceName("risk", "fraud", alias=alias))
    seen, token = [], ""
    while True:
        page, token = await house.stale(0, page_size=2, page_token=token)
        seen += [(each.standing.alias.namespace, each.standing.alias.alias) for each in page]
        if not token:
            break
    assert seen == [("growth", "champion"), ("risk", "a"), ("risk", "b"), ("risk", "champion")]
    mine, _ = await house.stale(0, by=READER)
    assert {each.standing.alias.namespace for each in mine} == {"risk"}
    assert await house.stale(0, by=READER, namespace="growth") == ([], "")


@pytest.mark.parametrize("asked", [{"days": -1}, {"days": 36_501}, {"days": 0, "page_token": "x"}])
async def test_malformed_questions_about_stale_aliases_are_refused(house, asked):
    with pytest.raises(InvalidInputError):
        await house.stale(**asked)


async def test_resolves_of_what_never_was_are_not_kept(house):
    house.aliases.resolves.count(SHADOW)
    await house.aliases.resolves.flush()
    assert await house.count("alias_resolves") == 0
