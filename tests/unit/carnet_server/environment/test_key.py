"""What a registry's callers are told when the service that keeps its key does not sign."""

from __future__ import annotations

import logging

import boto3
import pytest

from carnet.errors import UnauthenticatedError, UnavailableError
from carnet.signing.key_reference import KeyReference
from carnet.signing.keys import SigningKey
from carnet.signing.passphrase import Passphrase
from carnet_server.environment.key import open_environment_key
from tests.support.kms import FakeKms


@pytest.fixture
def kms(monkeypatch):
    kms = FakeKms()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in kms.environment.items():
        monkeypatch.setenv(name, value)
    yield kms
    kms.stop()


@pytest.fixture
def reference(kms, tmp_path):
    (tmp_path / "key.pub.pem").write_text(kms.add("alias/carnet-prod"))
    return KeyReference(uri="awskms:alias/carnet-prod", public_key=tmp_path / "key.pub.pem")


def test_the_service_signs_for_the_environment(kms, reference):
    key = open_environment_key(reference)
    key.verification_key.verify(b"data", key.sign(b"data"))
    assert kms.asked == [("Sign", "alias/carnet-prod")]


@pytest.mark.parametrize("code", ["AccessDeniedException", "DisabledException", "KMSInternalException", ""])
def test_whatever_the_reason_the_registry_is_unavailable_and_only_its_log_says_why(
    kms, reference, caplog, code
):
    key = open_environment_key(reference)
    if code:
        kms.refuse_with = code
    else:
        kms.add("alias/carnet-prod")
    with caplog.at_level(logging.ERROR), pytest.raises(UnavailableError) as caught:
        key.sign(b"data")
    assert "alias/carnet-prod" not in caught.value.message
    assert caught.value.retry_after_seconds > 1
    assert "alias/carnet-prod" in caplog.text
    assert (code or "another key than the public key") in caplog.text


def test_a_file_with_a_passphrase_opens_with_the_one_that_is_in_a_file(tmp_path, monkeypatch):
    SigningKey.generate().save(tmp_path / "key.pem", passphrase=Passphrase("correct horse battery"))
    reference = KeyReference(file=tmp_path / "key.pem")
    monkeypatch.delenv("CARNET_KEY_PASSPHRASE_FILE", raising=False)
    with pytest.raises(UnauthenticatedError, match="CARNET_KEY_PASSPHRASE_FILE"):
        open_environment_key(reference)
    (tmp_path / "words").write_text("correct horse battery\n")
    monkeypatch.setenv("CARNET_KEY_PASSPHRASE_FILE", str(tmp_path / "words"))
    assert open_environment_key(reference).sign(b"data")
