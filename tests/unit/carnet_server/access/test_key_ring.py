"""Keys of one-time certificates: whose are believed, for what, and why the others are not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from carnet.errors import DocumentInvalidError, KeyUntrustedError
from carnet.signing.dsse import Envelope, Signature, pae, sign_payload, verify_envelope
from carnet.signing.keys import SigningKey
from carnet_server.access.trust import load_trust
from tests.support.job_certificates import GITHUB, JOB, JobAuthority

AUTHORITY = JobAuthority()
NOW = datetime.now(UTC)
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
JOBS = {
    "issuer": GITHUB,
    "claims": {"repository": "acme/fraud"},
    "purposes": ["bundle"],
    "evidence": [{"role": "evaluator", "type": TEST_RESULT}],
    "namespaces": ["risk"],
}


def load(authority=None, **fields):
    named = {"environment": "dev", "certificate": AUTHORITY.pem, "signers": [JOBS]} | (authority or {})
    document = {
        "schema": "carnet.trust/v1",
        "environment": "dev",
        "version": 1,
        "people": [{"name": "alice", "claims": [{"issuer": GITHUB, "claims": {"actor": "alice-acme"}}]}],
        "authorities": [named],
    } | fields
    return load_trust(yaml.safe_dump(document).encode(), environment="dev")


def envelope(signer=None):
    return sign_payload(b"{}", "application/json", signer or AUTHORITY.signer())


def refusal(trust, signed, purpose="bundle"):
    ring = trust.ring(NOW).with_certificates_of(signed)
    with pytest.raises(KeyUntrustedError) as refused:
        verify_envelope(signed, ring.for_purposes(purpose))
    return ring.say_why(refused.value, signed).message


def test_a_jobs_key_is_believed_for_what_its_claims_are_granted():
    signed = envelope()
    trust = load()
    ring = trust.ring(NOW).with_certificates_of(signed)
    key_id = verify_envelope(signed, ring.for_purposes("bundle"))
    key = ring.key(key_id)
    assert (key.subject, key.person, key.token.issuer) == (JOB.subject, "alice", GITHUB)
    assert key.covers("risk")
    assert not key.covers("growth")
    assert set(ring.for_evidence(TEST_RESULT, "risk")) == {key_id}
    assert ring.for_purposes("request") == ring.for_evidence(TEST_RESULT, "growth") == {}
    assert trust.ring(NOW).key(key_id) is None


def test_it_is_believed_long_after_the_certificate_has_ended():
    signed = envelope(AUTHORITY.signer(now=NOW - timedelta(hours=20)))
    ring = load().ring(NOW).with_certificates_of(signed)
    assert verify_envelope(signed, ring.for_purposes("bundle"))


def test_a_key_that_leaked_later_signs_nothing_else():
    signer = AUTHORITY.signer()
    envelope(signer)
    key, certificate = signer.last
    payload = b'{"forged":true}'
    signature = key.sign(pae(payload, "application/json"))
    forged = Envelope(payload, "application/json", (Signature(key.key_id, signature, certificate.pem),))
    assert "is for another payload" in refusal(load(), forged)


@pytest.mark.parametrize(
    ("authority", "fields", "why"),
    [
        ({"certificate": JobAuthority().pem}, {}, "no signature is by a key that is trusted here"),
        ({"signers": [JOBS | {"claims": {"repository": "acme/other"}}]}, {}, "none of its signers"),
        ({"signers": [JOBS | {"issuer": "https://gitlab.com"}]}, {"people": []}, "none of its signers"),
        ({"valid_until": NOW - timedelta(hours=1)}, {}, "was believed until"),
        ({"valid_from": NOW + timedelta(hours=1)}, {}, "is believed from"),
        (
            {},
            {"revoked": [{"subject": JOB.subject, "since": NOW, "reason": "the runner was broken into"}]},
            "is revoked here",
        ),
    ],
)
def test_whom_nothing_is_believed_of_is_told_why(authority, fields, why):
    assert why in refusal(load(authority, **fields), envelope())


def test_a_revoked_certificate_and_a_revoked_key_are_not_believed():
    signer = AUTHORITY.signer()
    signed = envelope(signer)
    key, certificate = signer.last
    for name in (
        {"serial": certificate.serial},
        {"fingerprint": certificate.fingerprint},
        {"key": key.key_id},
    ):
        assert "is revoked here" in refusal(load(revoked=[name | {"since": NOW, "reason": "leak"}]), signed)


def test_a_certificate_adds_nothing_to_a_key_that_is_known_by_itself():
    signer = AUTHORITY.signer()
    signed = envelope(signer)
    key, _ = signer.last
    known = {"subject": "spiffe://carnet.test/service/ci", "pem": key.verification_key.pem}
    assert load(keys=[known]).ring(NOW).with_certificates_of(signed).key(key.key_id).purposes == set()


def test_a_certificate_of_another_form_adds_nothing():
    signed = envelope(SigningKey.generate())
    odd = Envelope(
        signed.payload,
        signed.payload_type,
        (Signature(signed.signatures[0].keyid, signed.signatures[0].sig, b"no certificate"),),
    )
    assert "not a one-time signing certificate" in refusal(load(), odd)


@pytest.mark.parametrize(
    ("authority", "message"),
    [
        ({"environment": "staging"}, "neither this environment nor a peer"),
        ({"certificate": "no certificate"}, "authorities[0].certificate"),
        ({"signers": []}, "authorities[0].signers"),
        ({"signers": [JOBS | {"claims": {"repository": "*"}}]}, "'*' alone means everybody"),
        ({"signers": [JOBS | {"purposes": ["approval"]}]}, "authorities[0].signers[0].purposes"),
    ],
)
def test_an_authority_that_cannot_be_meant_is_refused(authority, message):
    with pytest.raises(DocumentInvalidError) as refused:
        load(authority)
    assert message in refused.value.message
