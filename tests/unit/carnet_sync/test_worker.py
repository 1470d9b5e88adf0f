from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.errors import (
    BlobsMissingError,
    ConflictError,
    GateAwaitingError,
    GateRefusedError,
    NotFoundError,
    PreconditionFailedError,
    StaleEpochError,
    StorageFullError,
    UnavailableError,
)
from carnet_sync.database import Database
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.outcome import Outcome
from carnet_sync.promotions.steps import STEPS
from carnet_sync.promotions.worker import Worker, utc_now
from tests.support.simulator import AWAITING, CANCELLED, READY, REFUSED, eventually

if TYPE_CHECKING:
    from carnet_sync.promotions.domain import Promotion
    from tests.support.simulator import SimulatedFederation
    from tests.unit.carnet_sync.conftest import Bench

STATES = ["PENDING", "CHECKING", "TRANSFERRING", "ADMITTING", "SUCCEEDED"]


class Crash(BaseException):
    """The process dies here."""


class CrashingWorker(Worker):
    """Dies when so many steps were taken, before or after the last one's outcome is stored."""

    steps_left = 0
    stores_the_last = True

    async def _settle(self, promotion: Promotion, outcome: Outcome) -> Promotion:
        self.steps_left -= 1
        if self.steps_left == 0 and not self.stores_the_last:
            raise Crash
        settled = await super()._settle(promotion, outcome)
        if self.steps_left == 0:
            raise Crash
        return settled


def much_later() -> Any:
    return utc_now() + timedelta(minutes=5)


async def create(bench: Bench, request: bytes) -> Promotion:
    """Take a request in without beginning with it."""
    bench.worker._stopping = True
    promotion = await bench.service.create(request, caller="spiffe://carnet.internal/service/ci")
    bench.worker._stopping = False
    return promotion


async def test_a_promotion_goes_all_the_way(bench: Bench, federation: SimulatedFederation) -> None:
    promotion = await bench.begin(federation.request())
    assert await bench.states(promotion.id) == STATES
    assert federation.staging.admitted == {promotion.id: 1}
    assert federation.dev.recorded == [promotion.id]
    assert promotion.lease_owner == ""
    assert promotion.transferred_bytes == promotion.total_bytes == sum(map(len, federation.files))


@pytest.mark.parametrize("stores_the_last", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
async def test_a_worker_that_dies_at_any_boundary_is_taken_over(
    bench: Bench, federation: SimulatedFederation, steps: int, stores_the_last: bool
) -> None:
    promotion = await create(bench, federation.request())
    doomed = CrashingWorker(bench.database, bench.links, bench.changes)
    doomed.steps_left, doomed.stores_the_last = steps, stores_the_last
    with pytest.raises(Crash):
        await doomed.carry_on(promotion.id)
    left = await bench.promotion(promotion.id)
    assert left.state == STATES[steps if stores_the_last else steps - 1]

    other_process = Database(bench.config.database)
    heir = bench.another_worker(other_process, clock=much_later)
    await heir.take_over()
    await heir.enqueue_due()
    await heir.idle()
    other_process.close()
    assert await bench.states(promotion.id) == STATES
    assert federation.staging.admitted == {promotion.id: 1}
    assert federation.dev.recorded == [promotion.id]


async def test_a_worker_that_lives_is_not_taken_over(bench: Bench, federation: SimulatedFederation) -> None:
    gate = federation.staging.script.held["Admit"] = asyncio.Event()
    worker = bench.another_worker(lease_seconds=0.3)
    promotion = await create(bench, federation.request())
    carrying = asyncio.create_task(worker.carry_on(promotion.id))
    await eventually(lambda: "Admit" in federation.staging.calls)
    for _ in range(8):
        await asyncio.sleep(0.1)
        await bench.worker.take_over()
        await bench.worker.carry_on(promotion.id)
    gate.set()
    await carrying
    assert await bench.states(promotion.id) == STATES
    assert (await bench.promotion(promotion.id)).epoch == 1
    assert federation.staging.calls.count("Admit") == 1


async def test_a_worker_that_slept_through_its_lease_changes_nothing_at_the_target(
    bench: Bench, federation: SimulatedFederation
) -> None:
    gate = federation.dev.script.held["GetVersion"] = asyncio.Event()
    sleeper = bench.another_worker(lease_seconds=3600)
    promotion = await create(bench, federation.request())
    sleeping = asyncio.create_task(sleeper.carry_on(promotion.id))
    await eventually(lambda: "GetVersion" in federation.dev.calls)

    federation.dev.script.held.clear()
    other = bench.another_worker(clock=lambda: utc_now() + timedelta(hours=2))
    await bench.go_on(promotion.id, other)
    assert await bench.states(promotion.id) == STATES
    before = await bench.promotion(promotion.id)
    gate.set()
    with pytest.raises(StaleEpochError):
        await sleeping
    assert await bench.promotion(promotion.id) == before
    assert federation.staging.admitted == {promotion.id: 1}


async def test_a_target_that_knows_a_newer_epoch_is_caught_up_with(
    bench: Bench, federation: SimulatedFederation
) -> None:
    request = federation.request("a" * 32)
    federation.staging.epochs["a" * 32] = 4
    promotion = await create(bench, request)
    for _ in range(3):
        with pytest.raises(StaleEpochError):
            await bench.go_on(promotion.id)
        present = await bench.promotion(promotion.id)
        assert (present.state, present.lease_owner) == (State.CHECKING, "")
    assert (await bench.go_on(promotion.id)).state is State.SUCCEEDED
    assert await bench.states(promotion.id) == STATES


@pytest.mark.parametrize("environment", ["dev", "staging"])
async def test_an_unreachable_registry_heals(
    bench: Bench, federation: SimulatedFederation, environment: str
) -> None:
    registry = getattr(federation, environment)
    await registry.stop()
    promotion = await bench.begin(federation.request())
    assert promotion.state is (State.PENDING if environment == "dev" else State.CHECKING)
    assert f"UTC for {environment}, which cannot be reached" in promotion.message
    assert promotion.retrying_since is not None
    again = await bench.go_on(promotion.id)
    assert again.sequence == promotion.sequence, "a long absence is one event"
    assert again.attempts == promotion.attempts + 1

    await registry.start()
    healed = await bench.go_on(promotion.id)
    for _ in range(5):  # the channel waits a moment before it dials again
        if healed.state is not promotion.state:
            break
        healed = await bench.go_on(promotion.id)
    assert healed.state is State.SUCCEEDED
    assert healed.retrying_since is None


async def test_a_registry_that_stops_under_way_is_waited_for(
    bench: Bench, federation: SimulatedFederation
) -> None:
    gate = federation.staging.script.held["Admit"] = asyncio.Event()
    promotion = await bench.service.create(federation.request(), caller="ci")
    await eventually(lambda: "Admit" in federation.staging.calls)
    await federation.staging.stop()
    await bench.worker.idle()
    waiting = await bench.promotion(promotion.id)
    assert (waiting.state, waiting.retrying_since is None) == (State.ADMITTING, False)
    gate.set()
    await federation.staging.start()
    for _ in range(5):  # the channel waits a moment before it dials again
        waiting = await bench.go_on(promotion.id)
        if not waiting.state.active:
            break
    assert waiting.state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("environment", "method", "state"),
    [
        ("dev", "GetVersion", "PENDING"),
        ("dev", "CreateRelease", "CHECKING"),
        ("dev", "ListEvidence", "CHECKING"),
        ("staging", "EvaluateAdmission", "CHECKING"),
        ("staging", "FindMissingBlobs", "TRANSFERRING"),
        ("dev", "CreateReadCapability", "TRANSFERRING"),
        ("staging", "PullBlobs", "TRANSFERRING"),
        ("staging", "Admit", "ADMITTING"),
        ("dev", "RecordAdmission", "ADMITTING"),
    ],
)
@pytest.mark.parametrize("effect", ["before", "after"])
async def test_a_call_that_fails_or_whose_answer_is_lost_is_made_again(
    bench: Bench, federation: SimulatedFederation, environment: str, method: str, state: str, effect: str
) -> None:
    script = getattr(federation, environment).script
    getattr(script, effect)[method].append(ConflictError("something moved"))
    promotion = await bench.begin(federation.request())
    assert promotion.state == state
    assert "something changed under way" in promotion.message
    assert (await bench.go_on(promotion.id)).state is State.SUCCEEDED
    assert federation.staging.admitted == {promotion.id: 1}
    assert federation.dev.recorded == [promotion.id]


async def test_patience_ends_in_failure_and_a_retry_goes_on_from_there(
    bench: Bench, federation: SimulatedFederation
) -> None:
    await federation.staging.stop()
    promotion = await bench.begin(federation.request())
    tired = bench.another_worker(clock=lambda: utc_now() + timedelta(hours=2))
    failed = await bench.go_on(promotion.id, tired)
    assert (failed.state, failed.error_reason) == (State.FAILED, "UNAVAILABLE")
    assert "gave up" in failed.message

    await federation.staging.start()
    await bench.service.retry(promotion.id, caller="spiffe://carnet.internal/person/dave")
    await bench.worker.idle()
    again = await bench.promotion(promotion.id)
    while again.state is State.CHECKING:  # the channel waits a moment before it dials again
        again = await bench.go_on(promotion.id)
    assert (again.state, again.error_reason) == (State.SUCCEEDED, "")
    assert federation.dev.calls.count("GetVersion") == 1


async def test_what_the_policy_refuses_is_rejected_with_its_rules(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(REFUSED)]
    federation.staging.script.rule_message = "roc_auc 0.93 is below 0.97"
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.REJECTED
    assert "evaluation: roc_auc 0.93 is below 0.97 (attach one)" in promotion.message
    assert "FindMissingBlobs" not in federation.staging.calls


async def test_what_is_awaited_is_asked_again_more_and_more_rarely(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING)] * 4 + [int(READY)]
    promotion = await bench.begin(federation.request())
    waits = []
    for _ in range(4):
        assert promotion.state is State.AWAITING
        assert promotion.message == "staging awaits: evaluation: no evaluation is here yet (attach one)"
        waits.append((promotion.wake_at - utc_now()).total_seconds())
        promotion = await bench.go_on(promotion.id)
    assert waits == pytest.approx([1, 1.5, 2.25, 3.375], abs=0.5)
    assert promotion.state is State.SUCCEEDED
    assert await bench.states(promotion.id) == ["PENDING", "CHECKING", "AWAITING", *STATES[2:]]


@pytest.mark.parametrize("refusal", [GateAwaitingError, GateRefusedError, BlobsMissingError])
async def test_a_target_that_changes_its_mind_at_the_last_moment_is_asked_again(
    bench: Bench, federation: SimulatedFederation, refusal: type[PreconditionFailedError]
) -> None:
    federation.staging.script.before["Admit"].append(refusal("an approval was withdrawn"))
    federation.staging.script.answers = [int(READY), int(AWAITING), int(READY)]
    promotion = await bench.begin(federation.request())
    assert promotion.state is State.AWAITING
    assert promotion.returns == 1
    assert (await bench.go_on(promotion.id)).state is State.SUCCEEDED


async def test_a_target_that_never_makes_up_its_mind_is_given_up(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.before["Admit"] = [GateAwaitingError("not now") for _ in range(50)]
    promotion = await bench.begin(federation.request())
    for _ in range(25):
        promotion = await bench.go_on(promotion.id)
    assert (promotion.state, promotion.error_reason) == (State.FAILED, "GATE_AWAITING")
    assert federation.staging.calls.count("Admit") == 21


@pytest.mark.parametrize("method", ["EvaluateAdmission", "PullBlobs", "Admit"])
@pytest.mark.parametrize("state", ["CANCELLED", "REJECTED"])
async def test_what_the_target_ended_meanwhile_is_ended_here(
    bench: Bench, federation: SimulatedFederation, method: str, state: str
) -> None:
    federation.staging.script.answers = [int(AWAITING), int(READY)]
    promotion = await bench.begin(federation.request())
    admission = federation.staging.admissions[promotion.id]
    gate = federation.staging.script.held[method] = asyncio.Event()
    going = asyncio.create_task(bench.go_on(promotion.id))
    await eventually(lambda: federation.staging.calls.count(method) >= (2 if method.startswith("E") else 1))
    admission = federation.staging.admissions[promotion.id]
    admission.state = CANCELLED if state == "CANCELLED" else REFUSED
    federation.staging.script.before[method] = [PreconditionFailedError("it has ended")]
    gate.set()
    await asyncio.sleep(0.05)
    assert (await going).state == state
    assert federation.staging.admitted == {}


@pytest.mark.parametrize(
    ("environment", "method", "error", "state"),
    [
        ("dev", "GetVersion", NotFoundError("no such version"), "PENDING"),
        ("staging", "EvaluateAdmission", PreconditionFailedError("another home"), "CHECKING"),
        ("staging", "PullBlobs", StorageFullError("the disk is full"), "TRANSFERRING"),
        ("staging", "Admit", PreconditionFailedError("another home"), "ADMITTING"),
        ("dev", "RecordAdmission", PreconditionFailedError("the receipt is not good"), "ADMITTING"),
    ],
)
async def test_what_waiting_does_not_mend_fails_and_can_be_retried(
    bench: Bench, federation: SimulatedFederation, environment: str, method: str, error: Any, state: str
) -> None:
    getattr(federation, environment).script.before[method].append(error)
    promotion = await bench.begin(federation.request())
    assert (promotion.state, promotion.error_reason) == (State.FAILED, error.reason)
    assert promotion.message == error.message
    assert (await bench.states(promotion.id))[-2:] == [state, "FAILED"]
    assert (await bench.go_on(promotion.id)).state is State.FAILED, "nobody but a person retries it"
    await bench.service.retry(promotion.id, caller="spiffe://carnet.internal/person/dave")
    await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).state is State.SUCCEEDED
    assert federation.staging.admitted == {promotion.id: 1}


async def test_a_defect_in_a_step_fails_with_a_fixed_text(
    bench: Bench, federation: SimulatedFederation, caplog: pytest.LogCaptureFixture
) -> None:
    async def defective(promotion: Promotion, work: Any) -> Outcome:
        raise ZeroDivisionError("secret figure")

    promotion = await create(bench, federation.request())
    worker = bench.another_worker(steps={**STEPS, State.CHECKING: defective})
    failed = await bench.go_on(promotion.id, worker)
    assert (failed.state, failed.error_reason) == (State.FAILED, "INTERNAL")
    assert "secret" not in failed.message
    assert "secret figure" in caplog.text


async def test_a_step_that_leads_where_no_step_leads_fails(
    bench: Bench, federation: SimulatedFederation
) -> None:
    async def lawless(promotion: Promotion, work: Any) -> Outcome:
        return Outcome(State.SUCCEEDED, "unchecked")

    promotion = await create(bench, federation.request())
    worker = bench.another_worker(steps={**STEPS, State.PENDING: lawless})
    assert (await bench.go_on(promotion.id, worker)).error_reason == "ILLEGAL_TRANSITION"


async def test_stopping_gives_leases_back_at_once(bench: Bench, federation: SimulatedFederation) -> None:
    gate = federation.staging.script.held["EvaluateAdmission"] = asyncio.Event()
    stopped = bench.another_worker()
    promotion = await create(bench, federation.request())
    stopped.enqueue(promotion.id)
    await eventually(lambda: "EvaluateAdmission" in federation.staging.calls)
    await stopped.stop()
    stopped.enqueue(promotion.id)
    gate.set()
    assert (await bench.promotion(promotion.id)).lease_owner == ""
    await bench.worker.enqueue_due()
    await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).state is State.SUCCEEDED


async def test_what_happens_while_a_step_runs_is_looked_at_after_it(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING), int(READY)]
    gate = federation.staging.script.held["EvaluateAdmission"] = asyncio.Event()
    promotion = await bench.service.create(federation.request(), caller="ci")
    await eventually(lambda: "EvaluateAdmission" in federation.staging.calls)
    bench.worker.enqueue(promotion.id)
    gate.set()
    await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).state is State.SUCCEEDED


async def test_a_database_that_is_away_costs_a_try_and_nothing_else(
    bench: Bench, federation: SimulatedFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion = await create(bench, federation.request())

    async def refuse(change: Any) -> Any:
        raise UnavailableError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(bench.database, "write", refuse)
        bench.worker.enqueue(promotion.id)
        await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).state is State.PENDING
    assert (await bench.go_on(promotion.id)).state is State.SUCCEEDED
