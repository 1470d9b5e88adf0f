"""What is asked of whoever wants a certificate, and what is written of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from carnet.canonical import sha256_hex
from carnet.errors import (
    CarnetError,
    InvalidInputError,
    KeyUntrustedError,
    MessageTooLargeError,
    PreconditionFailedError,
    ResourceExhaustedError,
)
from carnet.serving.callers.claims import Token
from carnet.signing.certificate import SigningAuthority, read_signing_certificate
from carnet.signing.keys import VerificationKey
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.access.identity import Caller
from carnet_server.identity.issuing import (
    MAX_CLAIMS_BYTES,
    IssuingService,
    facts_of,
    read_certificate_request,
)
from carnet_server.identity.quota import CertificateQuota
from carnet_server.identity.signing_authority import FollowedAuthority
from carnet_server.local.authority import Authority

ISSUER = "https://token.actions.githubusercontent.com"
JOB = "oidc:token.actions.githubusercontent.com:repo:acme/fraud:environment:prod"
PAYLOAD = sha256_hex(b"what is to be signed")


def request_for(key=None, *, name=()):
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def a_token(**claims):
    values = {"repository": ("acme/fraud",), "ref": ("refs/heads/main",), **claims}
    return Token(JOB, ISSUER, values, 0.0)


@pytest.fixture
def followed(tmp_path):
    authority = Authority.create_for_signing("dev")
    authority.save_for_signing(tmp_path)
    config = SimpleNamespace(
        certificate=tmp_path / "signing-authority.pem",
        key=tmp_path / "signing-authority-key.pem",
        valid_for=timedelta(minutes=10),
    )
    return FollowedAuthority(config)


@pytest.fixture
def issue(registry, followed):
    service = IssuingService(registry.state, registry.writer, followed, quota=CertificateQuota(per_minute=3))

    async def issue(request=None, payload=PAYLOAD, *, token=None, by=service):
        token = token or a_token()
        trust = registry.state.trust.current
        caller = Caller(token.subject, None, token.issuer, "oidc", trust, token)
        return await by.issue(caller, request_for() if request is None else request, payload)

    return issue


async def test_a_certificate_says_what_the_token_said_and_its_entry_is_in_the_log(registry, issue, followed):
    key = ec.generate_private_key(ec.SECP384R1())
    token = a_token(
        jti=("1",), aud=("carnet",), exp=("9",), iat=("1",), nbf=("1",), nonce=("n",), at_hash=("h",)
    )
    issued = await issue(request_for(key), token=token)
    found = read_signing_certificate(issued.certificate.pem)
    assert found.key == VerificationKey(key.public_key())
    assert (found.subject, found.issuer, found.payload_digest) == (JOB, ISSUER, PAYLOAD)
    assert found.claims == {"repository": ("acme/fraud",), "ref": ("refs/heads/main",)}
    assert timedelta(minutes=10) <= found.expires_at - found.issued_at <= timedelta(minutes=11)
    ((_, data, _),) = await registry.log.entries(issued.log_index, 1)
    entry = parse_entry(data)
    assert entry.type is EntryType.CERTIFICATE_ISSUED
    assert (entry.actor.subject, entry.actor.issuer, entry.actor.method) == (JOB, ISSUER, "oidc")
    assert entry.subject == {"key": found.key.key_id}
    assert entry.envelope_digest == sha256_hex(found.pem)


async def test_what_the_request_says_of_itself_is_not_looked_at(issue):
    name = [x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "the administrator")]
    issued = await issue(request_for(name=name))
    assert issued.certificate.subject == JOB
    assert b"administrator" not in issued.certificate.pem


async def test_a_caller_by_certificate_gets_none(registry, followed):
    service = IssuingService(registry.state, registry.writer, followed)
    before = len(await registry.entries())
    with pytest.raises(PreconditionFailedError, match="calls by certificate"):
        await service.issue(registry.caller("spiffe://carnet.test/service/ci"), request_for(), PAYLOAD)
    assert len(await registry.entries()) == before


async def test_an_environment_without_an_authority_says_how_to_have_one(registry, issue):
    with pytest.raises(PreconditionFailedError, match="`signing_authority`"):
        await issue(by=IssuingService(registry.state, registry.writer, None))


async def test_a_subject_is_given_so_many_within_a_minute_and_another_goes_on(registry, issue):
    for _ in range(3):
        await issue()
    before = len(await registry.entries())
    with pytest.raises(ResourceExhaustedError, match="3 certificates within a minute"):
        await issue()
    assert len(await registry.entries()) == before
    await issue(token=Token(f"{JOB}-2", ISSUER, {"ref": ("x",)}))


async def test_a_revoked_key_is_certified_for_nobody(registry, issue):
    key = ec.generate_private_key(ec.SECP256R1())
    key_id = VerificationKey(key.public_key()).key_id
    registry.trust_anew(revoked=[{"key": key_id, "since": "2026-01-01T00:00:00Z", "reason": "lost"}])
    with pytest.raises(KeyUntrustedError, match="revoked"):
        await issue(request_for(key))


def damaged():
    data = bytearray(request_for())
    data[-1] ^= 1
    return bytes(data)


def swapped():
    """A request with the key of one and the signature of another."""
    mine, theirs = request_for(), request_for()
    for _ in range(50):
        if len(mine) == len(theirs):
            break
        theirs = request_for()
    at = mine.index(b"\x03\x42\x00") + 3
    return mine[:at] + theirs[at : at + 65] + mine[at + 65 :]


@pytest.mark.parametrize(
    ("request_bytes", "said"),
    [
        (b"", "not a PKCS #10 request"),
        (b"\x30\x80", "not a PKCS #10 request"),
        (request_for() + b"\x00", "not a PKCS #10 request"),
        (damaged(), "not signed with the key|not a PKCS #10 request"),
        (swapped(), "not signed with the key|not a PKCS #10 request"),
        (request_for(rsa.generate_private_key(65537, 2048)), "no ECDSA key"),
        (request_for(ec.generate_private_key(ec.SECP256K1())), "certificate_request: "),
    ],
    ids=["empty", "cut", "longer", "damaged", "another key", "rsa", "another curve"],
)
def test_a_bad_request_is_refused(request_bytes, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        read_certificate_request(request_bytes)
    assert caught.value.metadata["field"] == "certificate_request"


def test_a_request_that_is_too_long_is_not_read():
    with pytest.raises(MessageTooLargeError, match="4097 bytes"):
        read_certificate_request(b"\x30" * 4097)


@pytest.mark.parametrize("payload", ["", "short", "A" * 64, "g" * 64, "a" * 65])
async def test_a_digest_of_another_form_is_refused(issue, payload):
    with pytest.raises(InvalidInputError, match="payload_digest"):
        await issue(payload=payload)


def test_claims_that_are_too_long_are_refused_with_their_size():
    with pytest.raises(MessageTooLargeError, match="have 82[0-9][0-9] bytes"):
        facts_of(a_token(groups=("g" * (MAX_CLAIMS_BYTES - 20),)))
    assert facts_of(a_token(aud=("a" * MAX_CLAIMS_BYTES,))).claims.keys() == {"repository", "ref"}


def test_claims_that_are_no_text_are_refused_with_a_typed_error():
    with pytest.raises(CarnetError):
        facts_of(a_token(weird=("\ud800",)))


# --- the authority ----------------------------------------------------------------------------------------


def config_of(folder, **changes):
    values = {
        "certificate": folder / "signing-authority.pem",
        "key": folder / "signing-authority-key.pem",
        "valid_for": timedelta(minutes=10),
    }
    return SimpleNamespace(**values | changes)


def issue_with(followed, **changes):
    key = VerificationKey(ec.generate_private_key(ec.SECP256R1()).public_key())
    return followed.issue(key, facts_of(a_token()), PAYLOAD, **{"now": datetime.now(UTC), **changes})


def test_a_renewed_authority_is_taken_without_a_restart_and_the_old_certificates_are_its_too(tmp_path):
    first = Authority.create_for_signing("dev", now=datetime.now(UTC) - timedelta(days=364))
    first.save_for_signing(tmp_path)
    followed = FollowedAuthority(config_of(tmp_path))
    before = issue_with(followed)
    renewed = first.renewed()
    (tmp_path / "signing-authority.pem").write_text(renewed.pem)
    later = datetime.now(UTC) + timedelta(days=30)
    after = issue_with(followed, now=later)
    pinned = SigningAuthority.from_pem(renewed.pem)
    assert pinned.issued(before)
    assert pinned.issued(after)
    assert not SigningAuthority.from_pem(first.pem).issued(after)


def test_files_that_do_not_fit_are_not_used_and_the_last_good_ones_stay(tmp_path, caplog):
    Authority.create_for_signing("dev").save_for_signing(tmp_path)
    followed = FollowedAuthority(config_of(tmp_path))
    pinned = SigningAuthority.from_pem((tmp_path / "signing-authority.pem").read_text())
    (tmp_path / "signing-authority.pem").write_text(Authority.create_for_signing("dev").pem)
    assert pinned.issued(issue_with(followed))
    assert pinned.issued(issue_with(followed))
    assert [each.levelname for each in caplog.records] == ["ERROR"]


def test_an_authority_that_has_ended_certifies_nothing(tmp_path):
    ended = datetime.now(UTC) - timedelta(days=366)
    Authority.create_for_signing("dev", now=ended).save_for_signing(tmp_path)
    with pytest.raises(PreconditionFailedError, match="--renew"):
        issue_with(FollowedAuthority(config_of(tmp_path)))


@pytest.mark.parametrize("broken", ["certificate", "key", "no authority", "another key", "missing"])
def test_a_registry_does_not_start_with_an_authority_that_is_none(tmp_path, broken):
    Authority.create_for_signing("dev").save_for_signing(tmp_path)
    certificate, key = tmp_path / "signing-authority.pem", tmp_path / "signing-authority-key.pem"
    if broken == "no authority":
        Authority.create("carnet.test").issue(tmp_path / "leaf", spiffe_id="spiffe://carnet.test/service/ci")
        certificate, key = tmp_path / "leaf" / "tls.pem", tmp_path / "leaf" / "tls-key.pem"
    elif broken == "another key":
        Authority.create_for_signing("dev").save_for_signing(tmp_path / "other")
        key = tmp_path / "other" / "signing-authority-key.pem"
    elif broken == "missing":
        key.unlink()
    else:
        {"certificate": certificate, "key": key}[broken].write_text("nonsense")
    with pytest.raises(InvalidInputError):
        FollowedAuthority(config_of(tmp_path, certificate=certificate, key=key))


# --- the quota --------------------------------------------------------------------------------------------


def test_the_quota_is_of_the_last_minute_and_is_forgotten_afterwards():
    now = [100.0]
    quota = CertificateQuota(per_minute=2, clock=lambda: now[0])
    quota.take("a")
    now[0] += 30
    quota.take("a")
    quota.take("b")
    with pytest.raises(ResourceExhaustedError, match="in 30 seconds"):
        quota.take("a")
    now[0] += 30
    quota.take("a")
    with pytest.raises(ResourceExhaustedError):
        quota.take("a")
    now[0] += 61
    quota.take("c")
    assert list(quota._given) == ["c"]
