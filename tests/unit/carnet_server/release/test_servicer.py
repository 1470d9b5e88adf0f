"""ReleaseService's messages: what they carry in, and what they tell."""

from __future__ import annotations

import pytest

from carnet.errors import InvalidInputError, ReferenceInvalidError
from carnet.registry.v1 import admission_pb2
from carnet.signing.capability import Capability
from carnet.signing.release import Release
from carnet_server.access.scope import enter_scope
from carnet_server.log.proto import receipt_to_proto
from carnet_server.release.servicer import ReleaseServicer
from tests.unit.carnet_server.admission.parties import read, subject

CONTEXT = None
NAME = "namespaces/risk/models/fraud/versions/1"
PROMOTION = "1" * 32


@pytest.fixture
def servicer(world):
    enter_scope(world.dev.caller("sync"))
    return ReleaseServicer(world.dev.release)


async def test_a_release_statement_comes_with_the_versions_receipt(world, servicer):
    manifest = await world.publish()
    answer = await servicer.CreateRelease(
        admission_pb2.CreateReleaseRequest(name=NAME, promotion=PROMOTION, target="staging"), CONTEXT
    )
    said = read(answer.release, Release)
    assert (said.promotion, said.environment, said.target) == (PROMOTION, "dev", "staging")
    assert said.log_size == answer.receipt.tree_size
    assert manifest.digest.encode() in answer.receipt.entry


async def test_a_capability_tells_when_it_ends(world, servicer):
    manifest = await world.publish()
    answer = await servicer.CreateReadCapability(
        admission_pb2.CreateReadCapabilityRequest(
            name=NAME, promotion=PROMOTION, target="staging", digests=[manifest.files[0].digest] * 2
        ),
        CONTEXT,
    )
    said = read(answer.capability, Capability)
    assert (said.holder, said.digests) == (subject("staging"), (manifest.files[0].digest,))
    assert answer.expire_time.ToMilliseconds() == int(said.expires_at.timestamp() * 1000)


async def test_an_admission_elsewhere_is_recorded(world, servicer):
    manifest = await world.publish()
    await world.attest(manifest)
    view = await world.promote(manifest)
    answer = await servicer.RecordAdmission(
        admission_pb2.RecordAdmissionRequest(
            name=NAME, decision=view.admission.decision, target_receipt=receipt_to_proto(view.receipt)
        ),
        CONTEXT,
    )
    assert answer.receipt.log_index == world.dev.log.size - 1


REFUSED = {
    "a name of no version": ({"name": "namespaces/risk/models/fraud"}, ReferenceInvalidError),
    "an id of no promotion": ({"promotion": "x"}, ReferenceInvalidError),
    "a malformed digest": ({"digests": ["x"]}, InvalidInputError),
}


@pytest.mark.parametrize(("changes", "error"), REFUSED.values(), ids=REFUSED)
async def test_a_malformed_request_is_refused(world, servicer, changes, error):
    await world.publish()
    asked = {"name": NAME, "promotion": PROMOTION, "target": "staging", **changes}
    with pytest.raises(error):
        await servicer.CreateReadCapability(admission_pb2.CreateReadCapabilityRequest(**asked), CONTEXT)
