"""One-time signing certificates: their form, whom they are for, and the one payload that they are good for."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import sha256_hex
from carnet.errors import CarnetError, InvalidInputError, KeyUntrustedError, SignatureInvalidError
from carnet.signing.certificate import (
    CLAIMS_OID,
    SigningAuthority,
    TokenFacts,
    read_signing_certificate,
    require_payload,
)
from carnet.signing.dsse import parse_envelope, sign_payload, verify_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import read_model_signature, sign_model, verify_model_signature
from tests.support.job_certificates import GITHUB, JOB, JobAuthority

AUTHORITY = JobAuthority()
KEY = SigningKey.generate().verification_key
DIGEST = sha256_hex(b"what is signed")


def test_it_says_whom_it_is_for_and_what():
    made = AUTHORITY.issue(KEY, DIGEST)
    assert (made.key, made.subject, made.issuer, made.claims) == (KEY, JOB.subject, GITHUB, dict(JOB.claims))
    assert made.payload_digest == DIGEST
    assert timedelta(minutes=9) < made.expires_at - made.issued_at <= timedelta(minutes=11)
    assert read_signing_certificate(made.pem) == made


def test_only_the_authority_that_issued_it_vouches_for_it():
    made = AUTHORITY.issue(KEY, DIGEST)
    assert SigningAuthority.from_pem(AUTHORITY.pem).issued(made)
    assert not SigningAuthority.from_pem(JobAuthority().pem).issued(made)


def test_it_is_for_one_payload():
    made = AUTHORITY.issue(KEY, DIGEST)
    require_payload(made, b"what is signed")
    with pytest.raises(KeyUntrustedError, match="another payload"):
        require_payload(made, b"what is signed later with the same key")


def test_an_envelope_carries_it_and_reads_back():
    envelope = sign_payload(b"{}", "application/json", AUTHORITY.signer())
    read = parse_envelope(envelope.to_bytes())
    assert read == envelope
    key = read_signing_certificate(read.signatures[0].cert).key
    assert verify_envelope(read, {key.key_id: key}) == key.key_id


def test_a_model_signature_carries_it_in_the_form_for_certificates():
    signature = sign_model("fraud", [("manifest.json", DIGEST)], AUTHORITY.signer())
    material = json.loads(signature)["verificationMaterial"]
    assert material.keys() == {"x509CertificateChain", "tlogEntries"}
    found = read_signing_certificate(read_model_signature(signature).signatures[0].cert)
    verified = verify_model_signature(signature, {found.key.key_id: found.key})
    assert verified.key_id == found.key.key_id


@pytest.mark.parametrize(
    "material",
    [
        {"x509CertificateChain": {"certificates": []}},
        {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}},
        {"x509CertificateChain": {"certificates": ["AAAA"]}},
        {"x509CertificateChain": {"certificates": [{}], "more": 1}},
        {"x509CertificateChain": 1},
        {"publicKey": {"hint": "a"}, "x509CertificateChain": {"certificates": []}},
        {},
    ],
)
def test_other_material_is_refused(material):
    signature = json.loads(sign_model("fraud", [("manifest.json", DIGEST)], AUTHORITY.signer()))
    signature["verificationMaterial"] = material | {"tlogEntries": []}
    with pytest.raises(SignatureInvalidError):
        read_model_signature(json.dumps(signature).encode())


def _builder(key):
    made = x509.load_pem_x509_certificate(AUTHORITY.issue(KEY, DIGEST).pem)
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(made.issuer)
        .public_key(key.public_key())
        .serial_number(made.serial_number)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
    )
    return builder, {each.oid.dotted_string: each for each in made.extensions}


def _signed(key, extensions, builder):
    for each in extensions.values():
        builder = builder.add_extension(each.value, each.critical)
    return builder.sign(AUTHORITY.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "left_out", ["2.5.29.19", "2.5.29.37", "2.5.29.17", CLAIMS_OID.dotted_string, "1.3.6.1.4.1.57264.1.8"]
)
def test_one_that_lacks_a_part_is_none(left_out):
    builder, extensions = _builder(ec.generate_private_key(ec.SECP256R1()))
    del extensions[left_out]
    with pytest.raises(SignatureInvalidError, match="not a one-time signing certificate"):
        read_signing_certificate(_signed(None, extensions, builder))


@pytest.mark.parametrize(
    "value", [b"", b"\x0c", b"\x0c\x05{}", b"\x04\x02{}", b"\x0c\x02[]", b'\x0c\x07{"a":1}']
)
def test_claims_of_another_form_are_refused(value):
    builder, extensions = _builder(ec.generate_private_key(ec.SECP256R1()))
    name = CLAIMS_OID.dotted_string
    extensions[name] = x509.Extension(CLAIMS_OID, False, x509.UnrecognizedExtension(CLAIMS_OID, value))
    with pytest.raises(SignatureInvalidError):
        read_signing_certificate(_signed(None, extensions, builder))


def test_a_key_of_another_kind_is_refused():
    builder, extensions = _builder(rsa.generate_private_key(65537, 2048))
    with pytest.raises(SignatureInvalidError, match="ECDSA"):
        read_signing_certificate(_signed(None, extensions, builder))


def test_the_certificate_of_an_authority_is_no_ones_for_signing_and_the_other_way_round():
    with pytest.raises(SignatureInvalidError):
        read_signing_certificate(AUTHORITY.pem.encode())
    with pytest.raises(InvalidInputError):
        SigningAuthority.from_pem(AUTHORITY.issue(KEY, DIGEST).pem)


def test_claims_may_be_long_and_of_any_script():
    token = TokenFacts(JOB.subject, GITHUB, {"title": ("ü" * 600, "…"), "short": ("",)})
    assert AUTHORITY.issue(KEY, DIGEST, token).claims == dict(token.claims)


@given(st.binary(max_size=300))
def test_no_bytes_make_another_error(data):
    for text in (
        data,
        b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(data) + b"\n-----END CERTIFICATE-----\n",
    ):
        with pytest.raises(CarnetError):
            read_signing_certificate(text)
        with pytest.raises(CarnetError):
            SigningAuthority.from_pem(text)
