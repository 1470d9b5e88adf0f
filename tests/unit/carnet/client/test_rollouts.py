"""Rollouts as the client asks for them, and what of the answers it believes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

import carnet
from carnet import errors
from carnet.client.results import MetricPoint
from carnet.registry.v1 import rollouts_pb2
from carnet.rollouts import RolloutState
from carnet.translog.entry import EntryType

CHAMPION = "dev/risk/fraud@champion"
NAME = "namespaces/risk/models/fraud/aliases/champion/rollouts/1"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def point(**fields):
    return MetricPoint(
        **{
            "version": 2,
            "metric": "latency_ms",
            "started_at": NOW,
            "ended_at": NOW + timedelta(seconds=10),
            "count": 3,
            "sum": 6.0,
            "sum_of_squares": 14.0,
            "direction": "lower_is_better",
        }
        | fields
    )


async def test_a_plan_arrives_as_it_was_given(client, federation):
    plan = [(0.05, timedelta(minutes=30)), (0.5, timedelta(hours=2))]
    change = await client.start_rollout(
        CHAMPION, challenger=3, steps=plan, on_success="move", bake=timedelta(hours=1), note="try it"
    )
    rollout = change.rollout
    assert [(each.share, each.min_duration) for each in rollout.steps] == plan
    assert (rollout.number, rollout.kind, rollout.state) == (1, "split", RolloutState.RUNNING)
    assert (rollout.challenger_version, rollout.on_success) == (3, "move")
    assert rollout.bake_duration == timedelta(hours=1)
    assert str(rollout.reference) == CHAMPION
    assert change.receipt.entry.type is EntryType.ROLLOUT_STARTED
    assert rollout.guardrails[0].status == "collecting"
    assert rollout.guardrails[0].limit is None


async def test_one_share_is_a_plan_of_one_step_and_a_shadow_gets_all(client):
    split = await client.start_rollout(CHAMPION, share=0.1, min_duration=timedelta(minutes=5), dry_run=True)
    assert [(each.share, each.min_duration) for each in split.rollout.steps] == [(0.1, timedelta(minutes=5))]
    assert split.receipt is None
    shadow = await client.start_rollout(CHAMPION, kind="shadow", dry_run=True)
    assert [each.share for each in shadow.rollout.steps] == [1.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"share": 0.1, "steps": [(0.1, timedelta(0))]},
        {"steps": [(0.1, timedelta(0))], "min_duration": timedelta(1)},
        {"share": 0.1, "kind": "canary"},
        {"share": 0.1, "on_success": "hope"},
        {"share": 0.1, "bake": timedelta(-1)},
        {"share": 0.1, "min_duration": timedelta.max},
        {"share": 0.1, "challenger": -1},
    ],
    ids=str,
)
async def test_a_plan_that_is_none_is_refused_before_anybody_is_asked(client, federation, wrong):
    with pytest.raises(errors.InvalidInputError):
        await client.start_rollout(CHAMPION, **wrong)
    assert "StartRollout" not in federation.dev.calls


async def test_rollouts_are_of_aliases(client):
    for call in (
        client.start_rollout("dev/risk/fraud@1", share=0.1),
        client.rollout("dev/risk/fraud@1"),
        client.traffic("dev/risk/fraud"),
        client.rollouts("dev/risk/fraud@1"),
        client.rollouts("dev/Risk"),
        client.rollouts("dev/"),
        client.rollouts(""),
    ):
        with pytest.raises(errors.InvalidInputError):
            await call


async def test_the_newest_is_meant_where_no_number_is_given(client):
    with pytest.raises(errors.NotFoundError, match="no rollout yet"):
        await client.rollout(CHAMPION)
    for number in (1, 2):
        await client.start_rollout(CHAMPION, share=0.1)
        stopped = await client.stop_rollout(CHAMPION, "test")
        assert stopped.rollout.number == number
    assert (await client.rollout(CHAMPION)).number == 2
    assert (await client.rollout(CHAMPION, 1)).number == 1
    with pytest.raises(errors.NotFoundError):
        await client.rollout(CHAMPION, 3)
    with pytest.raises(errors.InvalidInputError):
        await client.rollout(CHAMPION, 0)
    assert [each.number for each in await client.rollouts("dev")] == [2, 1]
    assert await client.rollouts("dev/risk/fraud", active=True) == ()
    assert await client.rollouts("dev/growth") == ()


async def test_ends_come_with_receipts(client):
    await client.start_rollout(CHAMPION, share=0.1)
    with pytest.raises(errors.ConflictError):
        await client.start_rollout(CHAMPION, share=0.1)
    done = await client.complete_rollout(CHAMPION)
    assert (done.rollout.state, done.rollout.ended) == (RolloutState.SUCCEEDED, True)
    assert done.receipt.entry.type is EntryType.ROLLOUT_CHANGED


async def test_a_receipt_of_another_rollout_or_another_change_is_refused(client, federation):
    def of_the_second(answer):
        answer.rollout.name = answer.rollout.name[:-1] + "2"

    federation.dev.lies["StartRollout"] = of_the_second
    with pytest.raises(errors.LogTamperedError, match="rollout"):
        await client.start_rollout(CHAMPION, share=0.1)

    def of_the_beginning(answer):
        answer.receipt.CopyFrom(federation.dev.log.receipt(1))

    federation.dev.lies["StopRollout"] = of_the_beginning
    with pytest.raises(errors.LogTamperedError, match=r"rollout\.started"):
        await client.stop_rollout(CHAMPION, "test")

    def that_it_was_stopped(answer):
        answer.rollout.state = rollouts_pb2.ROLLOUT_STATE_SUCCEEDED

    federation.dev.lies["StopRollout"] = that_it_was_stopped
    with pytest.raises(errors.LogTamperedError, match="stopped"):
        await client.stop_rollout(CHAMPION, "test")

    def with_another_share(answer):
        answer.rollout.steps[0].share = 0.2

    federation.dev.lies["StartRollout"] = with_another_share
    with pytest.raises(errors.LogTamperedError, match=r"running 0\.1"):
        await client.start_rollout(CHAMPION, share=0.1)

    federation.dev.lies["CompleteRollout"] = lambda answer: answer.ClearField("receipt")
    with pytest.raises(errors.ProofInvalidError):
        await client.complete_rollout(CHAMPION)


async def test_a_state_of_a_later_contract_is_no_silent_success(client, federation):
    await client.start_rollout(CHAMPION, share=0.1)
    federation.dev.rollouts.held[NAME].state = 99
    with pytest.raises(errors.InternalError, match="unknown_99"):
        await client.rollout(CHAMPION)


async def test_waiting_ends_with_the_rollout_or_with_the_time(client, federation):
    await client.start_rollout(CHAMPION, share=0.1)
    assert not (await client.wait_for_rollout(CHAMPION, timeout=0)).ended
    seen = []

    def end_it(rollout):
        seen.append(rollout.state)
        federation.dev.rollouts.end(NAME, "ROLLED_BACK", "guardrail-breached")

    ended = await client.wait_for_rollout(CHAMPION, timeout=30, on_update=end_it)
    assert (ended.state, ended.reason_code) == (RolloutState.ROLLED_BACK, "guardrail-breached")
    assert seen == [RolloutState.RUNNING, RolloutState.ROLLED_BACK]


async def test_points_arrive_and_a_repeated_batch_is_taken_once(client, federation):
    await client.start_rollout(CHAMPION, share=0.1)
    report = await client.report_metrics(CHAMPION, [point(), point(metric="error", direction="")])
    assert (report.state, report.accepted_count) == (RolloutState.RUNNING, 2)
    assert report.reporting_interval == timedelta(seconds=30)
    for expected in (1, 0):
        again = await client.report_metrics(CHAMPION, [point()], number=1, request_id="mine")
        assert again.accepted_count == expected
    taken = federation.dev.rollouts.batches["mine"].points[0]
    assert (taken.version, taken.count, taken.sum, taken.sum_of_squares) == (2, 3, 6.0, 14.0)
    assert taken.start_time.ToDatetime(UTC) == NOW
    assert taken.direction == rollouts_pb2.METRIC_DIRECTION_LOWER_IS_BETTER


@pytest.mark.parametrize(
    "wrong",
    [
        {"started_at": NOW.replace(tzinfo=None)},
        {"version": 2**40},
        {"count": "many"},
        {"direction": "sideways"},
    ],
    ids=str,
)
async def test_a_point_that_cannot_be_is_refused_by_its_place(client, federation, wrong):
    with pytest.raises(errors.InvalidInputError, match=r"points\[1\]"):
        await client.report_metrics(CHAMPION, [point(), point(**wrong)])
    assert "ReportMetrics" not in federation.dev.calls


async def test_figures_are_told_apart_from_no_figures(client, federation):
    await client.start_rollout(CHAMPION, share=0.1)
    held = federation.dev.rollouts.held[NAME]
    comparison = held.metrics.add(metric="error", direction=rollouts_pb2.METRIC_DIRECTION_LOWER_IS_BETTER)
    comparison.champion.count = 1
    comparison.champion.mean = 0.0
    (found,) = (await client.rollout(CHAMPION)).metrics
    assert (found.metric, found.direction) == ("error", "lower_is_better")
    assert (found.champion.mean, found.champion.standard_deviation) == (0.0, None)
    assert (found.challenger.count, found.challenger.mean) == (0, None)
    assert not math.isnan(found.champion.mean)


async def test_traffic_is_read_and_followed_past_an_absence(client, federation):
    book = federation.dev.rollouts
    alias = "namespaces/risk/models/fraud/aliases/champion"
    book.share_out(alias, (1, 0.9), (2, 0.1), rollout=NAME)
    traffic = await client.traffic(CHAMPION)
    assert [(each.version, each.share) for each in traffic.answering] == [(1, 0.9), (2, 0.1)]
    assert (traffic.rollout, str(traffic.reference)) == (1, CHAMPION)
    federation.dev.watches_to_break = 1
    seen = []
    async for state in client.watch_traffic(CHAMPION):
        seen.append((state.revision, len(state.answering)))
        if len(seen) == 1:
            book.share_out(alias, (1, 1.0), mirrored=[(2, 0.5)])
        else:
            break
    assert seen == [(1, 2), (2, 1)]
    assert federation.dev.calls.count("WatchTraffic") == 2
    assert (await client.traffic(CHAMPION)).rollout is None
    assert (await client.traffic(CHAMPION)).mirrored[0].share == 0.5


def test_the_client_without_a_loop_has_them_too(federation):
    with carnet.connect(federation.folder) as client:
        client.start_rollout(CHAMPION, share=0.1)
        assert client.rollout(CHAMPION).number == 1
