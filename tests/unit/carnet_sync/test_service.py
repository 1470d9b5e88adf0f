from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    IllegalTransitionError,
    IntegrityError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    StatementInvalidError,
    UnavailableError,
)
from carnet.signing.keys import SigningKey
from carnet.signing.statement import Statement, sign_statement
from carnet_sync.promotions import queries
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.messages import promotion_message
from carnet_sync.promotions.service import PromotionsService
from tests.support.simulator import AWAITING, REFUSED, eventually

if TYPE_CHECKING:
    from tests.support.simulator import SimulatedFederation
    from tests.unit.carnet_sync.conftest import Bench

CI = "spiffe://carnet.internal/service/ci"
DAVE = "spiffe://carnet.internal/person/dave"


async def test_the_same_bytes_are_the_same_promotion(bench: Bench, federation: SimulatedFederation) -> None:
    request = federation.request()
    first = await bench.begin(request)
    again = await bench.service.create(request, caller=DAVE)
    assert (again.id, again.state, again.requester) == (first.id, State.SUCCEEDED, first.requester)
    assert len((await bench.service.list(page_size=0, page_token="", active_only=False)).promotions) == 1


async def test_an_id_is_one_request_for_ever(bench: Bench, federation: SimulatedFederation) -> None:
    first = await bench.begin(federation.request("a" * 32))
    with pytest.raises(AlreadyExistsError, match="sign a new one"):
        await bench.service.create(federation.request("a" * 32, alias=""), caller=CI)
    assert await bench.promotion("a" * 32) == first


async def test_concurrent_repeats_begin_one_promotion(bench: Bench, federation: SimulatedFederation) -> None:
    request = federation.request()
    made = await asyncio.gather(*(bench.service.create(request, caller=CI) for _ in range(8)))
    await bench.worker.idle()
    assert len({each.id for each in made}) == 1
    assert federation.staging.admitted == {made[0].id: 1}


@pytest.mark.parametrize("ends", [{"target": "prod"}, {"source": "staging", "target": "dev"}])
async def test_a_request_without_a_route_is_told_the_routes(
    bench: Bench, federation: SimulatedFederation, ends: dict[str, str]
) -> None:
    with pytest.raises(PreconditionFailedError, match="the routes are: dev → staging"):
        await bench.service.create(federation.request(**ends), caller=CI)
    assert (await bench.service.list(page_size=0, page_token="", active_only=False)).promotions == []


@given(st.binary(max_size=200))
async def test_no_bytes_crash_it(garbage: bytes) -> None:
    service = PromotionsService(None, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(CarnetError):
        await service.create(garbage, caller=CI)
    with pytest.raises(CarnetError):
        await service.cancel("a" * 32, garbage, caller=CI)


async def test_another_kind_of_statement_is_no_request(bench: Bench, federation: SimulatedFederation) -> None:
    with pytest.raises(IntegrityError):
        await bench.service.create(federation.cancellation("a" * 32), caller=CI)
    statement = Statement("dev/risk/fraud@1", "a" * 64, "urn:carnet:promotion-request:v1", {"promotion": 1})
    with pytest.raises(StatementInvalidError):
        await bench.service.create(sign_statement(statement, federation.key).to_bytes(), caller=CI)


async def test_the_requester_is_who_the_target_found(bench: Bench, federation: SimulatedFederation) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.service.create(federation.request(), caller=DAVE)
    assert promotion.requester == DAVE
    await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).requester == CI


@pytest.mark.parametrize(
    ("by_rollout", "said"),
    [
        (True, "admitted risk/fraud@1 and permits champion to move to it, which `carnet rollout start` does"),
        (False, "admitted risk/fraud@1 as champion, and dev recorded it"),
    ],
)
async def test_the_end_tells_whether_the_alias_moved(
    bench: Bench, federation: SimulatedFederation, by_rollout: bool, said: str
) -> None:
    promotion = await bench.begin(federation.request(by_rollout=by_rollout))
    (listed,) = (await bench.service.list(page_size=0, page_token="", active_only=False)).promotions
    assert (promotion.state, promotion.by_rollout, listed.by_rollout) == (
        State.SUCCEEDED,
        by_rollout,
        by_rollout,
    )
    assert said in promotion.message
    assert promotion_message(promotion).by_rollout is by_rollout


# --- dry run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        (None, State.TRANSFERRING, "every rule of staging passes: it would be admitted"),
        (AWAITING, State.AWAITING, "staging awaits: evaluation"),
        (REFUSED, State.REJECTED, "staging refused: evaluation"),
    ],
)
async def test_a_dry_run_says_what_would_be_and_stores_nothing(
    bench: Bench, federation: SimulatedFederation, answer: int | None, state: State, said: str
) -> None:
    if answer is not None:
        federation.staging.script.answers = [int(answer)]
    federation.dev.evidence[federation.bundle_digest].append(federation.envelope_about())
    request = federation.request()
    rehearsed = await bench.service.rehearse(request, caller=CI)
    assert rehearsed.state is state
    assert said in rehearsed.message
    assert rehearsed.admission
    assert (await bench.service.list(page_size=0, page_token="", active_only=False)).promotions == []
    staging = federation.staging
    assert not staging.admissions
    assert not staging.evidence[federation.bundle_digest]
    assert not staging.blobs
    assert not staging.epochs
    assert set(staging.calls) == {"EvaluateAdmission"}


async def test_a_dry_run_tells_errors_as_they_are(bench: Bench, federation: SimulatedFederation) -> None:
    with pytest.raises(NotFoundError, match="versions/9"):
        await bench.service.rehearse(federation.request(version=9), caller=CI)
    await federation.staging.stop()
    with pytest.raises(UnavailableError, match="staging"):
        await bench.service.rehearse(federation.request(), caller=CI)


# --- cancelling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "method", "state"),
    [
        ("dev", "GetVersion", State.PENDING),
        ("staging", "EvaluateAdmission", State.CHECKING),
        ("staging", "PullBlobs", State.TRANSFERRING),
        ("staging", "Admit", State.ADMITTING),
    ],
)
async def test_a_promotion_is_cancelled_in_the_middle_of_any_step(
    bench: Bench, federation: SimulatedFederation, environment: str, method: str, state: State
) -> None:
    registry = getattr(federation, environment)
    gate = registry.script.held[method] = asyncio.Event()
    promotion = await bench.service.create(federation.request(), caller=CI)
    await eventually(lambda: method in registry.calls)
    assert (await bench.promotion(promotion.id)).state is state

    envelope = federation.cancellation(promotion.id)
    cancelled = await bench.service.cancel(promotion.id, envelope, caller=CI)
    assert (cancelled.state, cancelled.message) == (State.CANCELLED, "cancelled: a better one is ready")
    gate.set()
    await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).state is State.CANCELLED
    assert federation.staging.admitted == {}
    assert await bench.database.read(lambda c: queries.cancellation(c, promotion.id)) == envelope
    assert await bench.service.cancel(promotion.id, envelope, caller=CI) == cancelled


async def test_one_that_waits_or_failed_is_cancelled_and_never_begins_again(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    waiting = await bench.begin(federation.request())
    failed = await bench.begin(federation.request(version=9))
    assert (waiting.state, failed.state) == (State.AWAITING, State.FAILED)
    for promotion in (waiting, failed):
        await bench.service.cancel(promotion.id, federation.cancellation(promotion.id), caller=CI)
        await bench.worker.wake_everything()
        await bench.worker.carry_on(promotion.id)
        with pytest.raises(IllegalTransitionError):
            await bench.service.retry(promotion.id, caller=DAVE)
        assert (await bench.promotion(promotion.id)).state is State.CANCELLED


async def test_what_was_admitted_is_not_cancelled(bench: Bench, federation: SimulatedFederation) -> None:
    promotion = await bench.begin(federation.request())
    with pytest.raises(IllegalTransitionError):
        await bench.service.cancel(promotion.id, federation.cancellation(promotion.id), caller=CI)
    assert "CancelAdmission" not in federation.staging.calls


async def test_what_the_target_admitted_at_the_last_moment_is_not_cancelled(
    bench: Bench, federation: SimulatedFederation
) -> None:
    gate = federation.dev.script.held["RecordAdmission"] = asyncio.Event()
    promotion = await bench.service.create(federation.request(), caller=CI)
    await eventually(lambda: "RecordAdmission" in federation.dev.calls)
    with pytest.raises(IllegalTransitionError, match="was admitted"):
        await bench.service.cancel(promotion.id, federation.cancellation(promotion.id), caller=CI)
    gate.set()
    await bench.worker.idle()
    assert (await bench.promotion(promotion.id)).state is State.SUCCEEDED


async def test_a_cancellation_that_the_target_refuses_changes_nothing(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.begin(federation.request())
    federation.staging.script.before["CancelAdmission"].append(PermissionDeniedError("not yours"))
    with pytest.raises(PermissionDeniedError, match="not yours"):
        await bench.service.cancel(promotion.id, federation.cancellation(promotion.id), caller=CI)
    assert await bench.promotion(promotion.id) == promotion


async def test_only_its_requester_or_an_operator_cancels_a_promotion(
    bench: Bench, federation: SimulatedFederation
) -> None:
    gate = federation.dev.script.held["GetVersion"] = asyncio.Event()
    promotion = await bench.service.create(federation.request(), caller=CI)
    federation.key = SigningKey.generate()
    envelope = federation.cancellation(promotion.id)
    with pytest.raises(PermissionDeniedError, match="needs the role operator"):
        await bench.service.cancel(promotion.id, envelope, caller=DAVE)
    assert "CancelAdmission" not in federation.staging.calls
    cancelled = await bench.service.cancel(promotion.id, envelope, caller=DAVE, is_operator=True)
    assert cancelled.state is State.CANCELLED
    gate.set()
    await bench.worker.idle()


async def test_who_holds_the_key_of_the_request_cancels_it_under_another_subject(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.begin(federation.request())
    assert promotion.requester == CI
    envelope = federation.cancellation(promotion.id)
    cancelled = await bench.service.cancel(promotion.id, envelope, caller="oidc:issuer.example:job")
    assert cancelled.state is State.CANCELLED


@pytest.mark.parametrize("named", ["both", "nobody"])
async def test_a_cancellation_that_only_names_the_key_of_the_request_among_others_is_another_requesters(
    bench: Bench, federation: SimulatedFederation, named: str
) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.begin(federation.request())
    forged = json.loads(federation.cancellation(promotion.id))
    own = {"keyid": SigningKey.generate().key_id, "sig": forged["signatures"][0]["sig"]}
    forged["signatures"] = [*forged["signatures"], own] if named == "both" else [own | {"keyid": ""}]
    with pytest.raises(PermissionDeniedError, match="needs the role operator"):
        await bench.service.cancel(promotion.id, json.dumps(forged).encode(), caller=DAVE)
    assert "CancelAdmission" not in federation.staging.calls


async def test_what_was_cancelled_at_the_target_before_it_came_there_is_cancelled(
    bench: Bench, federation: SimulatedFederation
) -> None:
    refusal = IllegalTransitionError("it was cancelled before it came", metadata={"state": "CANCELLED"})
    federation.staging.script.before["EvaluateAdmission"].append(refusal)
    promotion = await bench.begin(federation.request())
    assert (promotion.state, promotion.message) == (State.CANCELLED, refusal.message)


async def test_a_cancellation_of_another_promotion_is_refused(
    bench: Bench, federation: SimulatedFederation
) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.begin(federation.request())
    with pytest.raises(StatementInvalidError, match="is of promotion"):
        await bench.service.cancel(promotion.id, federation.cancellation("b" * 32), caller=CI)
    with pytest.raises(NotFoundError):
        await bench.service.cancel("b" * 32, federation.cancellation("b" * 32), caller=CI)
    assert "CancelAdmission" not in federation.staging.calls


# --- retrying ---------------------------------------------------------------------------------------------


async def test_only_what_failed_is_retried(bench: Bench, federation: SimulatedFederation) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    promotion = await bench.begin(federation.request())
    with pytest.raises(IllegalTransitionError, match="is AWAITING"):
        await bench.service.retry(promotion.id, caller=DAVE)
    with pytest.raises(NotFoundError):
        await bench.service.retry("b" * 32, caller=DAVE)


async def test_a_retry_says_at_whose_word(bench: Bench, federation: SimulatedFederation) -> None:
    promotion = await bench.begin(federation.request(version=9))
    assert promotion.error_reason == "NOT_FOUND"
    retried = await bench.service.retry(promotion.id, caller=DAVE)
    assert (retried.state, retried.message) == (State.PENDING, f"tried again at the word of {DAVE}")
    await bench.worker.idle()


# --- reading ----------------------------------------------------------------------------------------------


async def test_pages_of_the_list_meet(bench: Bench, federation: SimulatedFederation) -> None:
    federation.staging.script.answers = [int(AWAITING)]
    begun = [(await bench.service.create(federation.request(), caller=CI)).id for _ in range(5)]
    await bench.worker.idle()
    seen: list[str] = []
    token = ""
    while True:
        page = await bench.service.list(page_size=2, page_token=token, active_only=True)
        seen += [each.id for each in page.promotions]
        token = page.next_page_token
        if not token:
            break
    assert seen == begun[::-1]


async def test_an_unknown_promotion_is_said(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match="unknown to this promotion service"):
        await bench.service.get("b" * 32)
