"""EvidenceService: messages in, messages out."""

from __future__ import annotations

import pytest

from carnet.errors import ReferenceInvalidError
from carnet.registry.v1 import evidence_pb2 as pb
from carnet.translog.receipt import verify_receipt
from carnet_server.access.scope import enter_scope
from carnet_server.evidence.servicer import EvidenceServicer
from carnet_server.log.proto import receipt_from_proto
from tests.support.registry import EVALUATOR, make_test_result

PARENT = "namespaces/risk/models/fraud/versions/1"


async def test_added_evidence_is_answered_and_listed_alike(registry):
    manifest = await registry.add_version(1)
    servicer = EvidenceServicer(registry.evidence)
    enter_scope(registry.caller(EVALUATOR))
    envelope = make_test_result(manifest, registry.evaluator)
    request = pb.AddEvidenceRequest(parent=PARENT, envelope=envelope.to_bytes())
    added = await servicer.AddEvidence(request, None)
    assert not added.already_held
    assert (await servicer.AddEvidence(request, None)).already_held
    verify_receipt(receipt_from_proto(added.receipt), registry.state.log_key.verifier)
    found = added.evidence
    assert (found.digest, found.bundle_digest) == (envelope.digest, manifest.digest)
    assert (found.suite, found.result, found.signer, found.trusted) == (
        "evaluation",
        "PASSED",
        EVALUATOR,
        True,
    )
    assert (found.envelope, found.log_index) == (envelope.to_bytes(), added.receipt.log_index)
    listed = await servicer.ListEvidence(pb.ListEvidenceRequest(parent=PARENT), None)
    assert listed.evidence[1] == found
    named = await servicer.ListEvidence(
        pb.ListEvidenceRequest(parent=PARENT, bundle_digest=manifest.digest, page_size=1), None
    )
    assert named.evidence[0] == listed.evidence[0]
    assert named.next_page_token


@pytest.mark.parametrize("parent", ["", "namespaces/risk", "namespaces/risk/models/fraud/aliases/champion"])
async def test_other_parents_are_refused(registry, parent):
    servicer = EvidenceServicer(registry.evidence)
    enter_scope(registry.caller(EVALUATOR))
    with pytest.raises(ReferenceInvalidError):
        await servicer.AddEvidence(pb.AddEvidenceRequest(parent=parent), None)
    with pytest.raises(ReferenceInvalidError):
        await servicer.ListEvidence(pb.ListEvidenceRequest(parent=parent), None)
