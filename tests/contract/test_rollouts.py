"""Rollouts over real storage: begun, judged, ended, and what the log and the aliases tell of it afterwards.

Whatever a test did, the offline verifier has nothing to say against the log at its end.
"""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta

import pytest

from carnet.audit.rollouts import judge_rollouts
from carnet.audit.stages import judge_stages
from carnet.audit.statements import Record
from carnet.errors import AlreadyExistsError, CarnetError, GateRefusedError, IllegalTransitionError
from carnet.references import ResourceName
from carnet.rollouts import RolloutKind, RolloutState
from carnet.translog.entry import EntryType
from carnet.translog.receipt import verify_receipt
from carnet_server.aliases.domain import MoveKind
from carnet_server.database.engine import Database
from carnet_server.log.service import LogService
from carnet_server.rollouts.plan import RolloutSuccess
from carnet_server.rollouts.queries import read_versions_in_rollouts
from carnet_server.rollouts.service import RolloutsService
from tests.support.registry import OPERATOR
from tests.support.rollouts import CHALLENGER, CHAMPION, ERRORS, MINUTE, MONITOR, TERMS, RolloutRegistry

RUNNING, AWAITING, BAKING = RolloutState.RUNNING, RolloutState.AWAITING, RolloutState.BAKING
SUCCEEDED, ROLLED_BACK, STOPPED = RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK, RolloutState.STOPPED
MOVE = RolloutSuccess.MOVE
SHADOW = ResourceName("risk", "fraud", alias="shadow")


async def audit(house):
    """Judge the log as an auditor does."""
    records = [Record(index, entry) for index, entry in enumerate(await house.told(since=0))]
    documents = {}
    for record in records:
        for digest in record.entry.documents:
            documents[digest] = await house.log.document(digest)
    assert judge_rollouts("dev", records, documents.get) == []
    assert judge_stages("dev", records) == []


@pytest.fixture
async def house(tmp_path, storage):
    house = RolloutRegistry(tmp_path, storage=storage)
    await house.start()
    await house.fill()
    yield house
    try:
        await audit(house)
    finally:
        await house.rollouts.close()
        house.stop()


@pytest.fixture
async def another(house):
    """Another process of the same environment: its own connections, its own writer."""
    database = Database(house.database.url)
    log = LogService(database)
    writer = house.open_writer(database, log)
    yield RolloutsService(database, writer, log, house.state, clock=house.clock)
    writer.stop()
    database.close()


async def document_of(house, entry):
    return json.loads(await house.log.document(entry.envelope_digest))


async def moves_of(house, alias):
    moves, _ = await house.aliases.list_moves(alias, page_size=0, page_token="")
    return [(each.kind, each.old_version, each.new_version, each.reason_code) for each in reversed(moves)]


# --- the way of a rollout -------------------------------------------------------------------------------------


async def test_a_rollout_begins_as_one_change_with_its_plan_its_alias_and_a_receipt(house):
    before = await house.told()
    rollout = await house.begin(0.05, 0.5, note="the new features")
    started, moved, staged = (await house.told())[len(before) :]
    assert (rollout.state, rollout.rollout, rollout.revision, rollout.share) == (RUNNING, 1, 1, 0.05)
    assert (rollout.note, rollout.actor, rollout.log_index) == ("the new features", OPERATOR, len(before) + 3)
    assert (started.type, started.old, started.new) == (EntryType.ROLLOUT_STARTED, "", "running 0.05")
    assert started.subject == rollout.subject
    assert (moved.subject["alias"], moved.new, staged.new) == ("challenger", "2", "deployed")
    plan = await document_of(house, started)
    assert (plan["rollout"], plan["champion"]["version"], plan["challenger"]["version"]) == (
        str(rollout.name),
        1,
        2,
    )
    assert plan["policy_digest"] == house.state.policy.digest
    assert [each["rule"] for each in plan["guardrails"]] == ["errors"]
    assert await moves_of(house, CHALLENGER) == [(MoveKind.ROLLOUT, 0, 2, "")]
    assert await house.shares() == {1: 0.95, 2: 0.05}
    assert await house.database.read(lambda c: read_versions_in_rollouts(c, "risk", "fraud")) == {1, 2}


async def test_a_plan_is_walked_step_by_step_on_time_and_figures_then_held_completed_and_baked(house):
    rollout = await house.begin(0.05, 0.5, bake_duration=5 * MINUTE)
    await house.report_both(rollout, 0.1, 0.1)
    assert (await house.at(rollout)).share == 0.05, "its time is not over"
    assert (await house.judge(rollout, after=MINUTE)).share == 0.5
    assert (await house.judge(rollout, after=2 * MINUTE)).share == 0.5, "it has no figures of this step"
    assert (await house.report_both(rollout, 0.1, 0.1)).state is AWAITING
    with_alias = await house.at(rollout)
    assert (with_alias.share, with_alias.ended_at) == (0.5, None)
    completed = await house.rollouts.complete(house.caller(OPERATOR), rollout.name, note="looks good")
    entry = verify_receipt(completed.receipt, house.state.log_key.verifier)
    assert (entry.type, entry.old, entry.new) == (EntryType.ROLLOUT_CHANGED, "awaiting 0.5", "baking 1")
    assert entry.actor.subject == OPERATOR
    assert (await house.points_at(CHAMPION), await house.shares()) == (2, {2: 1.0})
    again = await house.rollouts.complete(house.caller(OPERATOR), rollout.name, note="looks good")
    assert again.receipt.index == completed.receipt.index
    ended = await house.judge(rollout, after=5 * MINUTE)
    assert (ended.state, ended.share, ended.reason_code) == (SUCCEEDED, 1, "plan-passed")
    assert (await house.points_at(CHAMPION), await house.points_at(CHALLENGER)) == (2, 0)
    assert await moves_of(house, CHAMPION) == [(MoveKind.SET, 0, 1, ""), (MoveKind.ROLLOUT, 1, 2, "")]
    assert await house.standings() == [
        ("", "running 0.05"),
        ("running 0.05", "running 0.5"),
        ("running 0.5", "awaiting 0.5"),
        ("awaiting 0.5", "baking 1"),
        ("baking 1", "succeeded 1"),
    ]


async def test_a_breach_ends_it_in_the_report_that_shows_it_and_the_document_has_the_figures(house):
    rollout = await house.begin(0.1, 0.5)
    assert (await house.report_both(rollout, 0.1, 0.1)).state is RUNNING
    told = await house.report_both(rollout, 0.1, 0.3)
    assert (told.state, told.accepted_count) == (ROLLED_BACK, 2)
    ended = await house.at(rollout)
    assert (ended.share, ended.reason_code, ended.ended_at) == (0, "guardrail-breached", house.clock())
    assert "error_rate 0.2 over 2,000 samples is worse than the champion's 0.1" in ended.message
    assert (await house.points_at(CHAMPION), await house.points_at(CHALLENGER)) == (1, 0)
    assert await house.shares() == {1: 1.0}
    (_, changed) = await house.told(EntryType.ROLLOUT_STARTED, EntryType.ROLLOUT_CHANGED)
    assert changed.actor.subject == "urn:carnet:environment:dev"
    document = await document_of(house, changed)
    (verdict,) = document["verdicts"]
    assert (verdict["status"], verdict["challenger"]) == (
        "breached",
        {"count": 2000, "total": 400.0, "total_of_squares": 400.0},
    )
    assert [(each["version"], each["count"]) for each in document["windows"]] == [(1, 2000), (2, 2000)]
    view = await house.rollouts.get(rollout.name)
    assert [(each.champion.mean, each.challenger.mean) for each in view.figures] == [(0.1, 0.2)]
    assert [str(each.status) for each in view.verdicts] == ["breached"]


async def test_a_breach_after_the_move_moves_the_alias_back_in_the_same_change(house):
    rollout = await house.begin(0.5, on_success=MOVE, bake_duration=10 * MINUTE)
    house.clock.now += MINUTE
    assert (await house.report_both(rollout, 0.1, 0.1)).state is BAKING
    house.clock.now += MINUTE
    # Only the challenger has traffic now; it is compared with what the champion had in the last step.
    told = await house.report(rollout, house.measured(2, 0.2))
    assert told.state is ROLLED_BACK
    assert await house.points_at(CHAMPION) == 1
    assert (await moves_of(house, CHAMPION))[-1] == (MoveKind.ROLLED_BACK, 2, 1, "guardrail-breached")
    *_, changed, back, _, removed, _ = await house.told()
    assert [each.type for each in (changed, back, removed)] == [
        EntryType.ROLLOUT_CHANGED,
        EntryType.ALIAS_MOVED,
        EntryType.ALIAS_REMOVED,
    ]
    assert back.envelope_digest == changed.envelope_digest
    assert {back.time, changed.time, removed.time} == {changed.time}


async def test_noise_stops_nothing(house):
    draw = random.Random(7)
    rollout = await house.begin((0.5, timedelta(hours=1)))
    for _ in range(25):
        house.clock.now += MINUTE
        champion, challenger = (sum(draw.random() < 0.1 for _ in range(200)) / 200 for _ in range(2))
        assert (await house.report_both(rollout, champion, challenger, 200)).state is RUNNING


async def test_a_challenger_that_goes_bad_after_a_long_good_time_is_found_at_once(house):
    rollout = await house.begin((0.5, timedelta(days=1)))
    for _ in range(5):
        house.clock.now += MINUTE
        assert (await house.report_both(rollout, 0.01, 0.01, 1_000_000)).state is RUNNING
    house.clock.now += MINUTE
    assert (await house.report_both(rollout, 0.01, 0.2)).state is ROLLED_BACK
    ended = await house.at(rollout)
    assert "error_rate 0.2 over 1,000 samples" in ended.message
    assert "in the last reporting interval" in ended.message
    (verdict,) = (await house.rollouts.get(rollout.name)).verdicts
    assert verdict.message in ended.message


async def test_a_shadow_mirrors_moves_nothing_and_leaves_its_figures(house):
    rollout = await house.begin(1.0, kind=RolloutKind.SHADOW)
    traffic = await house.rollouts.traffic(CHAMPION)
    assert [(each.version, each.share) for each in traffic.answering] == [(1, 1.0)]
    assert [(each.version, each.share) for each in traffic.mirrored] == [(2, 1.0)]
    assert await house.points_at(SHADOW) == 2
    house.clock.now += MINUTE
    assert (await house.report_both(rollout, 0.1, 0.1)).state is SUCCEEDED
    assert (await house.points_at(CHAMPION), await house.points_at(SHADOW)) == (1, 0)
    view = await house.rollouts.get(rollout.name)
    assert (view.rollout.share, len(view.figures)) == (0, 1)
    assert (await house.rollouts.traffic(CHAMPION)).mirrored == ()


# --- silence and time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [1, 2])
async def test_a_version_without_figures_for_too_long_ends_it(house, silent):
    rollout = await house.begin((0.1, timedelta(days=1)))
    spoken = 3 - silent
    for _ in range(2):
        house.clock.now += 6 * MINUTE
        await house.report(rollout, house.measured(spoken, 0.1))
    ended = await house.at(rollout)
    assert (ended.state, ended.reason_code) == (ROLLED_BACK, "metrics-silent")
    assert f"version {silent}, for more than 10m" in ended.message


async def test_silence_while_baking_moves_the_alias_back_and_reports_keep_it_going(house):
    rollout = await house.begin(0.5, on_success=MOVE, bake_duration=timedelta(hours=1))
    house.clock.now += MINUTE
    assert (await house.report_both(rollout, 0.1, 0.1)).state is BAKING
    for _ in range(3):
        house.clock.now += 9 * MINUTE
        assert (await house.report(rollout, house.measured(2, 0.1, ago=MINUTE))).state is BAKING
    stale = await house.report(rollout, house.measured(2, 0.1, ago=11 * MINUTE))
    assert stale.accepted_count == 1
    ended = await house.judge(rollout, after=11 * MINUTE)
    assert (ended.state, ended.reason_code, await house.points_at(CHAMPION)) == (
        ROLLED_BACK,
        "metrics-silent",
        1,
    )


# --- more than one process, and processes that die --------------------------------------------------------------


async def test_what_a_killed_process_left_is_done_by_the_next(house, another):
    rollout = await house.begin(0.5, on_success=MOVE, bake_duration=10 * MINUTE)
    house.clock.now += MINUTE
    await house.report_both(rollout, 0.1, 0.1)

    async def killed(name):
        raise CarnetError("killed between the batch and what follows from it")

    house.rollouts.controller.judge = killed
    told = await house.report(rollout, house.measured(2, 0.3))
    assert (told.state, told.accepted_count) == (BAKING, 1)
    await another.controller.tick()
    view = await another.get(rollout.name)
    assert (view.rollout.state, await house.points_at(CHAMPION)) == (ROLLED_BACK, 1)


async def test_processes_that_race_make_each_change_once(house, another):
    rollout = await house.begin(0.5, on_success=MOVE)
    house.clock.now += MINUTE
    judge = house.rollouts.controller.judge

    async def later(name):
        return None

    house.rollouts.controller.judge = later
    await house.report_both(rollout, 0.1, 0.1)
    states = await asyncio.gather(
        *(each(rollout.name) for each in (judge, another.controller.judge) for _ in range(4))
    )
    assert {each.state for each in states} == {SUCCEEDED}
    assert await house.standings() == [("", "running 0.5"), ("running 0.5", "succeeded 1")]
    assert len(await moves_of(house, CHAMPION)) == 2


async def test_one_of_those_who_begin_at_once_begins(house, another):
    begun = await asyncio.gather(
        house.begin(0.1), house.begin(0.2), house.begin(0.3, through=another), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in begun) == [
        "PreconditionFailedError",
        "PreconditionFailedError",
        "Rollout",
    ]
    assert any("rollouts/1" in str(each) for each in begun if isinstance(each, CarnetError))
    assert await house.count("rollouts") == 1


# --- others who move things -------------------------------------------------------------------------------------


async def test_an_alias_that_something_else_moves_ends_it_wherever_it_stands(house):
    first = await house.begin(0.5)
    await house.point(CHAMPION, 3)
    ended = await house.judge(first)
    assert (ended.state, ended.reason_code) == (STOPPED, "alias-moved")
    assert "version 3" in ended.message
    assert (await house.points_at(CHAMPION), await house.points_at(CHALLENGER)) == (3, 0)
    second = await house.begin(0.5, on_success=MOVE, bake_duration=10 * MINUTE)
    house.clock.now += MINUTE
    await house.report_both(second, 0.1, 0.1)
    await house.aliases.roll_back(
        house.caller(OPERATOR), CHAMPION, version=0, reason_code="by-hand", note="", request_id=""
    )
    ended = await house.judge(second)
    assert (ended.state, ended.reason_code, ended.share) == (STOPPED, "alias-moved", 0)
    assert (await house.points_at(CHAMPION), await house.shares()) == (3, {3: 1.0})


async def test_an_alias_that_comes_to_the_challenger_while_it_is_awaited_begins_the_baking(house):
    rollout = await house.begin(0.5, bake_duration=10 * MINUTE)
    house.clock.now += MINUTE
    assert (await house.report_both(rollout, 0.1, 0.1)).state is AWAITING
    await house.point(CHAMPION, 2)
    assert (await house.judge(rollout)).state is BAKING
    assert (await house.report(rollout, house.measured(2, 0.3))).state is ROLLED_BACK
    assert await house.points_at(CHAMPION) == 1


async def test_the_follower_sees_an_alias_that_moves_without_waiting_for_the_tick(house):
    rollout = await house.begin(0.5)
    traffic = house.rollouts.watch_traffic(CHAMPION, 0)
    await anext(traffic)
    house.rollouts.controller.start()
    await asyncio.sleep(0)
    await house.point(CHAMPION, 3)
    async with asyncio.timeout(30):
        while (await house.at(rollout)).state is RUNNING:
            await anext(traffic)
    assert (await house.at(rollout)).reason_code == "alias-moved"
    await traffic.aclose()


@pytest.mark.parametrize("baking", [False, True])
async def test_a_challenger_that_is_revoked_is_out(house, baking):
    rollout = await house.begin(0.5, on_success=MOVE, bake_duration=10 * MINUTE)
    if baking:
        house.clock.now += MINUTE
        await house.report_both(rollout, 0.1, 0.1)
    await house.models.revoke(house.caller(OPERATOR), ResourceName("risk", "fraud", version=2), "it leaks")
    ended = await house.judge(rollout)
    assert (ended.state, ended.reason_code) == (ROLLED_BACK, "challenger-revoked")
    assert (await house.points_at(CHAMPION), await house.points_at(CHALLENGER)) == (1, 0)


async def test_a_champion_that_is_revoked_is_not_gone_back_to(house):
    rollout = await house.begin(0.5, on_success=MOVE, bake_duration=10 * MINUTE)
    house.clock.now += MINUTE
    await house.report_both(rollout, 0.1, 0.1)
    await house.models.revoke(house.caller(OPERATOR), ResourceName("risk", "fraud", version=1), "old")
    told = await house.report(rollout, house.measured(2, 0.3))
    ended = await house.at(rollout)
    assert (told.state, ended.reason_code, await house.points_at(CHAMPION)) == (
        STOPPED,
        "guardrail-breached",
        2,
    )
    assert "roll the alias back by hand" in ended.message


async def test_stopping_leaves_the_champion_all_and_once_moved_the_alias_where_it_is(house):
    async def stop(rollout):
        return await house.rollouts.stop_rollout(
            house.caller(OPERATOR), rollout.name, reason_code="no-longer-wanted", note="a holiday"
        )

    first = await house.begin(0.5)
    stopped = await stop(first)
    rollout = stopped.view.rollout
    assert (rollout.state, rollout.share, rollout.reason_code) == (STOPPED, 0, "no-longer-wanted")
    assert rollout.message == "it was stopped: a holiday"
    assert (await house.points_at(CHALLENGER), await house.shares()) == (0, {1: 1.0})
    again = await stop(first)
    assert (again.receipt.index, again.view.rollout) == (stopped.receipt.index, rollout)
    second = await house.begin(0.5, on_success=MOVE, bake_duration=10 * MINUTE)
    assert second.rollout == 2
    house.clock.now += MINUTE
    await house.report_both(second, 0.1, 0.1)
    rollout = (await stop(second)).view.rollout
    assert (rollout.state, rollout.share, await house.points_at(CHAMPION)) == (STOPPED, 1, 2)
    with pytest.raises(IllegalTransitionError, match="it is over"):
        await house.rollouts.complete(house.caller(OPERATOR), second.name, note="")


# --- batches ----------------------------------------------------------------------------------------------------


async def test_the_same_batch_counts_once_also_when_two_processes_are_told_it_at_once(house, another):
    rollout = await house.begin((0.5, timedelta(hours=1)))
    points = (house.measured(1, 0.1), house.measured(2, 0.1))

    async def send(service, request_id="one", points=points):
        return await service.report(house.caller(MONITOR), rollout.name, request_id=request_id, points=points)

    told = await asyncio.gather(*(send(each) for each in (house.rollouts, another) for _ in range(3)))
    assert sorted(each.accepted_count for each in told) == [0, 0, 0, 0, 0, 2]
    assert (await send(another, "two")).accepted_count == 2
    with pytest.raises(AlreadyExistsError, match="another batch"):
        await send(house.rollouts, "one", points[:1])
    view = await house.rollouts.get(rollout.name)
    assert [(each.champion.count, each.challenger.count) for each in view.figures] == [(2000, 2000)]
    assert len(await house.told(EntryType.ROLLOUT_CHANGED)) == 0
    assert await house.count("rollout_reports") == 2
    await house.report_both(rollout, 0.1, 0.5)
    assert (await send(house.rollouts, "after its end")).accepted_count == 0
    await house.rollouts.controller.tick()
    assert await house.count("rollout_reports") == 0


async def test_a_window_counts_for_the_step_that_it_is_mostly_of(house):
    rollout = await house.begin(0.1, (0.5, timedelta(hours=1)))
    await house.report_both(rollout, 0.1, 0.1)
    assert (await house.judge(rollout, after=MINUTE)).share == 0.5
    house.clock.now += timedelta(seconds=10)
    for seconds, count in ((15, 10), (40, 7)):
        length = timedelta(seconds=seconds)
        await house.report(rollout, house.measured(2, 0.1, count, length=length))
    view = await house.rollouts.get(rollout.name)
    assert [each.challenger.count for each in view.figures] == [10]


# --- what protects ----------------------------------------------------------------------------------------------


@pytest.fixture
async def guarded(tmp_path, storage):
    fields = {"protected_aliases": ["champion"], "traffic_share_above": 0.2}
    house = RolloutRegistry(tmp_path, storage=storage)
    await house.start()
    await house.fill()
    await house.point(CHAMPION, 3)
    house.set_policy(rollouts=TERMS, **fields)
    yield house
    await house.rollouts.close()
    house.stop()


async def test_a_share_of_a_protected_alias_needs_a_decision_above_what_the_policy_lets(guarded):
    with pytest.raises(GateRefusedError, match=r"carnet promote SOURCE/risk/fraud@2 .* --by-rollout"):
        await guarded.begin(0.1, 0.5)
    rollout = await guarded.begin(0.1, on_success=MOVE)
    guarded.clock.now += MINUTE
    assert (
        await guarded.report(rollout, guarded.measured(3, 0.1), guarded.measured(2, 0.1))
    ).state is AWAITING
    assert "--by-rollout" in (await guarded.at(rollout)).message
    with pytest.raises(GateRefusedError, match="no decision lets version 2"):
        await guarded.rollouts.complete(guarded.caller(OPERATOR), rollout.name, note="")
    assert await guarded.points_at(CHAMPION) == 3


async def test_what_was_live_under_a_protected_alias_before_needs_no_other_decision(guarded):
    rollout = await guarded.begin(0.5, challenger_version=1, on_success=MOVE)
    guarded.clock.now += MINUTE
    await guarded.report(rollout, guarded.measured(3, 0.1), guarded.measured(1, 0.1))
    assert ((await guarded.at(rollout)).state, await guarded.points_at(CHAMPION)) == (SUCCEEDED, 1)


async def test_a_running_rollout_keeps_to_the_guardrails_that_it_began_with(house):
    rollout = await house.begin((0.5, timedelta(hours=1)))
    house.set_policy(rollouts=TERMS | {"guardrails": [ERRORS | {"max_regression": 0.5}]})
    assert (await house.report_both(rollout, 0.1, 0.3)).state is ROLLED_BACK


# --- traffic and lists ------------------------------------------------------------------------------------------


async def test_watchers_are_told_of_every_change_that_lasts_and_go_on_where_they_were(house):
    states = house.rollouts.watch_traffic(CHAMPION, 0)
    first = await anext(states)
    assert [(each.version, each.share) for each in first.answering] == [(1, 1.0)]
    rollout = await house.begin(0.1, 0.5)
    begun = await anext(states)
    assert (begun.rollout, [each.share for each in begun.answering]) == (rollout.name, [0.9, 0.1])
    assert begun.revision == rollout.log_index + 1
    house.clock.now += MINUTE
    await house.report_both(rollout, 0.1, 0.1)
    stepped = await anext(states)
    assert [each.share for each in stepped.answering] == [0.5, 0.5]
    await states.aclose()
    await house.report_both(rollout, 0.1, 0.9)
    resumed = house.rollouts.watch_traffic(CHAMPION, stepped.revision)
    ended = await anext(resumed)
    assert ([each.share for each in ended.answering], ended.rollout) == ([1.0], None)
    assert ended.revision > stepped.revision > begun.revision > first.revision
    assert ended == await house.rollouts.traffic(CHAMPION)
    await resumed.aclose()


async def test_rollouts_are_listed_by_alias_the_newest_first_page_by_page(house):
    other = ResourceName("risk", "fraud", alias="blue")
    await house.point(other, 1)
    for _ in range(2):
        rollout = await house.begin(0.5)
        await house.rollouts.stop_rollout(house.caller(OPERATOR), rollout.name, reason_code="", note="")
    running = await house.begin(0.5, alias=other)

    async def listed(parent=None, *, active=False, page_size=0):
        found, token = [], ""
        while True:
            page, token = await house.rollouts.list_page(
                house.caller(OPERATOR), parent, active=active, page_size=page_size, page_token=token
            )
            found += [(each.alias, each.rollout) for each in page]
            if not token:
                return found

    everything = [("blue", 1), ("champion", 2), ("champion", 1)]
    assert await listed() == await listed(page_size=1) == everything
    assert await listed(CHAMPION) == everything[1:]
    assert await listed(ResourceName("risk", "fraud"), active=True) == [("blue", running.rollout)]
    assert await listed(ResourceName("growth")) == []
