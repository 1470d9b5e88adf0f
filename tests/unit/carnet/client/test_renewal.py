"""An identity that follows its files, and what makes it stay with the last good one."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from carnet.client.channel import TlsIdentity
from carnet.client.renewal import FollowedIdentity
from carnet.errors import CertificateExpiredError, DocumentInvalidError
from carnet_server.local.authority import Authority

SUBJECT = "spiffe://carnet.test/service/ci"


@pytest.fixture
def authority():
    return Authority.create("carnet.test")


@pytest.fixture
def folder(tmp_path, authority):
    authority.save(tmp_path / "ca")
    authority.issue(tmp_path / "now", spiffe_id=SUBJECT)
    return tmp_path


def load(folder):
    return TlsIdentity.load(
        folder / "now" / "tls.pem", folder / "now" / "tls-key.pem", folder / "ca" / "ca.pem"
    )


def issue(authority, folder, **options):
    authority.issue(folder / "next", spiffe_id=SUBJECT, **options)


def copy(folder, *names):
    for name in names:
        shutil.copy(folder / "next" / name, folder / "now" / name)


def test_files_that_are_as_they_were_change_nothing(folder):
    first = load(folder)
    followed = FollowedIdentity(first, every_seconds=0)
    shutil.copy(folder / "now" / "tls.pem", folder / "same")
    shutil.move(folder / "same", folder / "now" / "tls.pem")
    assert followed.look() is first
    assert followed.generation == 0


def test_a_new_certificate_is_taken_once_its_key_is_there_too(folder, authority, caplog):
    followed = FollowedIdentity(load(folder), every_seconds=0)
    first = followed.look()
    issue(authority, folder)
    copy(folder, "tls.pem")
    assert followed.look() is followed.look() is first
    assert caplog.text.count("is not used") == 1
    copy(folder, "tls-key.pem")
    assert followed.look() == load(folder) != first
    assert followed.generation == 1


def test_a_certificate_that_is_not_valid_is_not_taken(folder, authority):
    followed = FollowedIdentity(load(folder), every_seconds=0)
    first = followed.look()
    issue(authority, folder, now=datetime.now(UTC) - timedelta(days=500))
    copy(folder, "tls.pem", "tls-key.pem")
    assert followed.look() is first


@pytest.mark.parametrize("name", ["tls.pem", "tls-key.pem"])
@pytest.mark.parametrize("text", [None, "", "no PEM"])
def test_a_file_that_is_gone_or_broken_leaves_the_last_good_one(folder, name, text):
    followed = FollowedIdentity(load(folder), every_seconds=0)
    first = followed.look()
    path = folder / "now" / name
    path.unlink() if text is None else path.write_text(text)
    assert followed.look() is first


def test_authorities_that_are_none_are_not_taken(folder):
    followed = FollowedIdentity(load(folder), every_seconds=0)
    first = followed.look()
    (folder / "ca" / "ca.pem").write_text("")
    assert followed.look() is first


def test_files_are_looked_at_no_more_often_than_wanted(folder, authority):
    followed = FollowedIdentity(load(folder), every_seconds=3600)
    first = followed.look()
    issue(authority, folder)
    copy(folder, "tls.pem", "tls-key.pem")
    assert followed.look() is first


def test_an_identity_without_files_stays(folder):
    loaded = load(folder)
    identity = TlsIdentity(loaded.certificate, loaded.private_key, loaded.ca)
    assert identity == loaded
    assert FollowedIdentity(identity, every_seconds=0).look() is identity


def test_a_private_key_is_not_shown(folder):
    assert "PRIVATE" not in repr(load(folder))


def test_what_could_not_be_used_is_said(folder, authority):
    good = load(folder)
    good.check()
    issue(authority, folder)
    other = (folder / "next" / "tls-key.pem").read_bytes()
    with pytest.raises(DocumentInvalidError, match="not the one"):
        TlsIdentity(good.certificate, other, good.ca).check()
    with pytest.raises(DocumentInvalidError, match="not PEM"):
        TlsIdentity(good.certificate, b"", good.ca).check()
    with pytest.raises(CertificateExpiredError):
        good.check(datetime(2020, 1, 1, tzinfo=UTC))
