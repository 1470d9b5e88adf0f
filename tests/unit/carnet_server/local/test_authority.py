"""The private authority: one SPIFFE id a certificate, and lifetimes as asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from carnet.client.channel import TlsIdentity
from carnet.errors import AlreadyExistsError, CertificateExpiredError
from carnet_server.local.authority import CLOCK_SKEW, Authority

SUBJECT = "spiffe://carnet.test/service/ci"


def issued(authority, folder, **options):
    authority.issue(folder, spiffe_id=SUBJECT, **options)
    return x509.load_pem_x509_certificate((folder / "tls.pem").read_bytes())


def test_an_authority_is_saved_and_loaded(tmp_path):
    authority = Authority.create("carnet.test")
    authority.save(tmp_path / "ca")
    loaded = Authority.load(tmp_path / "ca")
    assert loaded.certificate == authority.certificate
    issued(loaded, tmp_path / "ci").verify_directly_issued_by(authority.certificate)


def test_an_authority_signs_leaves_only(tmp_path):
    authority = Authority.create("carnet.test")
    basic = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)
    leaf = issued(authority, tmp_path).extensions
    assert not leaf.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_client_is_no_server(tmp_path):
    authority = Authority.create("carnet.test")
    client = issued(authority, tmp_path / "client").extensions
    server = issued(authority, tmp_path / "server", server_name="dev.carnet.test").extensions
    usages = [each.get_extension_for_class(x509.ExtendedKeyUsage).value for each in (client, server)]
    assert [ExtendedKeyUsageOID.SERVER_AUTH in usage for usage in usages] == [False, True]
    names = server.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["dev.carnet.test"]


def test_a_certificate_is_valid_for_the_time_that_was_asked_for(tmp_path):
    now = datetime(2026, 3, 1, tzinfo=UTC)
    certificate = issued(Authority.create("carnet.test"), tmp_path, now=now, valid_for=timedelta(hours=1))
    assert certificate.not_valid_before_utc == now - CLOCK_SKEW
    assert certificate.not_valid_after_utc == now + timedelta(hours=1)
    tls = TlsIdentity((tmp_path / "tls.pem").read_bytes(), b"", b"")
    tls.check_dates(now)
    for outside in (now - timedelta(minutes=6), now + timedelta(hours=2)):
        with pytest.raises(CertificateExpiredError, match="get a new one"):
            tls.check_dates(outside)


def test_a_certificate_is_not_written_over_another(tmp_path):
    authority = Authority.create("carnet.test")
    authority.issue(tmp_path, spiffe_id=SUBJECT)
    with pytest.raises(AlreadyExistsError):
        authority.issue(tmp_path, spiffe_id=SUBJECT)
