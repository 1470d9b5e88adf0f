"""One-time certificates from a running registry, and what its calls say of keys, over real TLS and real tokens."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.canonical import sha256_hex
from carnet.client.federation import Federation
from carnet.errors import (
    CarnetError,
    InvalidInputError,
    KeyUntrustedError,
    MessageTooLargeError,
    PermissionDeniedError,
    PreconditionFailedError,
    ResourceExhaustedError,
    UnauthenticatedError,
)
from carnet.registry.v1 import identity_pb2
from carnet.signing.certificate import read_signing_certificate, require_payload
from carnet.signing.keys import VerificationKey
from carnet.translog.entry import EntryType
from carnet_server.identity.quota import CERTIFICATES_PER_MINUTE
from carnet_server.local.initialise import initialise
from tests.integration.test_identity import PLAN, House, revoke
from tests.support.oidc import Issuer, github_claims

READER = PLAN.identities[0].subject
DATA = b"what is to be signed"
CLAIMS = {"repository": "acme/fraud"}


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture
async def house(tmp_path, issuer):
    initialise(tmp_path / "carnet", base_port=0, plan=PLAN)
    house = House(tmp_path / "carnet")
    house.configure(bearer_listen="127.0.0.1:0")
    house.change(
        oidc=[{"issuer": issuer.url, "audience": "carnet-dev"}],
        roles=[
            {"issuer": issuer.url, "claims": CLAIMS, "roles": ["publisher"]},
            {"subject": READER, "roles": ["auditor"]},
        ],
    )
    await house.start()
    yield house
    await house.stop()


def request_for(key, payload=DATA):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    data = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return identity_pb2.IssueCertificateRequest(certificate_request=data, payload_digest=sha256_hex(payload))


async def issue(connection, request=None):
    request = request or request_for(ec.generate_private_key(ec.SECP256R1()))
    return await connection.call(connection.identity.IssueCertificate, request, deadline_seconds=5)


def job(house, issuer, **claims):
    return house.connect_by_token(issuer.token(github_claims(**claims)))


async def test_a_token_gets_a_certificate_for_one_payload_and_its_entry_is_in_the_log(house, issuer):
    key = ec.generate_private_key(ec.SECP256R1())
    answer = await issue(job(house, issuer), request_for(key))
    certificate = read_signing_certificate(answer.certificate_chain)
    assert certificate.key == VerificationKey(key.public_key())
    assert certificate.subject == answer.subject
    assert answer.subject.endswith(":repo:acme/fraud:environment:prod")
    assert certificate.expires_at.timestamp() == answer.expires_at.seconds
    assert certificate.claims["ref"] == ("refs/heads/main",)
    assert not {"jti", "iat", "exp", "nbf", "aud"} & certificate.claims.keys()
    pinned = Federation.load(house.folder).environment("dev").authority
    assert pinned.issued(certificate)
    require_payload(certificate, DATA)
    with pytest.raises(KeyUntrustedError, match="another payload"):
        require_payload(certificate, DATA + b".")
    entry = (await house.entries())[answer.log_index]
    assert (entry.type, entry.envelope_digest) == (
        EntryType.CERTIFICATE_ISSUED,
        sha256_hex(certificate.pem),
    )
    assert (entry.actor.subject, entry.actor.method) == (answer.subject, "oidc")


async def test_a_client_certificate_gets_none(house):
    with pytest.raises(PreconditionFailedError, match="calls by certificate"):
        await issue(house.connect())


@pytest.mark.parametrize(
    ("request_fields", "error"),
    [
        ({"certificate_request": b"\x30\x03\x02\x01\x00"}, InvalidInputError),
        ({"certificate_request": b"\x30" * 5000}, MessageTooLargeError),
        ({"payload_digest": "nonsense"}, InvalidInputError),
        ({"payload_digest": ""}, InvalidInputError),
    ],
)
async def test_a_bad_request_is_refused_and_writes_nothing(house, issuer, request_fields, error):
    request = request_for(ec.generate_private_key(ec.SECP256R1()))
    for field, value in request_fields.items():
        setattr(request, field, value)
    before = len(await house.entries())
    with pytest.raises(error):
        await issue(job(house, issuer), request)
    assert len(await house.entries()) == before


async def test_who_has_no_role_is_revoked_or_comes_late_gets_none(house, issuer):
    with pytest.raises(PermissionDeniedError):
        await issue(job(house, issuer, repository="acme/evil"))
    with pytest.raises(UnauthenticatedError):
        await issue(job(house, issuer, exp=int(time.time()) - 3600))
    subject = (await issue(job(house, issuer))).subject
    house.change(revoked=[revoke(subject=subject)])
    await house.look()
    with pytest.raises(UnauthenticatedError, match="is revoked"):
        await issue(job(house, issuer))
    issued = [each for each in await house.entries() if each.type is EntryType.CERTIFICATE_ISSUED]
    assert len(issued) == 1


async def test_a_token_cannot_fill_the_log(house, issuer):
    flooding = job(house, issuer)
    for _ in range(CERTIFICATES_PER_MINUTE):
        await issue(flooding)
    with pytest.raises(ResourceExhaustedError, match="120 certificates within a minute"):
        await issue(job(house, issuer))
    issued = [each for each in await house.entries() if each.type is EntryType.CERTIFICATE_ISSUED]
    assert len(issued) == CERTIFICATES_PER_MINUTE


async def test_a_registry_without_an_authority_says_how_to_have_one(house, issuer):
    await house.app.stop(grace_seconds=0)
    house.configure(signing_authority=None)
    await house.start()
    with pytest.raises(PreconditionFailedError, match="signing_authority"):
        await issue(job(house, issuer))


async def test_what_a_key_touched_is_listed_for_auditors_and_a_bad_question_is_typed(house, issuer):
    auditor = house.connect()
    method = auditor.identity.ListKeyUses
    asked = identity_pb2.ListKeyUsesRequest(key_id="a" * 64)
    assert not (await auditor.call(method, asked)).uses
    for bad in (
        {},
        {"key_id": "a" * 64, "subject": "x"},
        {"key_id": "x"},
        {"subject": "x", "page_token": "?"},
    ):
        with pytest.raises(CarnetError) as caught:
            await auditor.call(method, identity_pb2.ListKeyUsesRequest(**bad))
        assert isinstance(caught.value, InvalidInputError)
    publisher = job(house, issuer)
    with pytest.raises(PermissionDeniedError):
        await publisher.call(publisher.identity.ListKeyUses, asked)
