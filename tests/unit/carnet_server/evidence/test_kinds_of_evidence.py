"""Evidence of every predicate type: what is taken, what is refused, and what decisions see of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from carnet.attesting.statement import Options, make_statement
from carnet.errors import (
    KeyUntrustedError,
    MessageTooLargeError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.references import ResourceName
from carnet.signing.dsse import MAX_ENVELOPE_BYTES, PAYLOAD_TYPE, sign_payload
from carnet.signing.statement import Statement, sign_statement
from carnet_server.evidence.believed import trusted_attestations
from tests.support.registry import EVALUATOR, SYNC

NAME = ResourceName("risk", "fraud", 1)
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SVR = "https://in-toto.io/attestation/svr/v0.2"
SCAI = "https://in-toto.io/attestation/scai/v0.3"
PROVENANCE = "https://slsa.dev/provenance/v1"
UNKNOWN = "https://example.org/x"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BUILT = {
    "buildDefinition": {"buildType": "https://example.org/training/v1", "externalParameters": {}},
    "runDetails": {"builder": {"id": "b"}, "metadata": {"finishedOn": "2026-03-01T12:00:00Z"}},
}


def grant(registry, *kinds):
    """Let the evaluator sign evidence of some types."""
    keys = registry.trust_document()["keys"]
    (entry,) = (each for each in keys if each["subject"] == EVALUATOR)
    entry["evidence"] = [{"role": "evaluator", "type": kind} for kind in kinds]
    registry.trust_anew(keys=keys)


def sign(registry, manifest, kind, predicate, *, key=None, name=None, digest=None):
    statement = Statement(name or manifest.subject_name, digest or manifest.digest, kind, predicate)
    return sign_statement(statement, key or registry.evaluator).to_bytes()


async def add(registry, data, *, by=EVALUATOR):
    return (await registry.evidence.add(registry.caller(by), NAME, data)).evidence


async def facts(registry, manifest):
    return await registry.database.read(
        lambda c: trusted_attestations(
            c,
            "risk",
            manifest.digest,
            trust=registry.state.trust.current,
            own_key=registry.state.signing_key.verification_key,
        )
    )


SCAN = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {"driver": {"name": "bandit"}},
            "invocations": [{"executionSuccessful": True, "endTimeUtc": "2026-03-01T12:00:00Z"}],
            "results": [{"ruleId": "B101", "level": "warning"}],
        }
    ],
}
FAIRNESS = {
    "properties": [{"name": "demographic-parity", "result": "FAILED"}],
    "metrics": [{"name": "gap", "value": 0.3, "direction": "lower_is_better", "sample_count": 900}],
    "finished_at": "2026-03-01T12:00:00Z",
}


@pytest.mark.parametrize(
    ("document", "kind", "suite", "result", "figures"),
    [
        (
            SCAN,
            "sarif",
            "security-scan",
            "PASSED",
            {"findings": (1.0, None)},
        ),
        (FAIRNESS, "fairness", "fairness", "FAILED", {"gap": (0.3, 900)}),
    ],
)
async def test_a_scan_and_a_report_of_properties_are_seen_with_suite_result_and_figures(
    registry, document, kind, suite, result, figures
):
    manifest = await registry.add_version(1)
    grant(registry, SVR)
    statement = make_statement(
        json.dumps(document).encode(),
        name="report.json",
        kind=kind,
        options=Options(),
        subject_name=manifest.subject_name,
        subject_digest=manifest.digest,
    )
    added = await add(registry, sign_statement(statement, registry.evaluator).to_bytes())
    assert (added.suite, added.result, added.trusted) == (suite, result, True)
    (seen,) = await facts(registry, manifest)
    assert (seen.predicate_type, seen.suite, seen.result, seen.time) == (SVR, suite, result, NOON)
    measured = {each.name: (each.value, each.sample_count) for each in seen.metrics if each.value}
    assert measured == figures


@pytest.mark.parametrize(
    ("kind", "predicate", "result", "time"),
    [
        (
            SVR,
            {
                "verifier": {"id": "v", "policies": []},
                "timeCreated": "2026-03-01T12:00:00Z",
                "properties": ["A"],
            },
            "PASSED",
            NOON,
        ),
        (
            SVR,
            {
                "verifier": {"id": "v", "policies": []},
                "timeCreated": "2026-03-01T12:00:00Z",
                "properties": [],
            },
            "FAILED",
            NOON,
        ),
        (SCAI, {"attributes": [{"attribute": "A"}]}, "", None),
        (PROVENANCE, BUILT, "", NOON),
        (UNKNOWN, {"result": "PASSED", "anything": [{}, None, 1.5]}, "", None),
    ],
)
async def test_what_other_tools_signed_is_taken_as_it_is(registry, kind, predicate, result, time):
    manifest = await registry.add_version(1)
    grant(registry, kind)
    data = sign(registry, manifest, kind, predicate, name="the-name-that-a-builder-gave")
    foreign = json.dumps(json.loads(data) | {"vendor": "x"}, indent=1).encode()
    added = await add(registry, foreign)
    assert added.envelope == foreign
    (seen,) = await facts(registry, manifest)
    assert (seen.suite, seen.result, seen.time, seen.metrics) == ("", result, time, ())


BAD = [
    (SVR, {"timeCreated": "2026-03-01T12:00:00Z", "properties": []}, "verifier"),
    (SVR, {"verifier": {"id": "v", "policies": []}, "properties": ["A"]}, "timeCreated"),
    (
        SVR,
        {
            "verifier": {"id": "v", "policies": []},
            "timeCreated": "2026-03-01T12:00:00Z",
            "properties": ["A"],
            "carnet_result": "PASSED",
            "carnet_checks": [{"name": "a", "result": "FAILED"}],
        },
        "carnet_result",
    ),
    (SCAI, {}, "attributes"),
    (PROVENANCE, BUILT | {"runDetails": {}}, "runDetails.builder"),
    (TEST_RESULT, {"result": "PASSED"}, "configuration"),
]


@pytest.mark.parametrize(("kind", "predicate", "field"), BAD)
async def test_a_predicate_that_breaks_the_schema_of_its_type_is_refused_by_field(
    registry, kind, predicate, field
):
    manifest = await registry.add_version(1)
    grant(registry, kind)
    size, held = registry.log.size, await registry.count("evidence")
    with pytest.raises(StatementInvalidError) as caught:
        await add(registry, sign(registry, manifest, kind, predicate))
    assert caught.value.metadata["field"] == field
    assert (registry.log.size, await registry.count("evidence")) == (size, held)


@pytest.mark.parametrize("kind", [SVR, SCAI, PROVENANCE, UNKNOWN])
async def test_a_signer_counts_only_for_the_types_that_are_granted(registry, kind):
    manifest = await registry.add_version(1)
    data = sign(registry, manifest, kind, BUILT)
    with pytest.raises(KeyUntrustedError, match="not trusted here to attest"):
        await add(registry, data)
    with pytest.raises(KeyUntrustedError, match="signed by nobody"):
        await add(registry, sign(registry, manifest, kind, BUILT, key=registry.stranger))
    kept = await add(registry, data, by=SYNC)
    assert (kept.trusted, kept.result) == (False, "")
    assert await facts(registry, manifest) == []


@pytest.mark.parametrize("kind", ["urn:carnet:approval:v1", "urn:carnet:dossier:v1", "urn:carnet:release:v1"])
async def test_a_statement_of_a_promotion_is_no_evidence_even_from_a_signer_that_is_granted_it(
    registry, kind
):
    manifest = await registry.add_version(1)
    grant(registry, kind)
    with pytest.raises(StatementInvalidError, match="no evidence"):
        await add(registry, sign(registry, manifest, kind, {}))


async def test_evidence_about_several_subjects_or_another_digest_is_refused(registry):
    manifest = await registry.add_version(1)
    grant(registry, PROVENANCE)
    with pytest.raises(StatementInvalidError, match="is about the bundle"):
        await add(registry, sign(registry, manifest, PROVENANCE, BUILT, digest="a" * 64))
    subjects = [{"name": "a", "digest": {"sha256": each}} for each in (manifest.digest, "a" * 64)]
    whole = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": PROVENANCE,
        "predicate": BUILT,
    }
    envelope = sign_payload(json.dumps(whole).encode(), PAYLOAD_TYPE, registry.evaluator)
    with pytest.raises(StatementInvalidError, match="exactly one subject"):
        await add(registry, envelope.to_bytes())


@pytest.mark.parametrize(("depth", "taken"), [(50, True), (70, False)])
async def test_depth_is_bounded(registry, depth, taken):
    manifest = await registry.add_version(1)
    grant(registry, UNKNOWN)
    nested = {}
    for _ in range(depth):
        nested = {"x": nested}
    data = sign(registry, manifest, UNKNOWN, nested)
    if taken:
        assert (await add(registry, data)).trusted
    else:
        with pytest.raises(StatementInvalidError, match="nested deeper"):
            await add(registry, data)


async def test_size_is_bounded_and_a_bad_signature_by_a_known_key_is_told_apart(registry):
    manifest = await registry.add_version(1)
    grant(registry, UNKNOWN)
    with pytest.raises(MessageTooLargeError):
        await add(registry, sign(registry, manifest, UNKNOWN, {"x": "y" * MAX_ENVELOPE_BYTES}))
    forged = json.loads(sign(registry, manifest, UNKNOWN, {"x": 1}))
    forged["signatures"] = json.loads(sign(registry, manifest, UNKNOWN, {"x": 2}))["signatures"]
    with pytest.raises(SignatureInvalidError):
        await add(registry, json.dumps(forged).encode())
