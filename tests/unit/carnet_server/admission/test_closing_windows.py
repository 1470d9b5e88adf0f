"""What passed by the clock is compared with it once more where it is committed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from carnet.errors import ConflictError, GateAwaitingError
from carnet.references import ResourceName
from carnet.signing.times import format_time
from carnet.translog.entry import EntryType
from carnet_server.admission.domain import AdmissionView
from carnet_server.admission.proto import admission_to_proto
from carnet_server.admission.states import AdmissionState
from tests.unit.carnet_server.admission.registries import NO_PEOPLE, POLICIES

WINDOW = b"""change_windows:
  - rule: hours
    time_zone: UTC
    open: [{days: [mon, tue, wed, thu, fri, sat, sun], from: 00:00, until: 12:05}]
"""


class LateEngine:
    """An engine after whose every answer some time goes by before anything is done with it."""

    def __init__(self, engine, clock, delay: timedelta) -> None:
        self._engine, self._clock, self._delay = engine, clock, delay

    def evaluate(self, policy, facts):
        answer = self._engine.evaluate(policy, facts)
        self._clock.ahead += self._delay
        return answer


def set_to_noon(clock) -> datetime:
    """Set the clock to the noon that comes next."""
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    clock.ahead = (noon if noon > now else noon + timedelta(days=1)) - now
    return now + clock.ahead


async def ready(world, rules: bytes):
    """A promotion that everything is there for, so that one more evaluation admits it."""
    await world.staging.change_policy(NO_PEOPLE + rules)
    manifest = await world.publish()
    await world.attest(manifest)
    admission = await world.evaluate(await world.bring(manifest, world.parties.request(manifest)))
    assert admission.state is AdmissionState.READY
    await world.transfer(manifest)
    return manifest, admission


def delayed(world, delay: timedelta) -> None:
    world.staging.engine = LateEngine(world.staging.engine, world.clock, delay)
    world.staging.wire()


@pytest.mark.parametrize("rule", ["a window closes", "a freeze begins"])
async def test_what_passed_and_closed_before_the_commit_is_not_admitted(world, rule):
    noon = set_to_noon(world.clock)
    begins, ends = noon + timedelta(minutes=5), noon + timedelta(days=2)
    freeze = (
        f"freezes:\n  - {{rule: hours, from: {format_time(begins)}, until: {format_time(ends)}, "
        "reason: Nobody is there.}\n"
    ).encode()
    manifest, admission = await ready(world, WINDOW if rule == "a window closes" else freeze)
    delayed(world, timedelta(minutes=6))
    with pytest.raises(GateAwaitingError, match="hours: awaiting"):
        await world.admit(admission.promotion, manifest)
    assert await world.staging.version() is None
    assert EntryType.DECISION_MADE not in {entry.type for entry in await world.staging.entries()}


async def test_what_is_open_still_is_admitted_in_time(world):
    set_to_noon(world.clock)
    manifest, admission = await ready(world, WINDOW)
    delayed(world, timedelta(minutes=2))
    view, _ = await world.admit(admission.promotion, manifest)
    assert view.admission.state is AdmissionState.ADMITTED


async def test_a_closed_window_says_when_it_opens(world):
    noon = set_to_noon(world.clock)
    world.clock.ahead += timedelta(minutes=6)
    await world.staging.change_policy(NO_PEOPLE + WINDOW)
    manifest = await world.publish()
    await world.attest(manifest)
    admission = await world.evaluate(await world.bring(manifest, world.parties.request(manifest)))
    assert admission.state is AdmissionState.AWAITING
    told = admission_to_proto(AdmissionView(admission))
    (window,) = [each for each in told.evaluation.results if each.rule == "hours"]
    midnight = noon.replace(hour=0) + timedelta(days=1)
    assert (window.awaits_clock, window.opens_at.ToDatetime(UTC)) == (True, midnight)
    others = [each for each in told.evaluation.results if each.rule != "hours"]
    assert not any(each.awaits_clock or each.HasField("opens_at") for each in others)


async def test_a_publication_that_a_freeze_overtook_is_not_written(world):
    now = datetime.now(UTC)
    begins, ends = now + timedelta(hours=1), now + timedelta(days=2)
    await world.dev.change_policy(
        POLICIES["dev"]
        + (
            f"freezes:\n  - {{rule: year-end, from: {format_time(begins)}, until: {format_time(ends)}, "
            "reason: Nobody is there.}\n"
        ).encode()
    )
    world.clock.ahead = timedelta(hours=2)
    with pytest.raises(ConflictError):
        await world.publish()
    assert await world.dev.version() is None
    world.clock.ahead = timedelta()
    await world.publish()
    assert (await world.dev.version()).name == str(ResourceName("risk", "fraud", 1))
