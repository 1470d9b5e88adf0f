"""RetentionService: messages in, messages out."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from carnet.errors import InvalidInputError, MustBeKeptError, ReferenceInvalidError
from carnet.references import ResourceName
from carnet.registry.v1 import retention_pb2 as pb
from carnet.stages import Stage
from carnet.translog.entry import parse_entry
from carnet.translog.receipt import verify_receipt
from carnet_server.access.scope import enter_scope
from carnet_server.log.proto import receipt_from_proto
from carnet_server.models.queries import VERSIONS
from carnet_server.retention.servicer import RetentionServicer
from tests.support.registry import OPERATOR

MODEL = "namespaces/risk/models/fraud"
VERSION = f"{MODEL}/versions/1"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def servicer(registry):
    await registry.add_version(1)
    name = ResourceName("risk", "fraud", 1)
    await registry.models.set_stage(registry.caller(OPERATOR), name, Stage.ARCHIVED, "old")
    aged = update(VERSIONS).values(created_at=LONG_AGO, staged_at=LONG_AGO)
    await registry.writer.commit(lambda tx: tx.connection.execute(aged).rowcount)
    enter_scope(registry.caller(OPERATOR))
    return RetentionServicer(registry.purge, registry.holds, registry.erasing, registry.hygiene)


@pytest.mark.parametrize("parent", ["namespaces/-", "namespaces/risk", MODEL, VERSION])
async def test_a_purge_is_told_and_then_made_at_every_kind_of_place(registry, servicer, parent):
    enter_scope(registry.caller(OPERATOR))
    asked = pb.PurgeVersionsRequest(parent=parent, validate_only=True)
    (told,) = (await servicer.PurgeVersions(asked, None)).versions
    assert (told.name, told.purged, told.HasField("receipt")) == (VERSION, True, False)
    asked.validate_only, asked.reason = False, "space"
    (done,) = (await servicer.PurgeVersions(asked, None)).versions
    entry = verify_receipt(receipt_from_proto(done.receipt), registry.state.log_key.verifier)
    assert entry.subject["bundle_digest"] == done.bundle_digest
    assert done.freed_bytes == told.freed_bytes > 0


async def test_keeping_none_is_something_else_than_saying_nothing(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    asked = pb.PurgeVersionsRequest(parent=MODEL, validate_only=True, keep_last=0)
    assert (await servicer.PurgeVersions(asked, None)).versions[0].purged
    asked.keep_last = 1
    assert not (await servicer.PurgeVersions(asked, None)).versions[0].purged


async def test_a_hold_is_placed_listed_and_released(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    request = pb.PlaceHoldRequest(name=MODEL, reason="case 7", request_id="r")
    until = datetime.now(UTC) + timedelta(days=1)
    request.expire_time.FromDatetime(until)
    placed = await servicer.PlaceHold(request, None)
    hold = placed.hold
    assert (hold.hold, hold.name, hold.reason, hold.actor) == (1, MODEL, "case 7", OPERATOR)
    assert hold.expire_time.ToDatetime(UTC) == until
    assert not hold.HasField("release_time")
    for parent in ("namespaces/-", "namespaces/risk", MODEL):
        assert list((await servicer.ListHolds(pb.ListHoldsRequest(parent=parent), None)).holds) == [hold]
    released = await servicer.ReleaseHold(pb.ReleaseHoldRequest(name=MODEL, hold=1, reason="x"), None)
    assert released.hold.releaser == OPERATOR
    assert released.hold.HasField("release_time")
    listed = await servicer.ListHolds(pb.ListHoldsRequest(parent=MODEL, include_ended=True), None)
    assert [each.log_index for each in listed.holds] == [hold.log_index]


async def test_hygiene_is_told(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    answer = await servicer.GetHygiene(pb.GetHygieneRequest(parent="namespaces/-"), None)
    assert [each.namespace for each in answer.storage] == ["risk"]
    assert not answer.findings
    assert not answer.truncated


async def test_names_and_times_that_are_none_are_refused(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    far = pb.PlaceHoldRequest(name=MODEL, reason="x")
    far.expire_time.seconds = 2**60
    with pytest.raises(InvalidInputError, match="out of range"):
        await servicer.PlaceHold(far, None)
    for call, request in (
        (servicer.PurgeVersions, pb.PurgeVersionsRequest(parent=f"{MODEL}/aliases/champion")),
        (servicer.PlaceHold, pb.PlaceHoldRequest(name="namespaces/risk", reason="x")),
        (servicer.ReleaseHold, pb.ReleaseHoldRequest(name="fraud", hold=1, reason="x")),
        (servicer.ListHolds, pb.ListHoldsRequest(parent=VERSION)),
        (servicer.GetHygiene, pb.GetHygieneRequest(parent=MODEL)),
    ):
        with pytest.raises(ReferenceInvalidError):
            await call(request, None)


async def test_an_erasure_is_answered_with_the_receipt_of_its_entry(registry, servicer):
    enter_scope(registry.caller(OPERATOR))
    registry.set_policy(retention={"erase": {"notes_after": "1s"}})
    registry.wire()
    servicer = RetentionServicer(registry.purge, registry.holds, registry.erasing, registry.hygiene)
    staged = await registry.models.get_version(ResourceName("risk", "fraud", 1))
    receipt = await registry.log.receipt(staged.stage_log_index)
    digest = parse_entry(receipt.entry_bytes).envelope_digest
    request = pb.EraseDocumentRequest(digest=digest, reason_code="person-request", note="on paper")
    done = None
    while done is None:  # a second is the shortest that a policy can say
        with contextlib.suppress(MustBeKeptError):
            done = await servicer.EraseDocument(request, None)
    entry = verify_receipt(receipt_from_proto(done.receipt), registry.state.log_key.verifier)
    assert (done.digest, done.erased_before) == (digest, False)
    assert (entry.subject["document"], entry.new, entry.actor.subject) == (digest, "person-request", OPERATOR)
    assert (await servicer.EraseDocument(request, None)).erased_before
