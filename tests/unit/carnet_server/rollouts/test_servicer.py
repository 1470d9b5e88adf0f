"""RolloutService: messages in, messages out."""

from __future__ import annotations

import pytest

from carnet.errors import InvalidInputError, OffsetOutOfRangeError, ReferenceInvalidError, UnavailableError
from carnet.registry.v1 import rollouts_pb2 as pb
from carnet.rollouts import RolloutKind, RolloutState
from carnet.translog.receipt import verify_receipt
from carnet_server.access.scope import enter_scope
from carnet_server.log.proto import receipt_from_proto
from carnet_server.rollouts.plan import RolloutSuccess
from carnet_server.rollouts.proto import KINDS, STATES, SUCCESSES
from carnet_server.rollouts.servicer import RolloutServicer
from tests.support.registry import OPERATOR
from tests.support.rollouts import CHAMPION, MINUTE

ALIAS = str(CHAMPION)
NAME = f"{ALIAS}/rollouts/1"


@pytest.fixture
async def servicer(house):
    enter_scope(house.caller(OPERATOR))
    return RolloutServicer(house.rollouts)


def request_of(**fields):
    message = pb.StartRolloutRequest(
        parent=ALIAS, kind=pb.ROLLOUT_KIND_SPLIT, challenger_version=2, note="try it", **fields
    )
    for share in (0.1, 0.5):
        message.steps.add(share=share).min_duration.FromTimedelta(MINUTE)
    message.bake_duration.FromTimedelta(MINUTE)
    return message


def point_of(house, version, mean, count=1000):
    point = pb.MetricPoint(
        version=version, metric="error_rate", count=count, sum=mean * count, sum_of_squares=mean * count
    )
    point.start_time.FromDatetime(house.clock())
    point.end_time.FromDatetime(house.clock())
    return point


def test_every_kind_state_and_success_has_its_number():
    assert (set(KINDS), set(STATES), set(SUCCESSES)) == (
        set(RolloutKind),
        set(RolloutState),
        set(RolloutSuccess),
    )
    for numbers, enum in (
        (KINDS, pb.RolloutKind),
        (STATES, pb.RolloutState),
        (SUCCESSES, pb.RolloutSuccess),
    ):
        assert {0, *numbers.values()} == set(enum.values())


async def test_start_report_complete_get_and_list(house, servicer):
    started = await servicer.StartRollout(request_of(request_id="r"), None)
    rollout = started.rollout
    assert (rollout.name, rollout.alias, rollout.state) == (NAME, "champion", pb.ROLLOUT_STATE_RUNNING)
    assert (rollout.on_success, rollout.note, rollout.revision) == (pb.ROLLOUT_SUCCESS_HOLD, "try it", 1)
    assert [(each.share, each.min_duration.seconds) for each in rollout.steps] == [(0.1, 60), (0.5, 60)]
    assert [each.status for each in rollout.guardrails] == [pb.GUARDRAIL_STATUS_COLLECTING]
    verify_receipt(receipt_from_proto(started.receipt), house.state.log_key.verifier)
    for _ in range(2):
        house.clock.now += MINUTE
        points = [point_of(house, 1, 0.1), point_of(house, 2, 0.1)]
        told = await servicer.ReportMetrics(
            pb.ReportMetricsRequest(name=NAME, request_id=f"{house.clock.now}", points=points), None
        )
        assert (told.accepted_count, told.reporting_interval.seconds) == (2, 60)
    assert told.state == pb.ROLLOUT_STATE_AWAITING
    got = (await servicer.GetRollout(pb.GetRolloutRequest(name=NAME), None)).rollout
    (guardrail,), (metric,) = got.guardrails, got.metrics
    assert (guardrail.status, guardrail.challenger_samples) == (pb.GUARDRAIL_STATUS_HOLDING, 1000)
    assert (guardrail.challenger_value, guardrail.champion_value) == (0.1, 0.1)
    assert (metric.direction, metric.champion.count, metric.challenger.mean) == (
        pb.METRIC_DIRECTION_LOWER_IS_BETTER,
        1000,
        0.1,
    )
    assert metric.challenger.standard_deviation == pytest.approx(0.3, abs=0.001)
    assert got.last_report_time.ToDatetime() == house.clock.now.replace(tzinfo=None)
    completed = await servicer.CompleteRollout(pb.CompleteRolloutRequest(name=NAME, note="go"), None)
    assert (completed.rollout.state, completed.rollout.share) == (pb.ROLLOUT_STATE_BAKING, 1)
    stopped = await servicer.StopRollout(pb.StopRolloutRequest(name=NAME, reason_code="done"), None)
    assert (stopped.rollout.state, stopped.rollout.reason_code) == (pb.ROLLOUT_STATE_STOPPED, "done")
    assert stopped.rollout.end_time.seconds > 0
    for parent, active, count in (
        (ALIAS, False, 1),
        ("namespaces/-", False, 1),
        ("namespaces/risk", True, 0),
    ):
        listed = await servicer.ListRollouts(pb.ListRolloutsRequest(parent=parent, active=active), None)
        assert [each.name for each in listed.rollouts] == [NAME] * count
        assert not any(each.guardrails or each.metrics for each in listed.rollouts)


async def test_what_is_only_validated_has_no_receipt(servicer):
    answer = await servicer.StartRollout(request_of(validate_only=True), None)
    assert not answer.HasField("receipt")
    assert [each.rule for each in answer.rollout.guardrails] == ["errors"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": 0}, "kind"),
        ({"kind": 99}, "kind"),
        ({"on_success": 99}, "on_success"),
    ],
)
async def test_numbers_that_stand_for_nothing_are_refused(servicer, change, field):
    message = request_of()
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(InvalidInputError) as caught:
        await servicer.StartRollout(message, None)
    assert caught.value.metadata["field"] == field


async def test_durations_beyond_all_bounds_are_refused(servicer):
    for field in ("bake_duration", "steps[0].min_duration"):
        message = request_of()
        duration = message.bake_duration if field == "bake_duration" else message.steps[0].min_duration
        duration.seconds = 2**62
        with pytest.raises(InvalidInputError) as caught:
            await servicer.StartRollout(message, None)
        assert caught.value.metadata["field"] == field


async def test_a_point_without_times_is_named(house, servicer):
    await servicer.StartRollout(request_of(), None)
    for field in ("start_time", "end_time"):
        point = point_of(house, 2, 0.1)
        point.ClearField(field)
        with pytest.raises(InvalidInputError) as caught:
            await servicer.ReportMetrics(
                pb.ReportMetricsRequest(name=NAME, request_id="r", points=[point]), None
            )
        assert caught.value.metadata["field"] == f"points[0].{field}"


async def test_names_of_something_else_are_refused(servicer):
    for call, request in (
        (servicer.GetRollout, pb.GetRolloutRequest(name=ALIAS)),
        (servicer.StopRollout, pb.StopRolloutRequest(name=ALIAS)),
        (servicer.CompleteRollout, pb.CompleteRolloutRequest(name=ALIAS)),
        (servicer.GetTraffic, pb.GetTrafficRequest(name=NAME)),
        (servicer.ListRollouts, pb.ListRolloutsRequest(parent=NAME)),
        (servicer.StartRollout, pb.StartRolloutRequest(parent="namespaces/risk/models/fraud")),
    ):
        with pytest.raises(ReferenceInvalidError):
            await call(request, None)


async def test_watching_streams_traffic_and_one_read_tells_all_who_watch(house, servicer):
    streams = [servicer.WatchTraffic(pb.WatchTrafficRequest(name=ALIAS), None) for _ in range(20)]
    for stream in streams:
        first = await anext(stream)
    assert [(each.version, each.share) for each in first.traffic.answering] == [(1, 1.0)]
    read, reads = house.database.read, []

    async def counted(query):
        reads.append(query)
        return await read(query)

    house.rollouts._watch._database = type("Counted", (), {"read": staticmethod(counted)})
    await servicer.StartRollout(request_of(), None)
    told = [(await anext(stream)).traffic for stream in streams]
    assert {(each.revision, each.rollout) for each in told} == {(told[0].revision, NAME)}
    assert len(reads) == 1
    got = await servicer.GetTraffic(pb.GetTrafficRequest(name=ALIAS), None)
    assert got.traffic == told[0]
    for stream in streams:
        await stream.aclose()
    assert not house.rollouts._watch._watchers


async def test_watchers_are_refused_what_never_was_and_end_when_the_registry_stops(house, servicer):
    for after in (-1, 2**40):
        stream = servicer.WatchTraffic(pb.WatchTrafficRequest(name=ALIAS, after_revision=after), None)
        with pytest.raises(OffsetOutOfRangeError, match="after_revision"):
            await anext(stream)
    nowhere = servicer.WatchTraffic(
        pb.WatchTrafficRequest(name="namespaces/risk/models/fraud/aliases/nowhere"), None
    )
    assert (await anext(nowhere)).traffic.revision == 0
    house.log.close()
    with pytest.raises(UnavailableError, match="stopping"):
        await anext(nowhere)
