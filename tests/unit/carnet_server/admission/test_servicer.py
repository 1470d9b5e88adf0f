"""AdmissionService's messages: what they carry in, and what they tell."""

from __future__ import annotations

import pytest

from carnet.errors import InvalidInputError, NotFoundError, ReferenceInvalidError, SignatureInvalidError
from carnet.registry.v1 import admission_pb2, blobs_pb2, policy_pb2
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.access.scope import enter_scope
from carnet_server.admission.servicer import AdmissionServicer
from carnet_server.log.proto import receipt_from_proto, receipt_to_proto
from tests.unit.carnet_server.admission.parties import subject

CONTEXT = None


@pytest.fixture
def servicer(world):
    enter_scope(world.staging.caller("sync"))
    return AdmissionServicer(world.staging.admission)


async def message_for(world, *, alias="champion", **wished):
    manifest = await world.publish()
    await world.attest(manifest)
    given = await world.bring(manifest, world.parties.request(manifest, alias=alias, **wished))
    return manifest, admission_pb2.AdmissionInput(
        request=given.request,
        canonical_manifest=given.manifest,
        signature=given.signature,
        release=given.release,
        source_receipt=receipt_to_proto(given.source_receipt),
        evidence=given.evidence,
    )


async def evaluated(world, servicer, **asked):
    manifest, message = await message_for(world)
    request = admission_pb2.EvaluateAdmissionRequest(input=message, epoch=1, **asked)
    return manifest, (await servicer.EvaluateAdmission(request, CONTEXT)).admission


async def test_an_evaluation_is_told_rule_by_rule(world, servicer):
    manifest, admission = await evaluated(world, servicer)
    assert admission.name == f"admissions/{admission.promotion}"
    assert admission.version == "namespaces/risk/models/fraud/versions/1"
    assert (admission.source, admission.alias, admission.bundle_digest) == (
        "dev",
        "champion",
        manifest.digest,
    )
    assert (admission.requester, admission.publisher) == (subject("ci"), subject("ci"))
    assert admission.state == admission_pb2.ADMISSION_STATE_AWAITING
    assert admission.evaluation.outcome == policy_pb2.RULE_STATUS_AWAITING
    assert admission.evaluation.policy_digest == world.staging.state.policy.digest
    awaited = [result for result in admission.evaluation.results if result.awaits_people]
    assert [result.rule for result in awaited] == ["approvals"]
    assert awaited[0].remedy
    assert admission.dossier
    assert not admission.HasField("receipt")
    read = await servicer.GetAdmission(admission_pb2.GetAdmissionRequest(name=admission.name), CONTEXT)
    assert read.admission == admission


@pytest.mark.parametrize("by_rollout", [True, False])
async def test_an_evaluation_tells_whether_the_alias_moves_by_rollout(world, servicer, by_rollout):
    _, message = await message_for(world, by_rollout=by_rollout)
    asked = admission_pb2.EvaluateAdmissionRequest(input=message, epoch=1)
    admission = (await servicer.EvaluateAdmission(asked, CONTEXT)).admission
    assert (admission.alias, admission.by_rollout) == ("champion", by_rollout)


async def test_a_dry_run_leaves_nothing_to_read(world, servicer):
    _, admission = await evaluated(world, servicer, validate_only=True)
    assert admission.evaluation.outcome == policy_pb2.RULE_STATUS_AWAITING
    with pytest.raises(NotFoundError):
        await servicer.GetAdmission(admission_pb2.GetAdmissionRequest(name=admission.name), CONTEXT)


async def test_approval_and_admission_are_told_with_receipts(world, servicer):
    manifest, admission = await evaluated(world, servicer)
    view = await world.staging.admission.get(world.staging.caller("sync"), admission.promotion)
    enter_scope(world.staging.caller("bob"))
    kept = await servicer.SubmitApproval(
        admission_pb2.SubmitApprovalRequest(name=admission.name, envelope=world.approval(view.admission)),
        CONTEXT,
    )
    assert (kept.approval.person, kept.approval.meaning) == ("bob", "approved")
    assert kept.admission.approvals == [kept.approval]
    assert receipt_from_proto(kept.receipt).index == world.staging.log.size - 1
    await world.transfer(manifest)
    enter_scope(world.staging.caller("sync"))
    released = await world.release(admission.promotion, manifest)
    asked = admission_pb2.AdmitRequest(
        name=admission.name, release=released.envelope, stamps=released.stamps, epoch=1
    )
    admitted = await servicer.Admit(asked, CONTEXT)
    assert admitted.admission.state == admission_pb2.ADMISSION_STATE_ADMITTED
    assert admitted.admission.decision
    assert admitted.admission.HasField("receipt")
    decided = parse_entry(receipt_from_proto(admitted.admission.decision_receipt).entry_bytes)
    assert (decided.type, decided.new) == (EntryType.DECISION_MADE, "PASSED")
    assert not admitted.already_admitted
    assert (await servicer.Admit(asked, CONTEXT)).already_admitted


async def test_a_cancellation_is_told_with_its_receipt(world, servicer):
    manifest, admission = await evaluated(world, servicer)
    envelope = world.parties.cancellation(admission.request, manifest)
    ended = await servicer.CancelAdmission(
        admission_pb2.CancelAdmissionRequest(name=admission.name, envelope=envelope), CONTEXT
    )
    assert ended.receipt.log_index == world.staging.log.size - 1


REFUSED = {
    "a name of something else": ({"name": "namespaces/risk"}, ReferenceInvalidError),
    "a negative epoch": ({"epoch": -1}, InvalidInputError),
    "a malformed digest": ({"blobs": [blobs_pb2.BlobRef(digest="x", size_bytes=1)]}, InvalidInputError),
    "an impossible size": ({"blobs": [blobs_pb2.BlobRef(digest="a" * 64, size_bytes=-1)]}, InvalidInputError),
}


@pytest.mark.parametrize(("changes", "error"), REFUSED.values(), ids=REFUSED)
async def test_a_malformed_pull_is_refused(servicer, changes, error):
    request = admission_pb2.PullBlobsRequest(**{"name": "admissions/" + "1" * 32} | changes)
    with pytest.raises(error):
        await anext(servicer.PullBlobs(request, CONTEXT))


async def test_an_empty_message_is_refused(servicer):
    with pytest.raises(SignatureInvalidError):
        await servicer.EvaluateAdmission(admission_pb2.EvaluateAdmissionRequest(), CONTEXT)
