"""Who is believed about what: pure rules over an envelope and a trust document."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import canonical_json
from carnet.errors import CarnetError, KeyUntrustedError, SignatureInvalidError, StatementInvalidError
from carnet.references import ResourceName
from carnet.signing.decision import Decision, PolicyReference, Verifier, verifier_id
from carnet.signing.dsse import PAYLOAD_TYPE, pae, sign_payload
from carnet.signing.keys import SigningKey
from carnet.signing.predicate import DigestSet
from carnet.signing.statement import Statement, sign_statement
from carnet.signing.test_result import MeasuredMetric, TestResult
from carnet.translog.keys import LogKey
from carnet_server.access.trust import load_trust
from carnet_server.evidence.assessment import assess, check_subject, require_trusted
from tests.support.bundles import make_manifest
from tests.support.registry import make_test_result

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

EVALUATOR, STAGING, PROD, OWN, STRANGER, PUBLISHER = (SigningKey.generate() for _ in range(6))
EVALUATOR_SUBJECT = "spiffe://carnet.test/service/evaluator"
MANIFEST = make_manifest()
NAME = ResourceName("risk", "fraud", 1)


def make_trust(*, namespaces=("*",), granted=TestResult.PREDICATE_TYPE):
    peers = [
        {
            "environment": name,
            "subject": f"spiffe://carnet.test/registry/{name}",
            "endpoint": "127.0.0.1:7402",
            "server_name": f"{name}.carnet.test",
            "signing_keys": [key.verification_key.pem],
            "log_key": LogKey.generate(f"carnet.test/{name}").verifier.vkey,
        }
        for name, key in (("staging", STAGING), ("prod", PROD))
    ]
    keys = [
        {
            "subject": EVALUATOR_SUBJECT,
            "pem": EVALUATOR.verification_key.pem,
            "evidence": [{"role": "evaluator", "type": granted}],
            "namespaces": list(namespaces),
        },
        {
            "subject": "spiffe://carnet.test/service/ci",
            "pem": PUBLISHER.verification_key.pem,
            "purposes": ["bundle"],
        },
    ]
    document = {
        "schema": "carnet.trust/v1",
        "environment": "dev",
        "version": 1,
        "keys": keys,
        "peers": peers,
    }
    return load_trust(yaml.safe_dump(document).encode(), environment="dev")


TRUST = make_trust()


def judge(data, *, namespace="risk", trust=TRUST):
    return assess(data, namespace=namespace, trust=trust, own_key=OWN.verification_key, at=NOW)


def make_decision(environment, key, result="PASSED"):
    decision = Decision(
        verifier=Verifier(id=verifier_id(environment)),
        time_verified="2026-03-01T12:00:00Z",
        resource_uri=f"urn:carnet:environment:{environment}/risk/fraud@1",
        policy=PolicyReference(uri="urn:carnet:policy:x", digest=DigestSet(sha256="0" * 64)),
        verification_result=result,
        verified_levels=(),
    )
    return decision.sign(MANIFEST.subject_name, MANIFEST.digest, key)


def test_a_trusted_evaluators_result_is_read_and_counts():
    envelope = make_test_result(
        MANIFEST,
        EVALUATOR,
        result="WARNED",
        finished_at="2026-03-01T12:00:00Z",
        metrics=(MeasuredMetric(name="roc_auc", value=0.98, direction="higher_is_better"),),
    )
    found = judge(envelope.to_bytes())
    assert found.trusted
    assert (found.digest, found.bundle_digest) == (envelope.digest, MANIFEST.digest)
    assert (found.signer.subject, found.signer.roles) == (EVALUATOR_SUBJECT, {"evaluator"})
    assert (found.content.suite, found.content.result) == ("evaluation", "WARNED")
    assert found.content.time.isoformat() == "2026-03-01T12:00:00+00:00"
    assert [metric.name for metric in found.content.metrics] == ["roc_auc"]
    require_trusted(found)


@pytest.mark.parametrize(
    ("key", "trust", "namespace", "subject"),
    [
        (STRANGER, TRUST, "risk", ""),
        (PUBLISHER, TRUST, "risk", "spiffe://carnet.test/service/ci"),
        (STAGING, TRUST, "risk", ""),
        (OWN, TRUST, "risk", ""),
        (EVALUATOR, make_trust(namespaces=("ads",)), "risk", EVALUATOR_SUBJECT),
        (EVALUATOR, make_trust(granted="urn:other"), "risk", EVALUATOR_SUBJECT),
    ],
)
def test_a_result_by_anybody_else_does_not_count_and_is_named(key, trust, namespace, subject):
    found = judge(make_test_result(MANIFEST, key).to_bytes(), namespace=namespace, trust=trust)
    assert not found.trusted
    assert found.signer.subject == subject
    assert found.signer.roles == frozenset()
    with pytest.raises(KeyUntrustedError, match="signed by"):
        require_trusted(found)


@pytest.mark.parametrize(
    ("claimed", "key", "trusted"),
    [
        ("staging", STAGING, True),
        ("prod", PROD, True),
        ("dev", OWN, True),
        ("prod", STAGING, False),
        ("dev", STAGING, False),
        ("staging", OWN, False),
        ("nowhere", STAGING, False),
        ("nowhere", OWN, False),
        ("staging", EVALUATOR, False),
        ("staging", STRANGER, False),
    ],
)
def test_an_environment_is_believed_about_its_own_decisions_only(claimed, key, trusted):
    found = judge(make_decision(claimed, key, "FAILED").to_bytes())
    assert found.trusted is trusted
    assert found.signer.environment == (claimed if trusted else "")
    assert found.content.result == "FAILED"


def test_a_key_that_is_granted_decisions_is_no_environment():
    trust = make_trust(granted=Decision.PREDICATE_TYPE)
    found = judge(make_decision("staging", EVALUATOR).to_bytes(), trust=trust)
    assert (found.trusted, found.signer.environment, found.signer.roles) == (True, "", {"evaluator"})


def test_a_signature_of_a_stranger_beside_a_trusted_one_does_no_harm():
    trusted = json.loads(make_test_result(MANIFEST, EVALUATOR).to_bytes())
    payload = make_test_result(MANIFEST, STRANGER).payload
    stranger = json.loads(sign_payload(payload, PAYLOAD_TYPE, STRANGER).to_bytes())
    publisher = json.loads(sign_payload(payload, PAYLOAD_TYPE, PUBLISHER).to_bytes())
    for more in (stranger, publisher):
        both = trusted | {"signatures": more["signatures"] + trusted["signatures"]}
        found = judge(canonical_json(both))
        assert (found.trusted, found.signer.subject) == (True, EVALUATOR_SUBJECT)


def test_a_bad_signature_that_names_a_known_key_is_refused_even_beside_a_good_one():
    envelope = json.loads(make_test_result(MANIFEST, EVALUATOR).to_bytes())
    forged = {"keyid": PUBLISHER.key_id, "sig": envelope["signatures"][0]["sig"]}
    for signatures in ([forged], [forged, *envelope["signatures"]]):
        with pytest.raises(SignatureInvalidError):
            judge(canonical_json(envelope | {"signatures": signatures}))


def test_a_changed_payload_is_refused():
    envelope = json.loads(make_test_result(MANIFEST, EVALUATOR, result="FAILED").to_bytes())
    better = json.loads(make_test_result(MANIFEST, EVALUATOR, result="PASSED").to_bytes())
    with pytest.raises(SignatureInvalidError):
        judge(canonical_json(envelope | {"payload": better["payload"]}))


def malformed(key):
    statement = Statement(
        MANIFEST.subject_name, MANIFEST.digest, TestResult.PREDICATE_TYPE, {"result": "SPLENDID"}
    )
    return sign_statement(statement, key).to_bytes()


def test_a_malformed_result_is_refused_from_a_trusted_signer_and_empty_from_another():
    with pytest.raises(StatementInvalidError, match="result"):
        judge(malformed(EVALUATOR))
    found = judge(malformed(STRANGER))
    assert (found.trusted, found.content.result) == (False, "")


def test_types_that_nobody_here_reads_have_no_result():
    statement = Statement("a model", MANIFEST.digest, "urn:other", {"result": "PASSED"})
    found = judge(sign_statement(statement, EVALUATOR).to_bytes(), trust=make_trust(granted="urn:other"))
    assert (found.trusted, found.content.result, found.content.suite) == (True, "", "")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 5000,
        canonical_json({"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": []}),
        sign_payload(b"not json", PAYLOAD_TYPE, EVALUATOR).to_bytes(),
        sign_payload(b"{}", "text/plain", EVALUATOR).to_bytes(),
        sign_payload(b'{"_type":"https://in-toto.io/Statement/v1"}', PAYLOAD_TYPE, EVALUATOR).to_bytes(),
    ],
)
def test_what_is_no_attestation_is_refused(data):
    with pytest.raises((SignatureInvalidError, StatementInvalidError)):
        judge(data)


@given(st.binary(max_size=200))
def test_garbage_gets_a_typed_error(data):
    with pytest.raises(CarnetError):
        judge(data)


@pytest.mark.parametrize(
    ("subject", "right"),
    [
        ("dev/risk/fraud@1", True),
        ("prod/risk/fraud@1", True),
        ("some model", True),
        ("fraud", True),
        ("dev/risk/fraud", True),
        ("dev/risk/fraud@champion", True),
        ("dev/risk/fraud@2", False),
        ("dev/ads/fraud@1", False),
        ("dev/risk/churn@1", False),
    ],
)
def test_a_subject_in_carnets_form_must_be_the_version(subject, right):
    statement = Statement(subject, MANIFEST.digest, "urn:other", {})
    found = judge(sign_statement(statement, STRANGER).to_bytes())
    if right:
        check_subject(found, NAME)
    else:
        with pytest.raises(StatementInvalidError, match="it was added to risk/fraud@1"):
            check_subject(found, NAME)


def test_the_signed_bytes_are_the_pae_of_the_payload():
    envelope = make_test_result(MANIFEST, EVALUATOR)
    EVALUATOR.verification_key.verify(pae(envelope.payload, PAYLOAD_TYPE), envelope.signatures[0].sig)
