"""A registry whose key a KMS keeps: real processes, the real boto3, and a small KMS with real keys in it."""

from __future__ import annotations

import pytest
import yaml

from carnet.errors import UnavailableError
from tests.support.federation import LocalFederation
from tests.support.kms import FakeKms

ALIAS = "alias/carnet-dev"


@pytest.fixture
def kms(monkeypatch):
    kms = FakeKms()
    for name, value in kms.environment.items():
        monkeypatch.setenv(name, value)
    yield kms
    kms.stop()


@pytest.fixture
def federation(tmp_path, kms):
    """A federation whose dev keeps its key in the KMS, and has no private key in a file."""
    federation = LocalFederation(tmp_path / "federation")
    home = federation.folder / "environments" / "dev"
    (home / "signing-key.pub.pem").write_text(kms.add(ALIAS, (home / "signing-key.pem").read_bytes()))
    (home / "signing-key.pem").unlink()
    path = home / "environment.yaml"
    document = yaml.safe_load(path.read_text())
    document["signing_key"] = {"uri": f"awskms:{ALIAS}", "public_key": "signing-key.pub.pem"}
    path.write_text(yaml.safe_dump(document))
    yield federation
    federation.stop()


def test_publications_are_decided_with_it_and_a_pull_verifies(federation, kms, tmp_path):
    federation.start("dev")
    reference = federation.publish(tmp_path)
    signed = [key for operation, key in kms.asked if operation == "Sign"]
    assert signed == [ALIAS]

    with federation.client("ci") as ci:
        ci.pull(str(reference), tmp_path / "pulled")
        assert ci.verify(str(reference))
    federation.cli("audit", "verify", "--environment", "dev", identity="dave")


def test_a_promotion_out_of_it_is_released_with_it(federation, kms, tmp_path):
    federation.start()
    reference = federation.publish(tmp_path)
    promotion = federation.to_staging(reference)
    assert str(promotion.state) == "SUCCEEDED", promotion
    assert len(kms.asked) >= 3, "a decision, a release statement, a capability"


def test_while_the_kms_refuses_nothing_is_published_and_what_is_there_is_served(federation, kms, tmp_path):
    federation.start("dev")
    first = federation.publish(tmp_path)
    kms.refuse_with = "AccessDeniedException"
    with pytest.raises(UnavailableError, match="cannot sign now"):
        federation.publish(tmp_path, seed=1)
    with federation.client("ci") as ci:
        assert ci.resolve(str(first)).reference == first
        assert [each.reference.version for each in ci.versions("dev/risk/fraud")] == [1]
    kms.refuse_with = ""
    assert federation.publish(tmp_path, seed=1).version == 2
    assert "AccessDeniedException" in federation.processes["dev"].log_file.read_text()


def test_another_public_key_is_named_in_the_registrys_log(federation, kms, tmp_path):
    kms.add(ALIAS)
    federation.start("dev")
    with pytest.raises(UnavailableError, match="cannot sign now"):
        federation.publish(tmp_path)
    assert "signs with another key than the public key" in federation.processes["dev"].log_file.read_text()
