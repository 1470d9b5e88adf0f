"""What an audit must not be disturbed by: an unedited copy, and evidence by strangers."""

from __future__ import annotations

from carnet.client.client import connect
from carnet.registry.v1 import evidence_pb2
from carnet.signing.keys import SigningKey
from carnet.signing.statement import Statement, sign_statement
from carnet_server.demo.tampering import copy_environment, serving


def test_a_copy_that_nobody_edited_verifies(federation, tmp_path):
    reference = federation.publish(tmp_path, "copied/fraud")
    federation.to_staging(reference)
    copy_environment(federation.folder, "dev", tmp_path / "copy")
    with serving(tmp_path / "copy", "dev"), connect(tmp_path / "copy", identity="dave") as auditor:
        report = auditor.audit_verify(environments=["dev"])
    assert report.ok, report.findings


async def test_a_strangers_evidence_does_not_spoil_the_audit(federation, tmp_path):
    reference = federation.publish(tmp_path, "strangers/fraud")
    with federation.client("ci") as ci:
        found = ci.resolve(str(reference))
    statement = Statement(found.manifest.subject_name, found.bundle_digest, "https://example.org/x", {"a": 1})
    envelope = sign_statement(statement, SigningKey.generate()).to_bytes()
    async with federation.connection("dev", "sync") as registry:
        added = await registry.call(
            registry.evidence.AddEvidence,
            evidence_pb2.AddEvidenceRequest(parent=reference.resource_name, envelope=envelope),
        )
    assert not added.evidence.trusted
    with federation.client("dave") as auditor:
        report = auditor.audit_verify(environments=["dev"])
    assert report.ok, report.findings
