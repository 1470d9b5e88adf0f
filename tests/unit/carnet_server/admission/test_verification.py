"""What is carried to the target is believed only as far as the right party signed it, about one promotion."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from carnet.canonical import sha256_hex
from carnet.errors import (
    CarnetError,
    DigestMismatchError,
    DocumentInvalidError,
    KeyUntrustedError,
    PermissionDeniedError,
    PreconditionFailedError,
    ProofInvalidError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.release import Release
from carnet.translog.entry import EntryType
from carnet_server.admission.domain import AdmissionInput
from carnet_server.admission.source_rules import check_nothing_withheld
from carnet_server.admission.verification import verify_input
from tests.unit.carnet_server.admission.parties import Parties, manifest_of, read, subject

OTHER = "ab" * 32
MAX_AGE = timedelta(minutes=10)


@pytest.fixture(scope="module")
def parties():
    return Parties()


@pytest.fixture
def brought(parties):
    """An input that is as it should be."""
    manifest = manifest_of()
    request = parties.request(manifest)
    return AdmissionInput(
        request=request,
        manifest=manifest.to_bytes(),
        signature=parties.signature(manifest),
        release=parties.release(request, manifest),
        source_receipt=parties.arrival(manifest),
    )


def verify(given, parties, *, trust=None, now=None):
    return verify_input(
        given,
        environment="staging",
        trust=trust or parties.trust("staging"),
        policy=SimpleNamespace(request_max_age=timedelta(days=30), release_max_age=MAX_AGE),
        now=now or datetime.now(UTC),
    )


def test_what_is_of_one_piece_is_verified_and_names_its_parties(brought, parties):
    verified = verify(brought, parties)
    assert verified.request.requester.subject == subject("ci")
    assert verified.publisher.person == "alice"
    assert verified.manifest.digest == verified.request.bundle_digest == sha256_hex(brought.manifest)
    assert verified.peer.environment == "dev"
    assert verified.release.digest == sha256_hex(brought.release)


REQUESTS = {
    "by a key that is unknown here": ({"by": "stranger"}, KeyUntrustedError),
    "by a key that is trusted for approvals only": ({"by": "carol"}, KeyUntrustedError),
    "by a key that is trusted for no request": ({"by": "dave"}, KeyUntrustedError),
    "for another environment": ({"target": "prod"}, StatementInvalidError),
    "from an environment that is no peer": ({"source": "prod"}, KeyUntrustedError),
    "about another bundle": ({"about": ("dev/risk/fraud@1", OTHER)}, DigestMismatchError),
    "about another home": ({"about": ("qa/risk/fraud@1", None)}, StatementInvalidError),
    "about another namespace": ({"namespace": "loans"}, StatementInvalidError),
}


@pytest.mark.parametrize(("changes", "error"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_refused(brought, parties, changes, error):
    manifest = manifest_of()
    if "about" in changes:
        name, digest = changes["about"]
        changes = changes | {"about": (name, digest or manifest.digest)}
    promotion = read(brought.request, PromotionRequest).promotion
    forged = parties.request(manifest, promotion=promotion, **changes)
    with pytest.raises(error):
        verify(replace(brought, request=forged), parties)


def test_a_requester_without_the_role_in_that_namespace_is_refused(parties):
    manifest = manifest_of(namespace="loans")
    request = parties.request(manifest, by="bob")
    given = AdmissionInput(
        request,
        manifest.to_bytes(),
        parties.signature(manifest),
        parties.release(request, manifest),
        parties.arrival(manifest),
    )
    with pytest.raises(PermissionDeniedError, match="role requester"):
        verify(given, parties)


def test_a_key_that_is_trusted_in_another_namespace_only_is_refused(brought, parties):
    keys = [
        {
            "subject": subject("ci"),
            "pem": parties.keys["ci"].verification_key.pem,
            "purposes": ["bundle", "request"],
            "namespaces": ["loans"],
        }
    ]
    with pytest.raises(KeyUntrustedError, match="namespace 'risk'"):
        verify(brought, parties, trust=parties.trust("staging", keys=keys))


def test_a_request_whose_payload_was_changed_is_refused(brought, parties):
    other = parties.request(manifest_of(), alias="champion")
    first, second = (data.split(b'"signatures"') for data in (brought.request, other))
    with pytest.raises(SignatureInvalidError):
        verify(replace(brought, request=second[0] + b'"signatures"' + first[1]), parties)


def test_another_manifest_is_refused(brought, parties):
    swapped = manifest_of(labels={"tier": "low"})
    with pytest.raises(DigestMismatchError):
        verify(replace(brought, manifest=swapped.to_bytes()), parties)


def test_a_manifest_that_is_not_canonical_is_refused(brought, parties):
    with pytest.raises(DocumentInvalidError):
        verify(replace(brought, manifest=brought.manifest + b"\n"), parties)


SIGNATURES = {
    "by nobody that may publish": ({"by": "bob"}, KeyUntrustedError),
    "by a stranger": ({"by": "stranger"}, KeyUntrustedError),
    "over other files": ({"files": [("evil.bin", OTHER)]}, StatementInvalidError),
    "over other contents": ({"files": [("model.bin", OTHER)]}, DigestMismatchError),
}


@pytest.mark.parametrize(("changes", "error"), SIGNATURES.values(), ids=SIGNATURES)
def test_a_model_signature_is_refused(brought, parties, changes, error):
    forged = parties.signature(manifest_of(), **changes)
    with pytest.raises(error):
        verify(replace(brought, signature=forged), parties)


RELEASES = {
    "by the requester": ({"by": "ci"}, KeyUntrustedError),
    "by the target itself": ({"by": "staging"}, KeyUntrustedError),
    "for another promotion": ({"promotion": "0" * 32}, StatementInvalidError),
    "for another target": ({"target": "prod"}, StatementInvalidError),
    "by another environment": ({"environment": "prod"}, StatementInvalidError),
    "of another namespace": ({"namespace": "loans"}, StatementInvalidError),
    "about another bundle": ({"about": ("dev/risk/fraud@1", OTHER)}, StatementInvalidError),
    "of another log": ({"log_origin": "carnet.test/prod"}, StatementInvalidError),
    "older than the arrival": ({"log_size": 0}, StatementInvalidError),
}


@pytest.mark.parametrize(("changes", "error"), RELEASES.values(), ids=RELEASES)
def test_a_release_statement_is_refused(brought, parties, changes, error):
    forged = parties.release(brought.request, manifest_of(), **changes)
    with pytest.raises(error):
        verify(replace(brought, release=forged), parties)


@pytest.mark.parametrize(
    ("later", "error"),
    [
        (timedelta(seconds=-55), None),
        (timedelta(seconds=-65), StatementInvalidError),
        (MAX_AGE - timedelta(seconds=1), None),
        (MAX_AGE + timedelta(seconds=1), PreconditionFailedError),
    ],
)
def test_a_release_statement_is_fresh(brought, parties, later, error):
    now = read(brought.release, Release).issued_at + later
    if error is None:
        assert verify(brought, parties, now=now).release.release.issued_at == now - later
    else:
        with pytest.raises(error):
            verify(brought, parties, now=now)


@pytest.mark.parametrize(
    ("age", "error"),
    [
        (timedelta(days=29), None),
        (timedelta(days=31), PreconditionFailedError),
        (timedelta(minutes=-2), StatementInvalidError),
    ],
    ids=["in time", "kept back for too long", "from the future"],
)
def test_a_request_may_not_be_kept_back_for_later(brought, parties, age, error):
    manifest = manifest_of()
    request = parties.request(manifest, requested_at=datetime.now(UTC) - age)
    old = replace(brought, request=request, release=parties.release(request, manifest))
    if error is None:
        assert verify(old, parties).manifest.digest == manifest.digest
    else:
        with pytest.raises(error):
            verify(old, parties)


def test_a_release_statement_that_says_revoked_is_verified_and_left_to_the_decision(brought, parties):
    revoked = parties.release(brought.request, manifest_of(), revoked=True)
    assert verify(replace(brought, release=revoked), parties).release.release.revoked


ARRIVALS = {
    "of another kind": ({"kind": EntryType.EVIDENCE_ADDED}, StatementInvalidError),
    "of another bundle": ({"bundle_digest": OTHER}, StatementInvalidError),
    "of another version": ({"version": 2}, StatementInvalidError),
    "of another model": ({"model": "credit"}, StatementInvalidError),
    "of another namespace": ({"namespace": "loans"}, StatementInvalidError),
    "of another environment": ({"environment": "prod"}, StatementInvalidError),
    "out of another log": ({"log": "staging"}, KeyUntrustedError),
}


@pytest.mark.parametrize(("changes", "error"), ARRIVALS.values(), ids=ARRIVALS)
def test_a_source_receipt_is_refused(brought, parties, changes, error):
    forged = parties.arrival(manifest_of(), **changes)
    with pytest.raises(error):
        verify(replace(brought, source_receipt=forged), parties)


def test_a_receipt_whose_entry_was_changed_is_refused(brought, parties):
    changed = brought.source_receipt.entry_bytes.replace(b'"version":1', b'"version":2')
    forged = replace(brought.source_receipt, entry_bytes=changed)
    with pytest.raises(ProofInvalidError):
        verify(replace(brought, source_receipt=forged), parties)


def test_evidence_that_the_source_holds_must_be_brought_or_be_here(parties):
    manifest = manifest_of()
    request = parties.request(manifest)
    kept, carried, withheld = (parties.test_result(manifest, suite=suite) for suite in ("a", "b", "c"))
    digests = [sha256_hex(each) for each in (kept, carried, withheld)]
    release = read(parties.release(request, manifest, evidence=digests), Release)
    with pytest.raises(StatementInvalidError, match=f"withheld evidence {digests[2]}"):
        check_nothing_withheld(release, {digests[0]}, [carried])
    check_nothing_withheld(release, {digests[0]}, [carried, withheld, b"more than was asked for"])


@pytest.mark.parametrize("field", ["request", "manifest", "signature", "release"])
@pytest.mark.parametrize("garbage", [b"", b"\xff", b"{}", b"[]", b'{"payload":1}', b"null"])
def test_garbage_is_refused_with_a_typed_error(brought, parties, field, garbage):
    with pytest.raises(CarnetError):
        verify(replace(brought, **{field: garbage}), parties)
