"""``environment.yaml``: who signs the documents of the environment."""

from __future__ import annotations

import pytest
import yaml

from carnet.errors import DocumentInvalidError
from carnet.signing.keys import SigningKey
from carnet_server.config import load_config
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import Identity, Plan

KEYS = [SigningKey.generate() for _ in range(3)]


@pytest.fixture
def path(tmp_path):
    plan = Plan(environments=("dev",), routes=(), identities=(Identity("ci", "service"),))
    initialise(tmp_path / "carnet", base_port=0, plan=plan)
    return tmp_path / "carnet" / "environments" / "dev" / "environment.yaml"


def put(path, documents):
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"documents": documents}))


def signers(*people):
    return [
        {"person": person, "pem": key.verification_key.pem} for person, key in zip(people, KEYS, strict=False)
    ]


def test_without_the_part_nobody_must_sign(path):
    assert load_config(path).document_signers is None


def test_people_are_read_with_their_keys(path):
    put(path, {"signatures": 2, "signers": signers("bob", "carol", "bob")})
    found = load_config(path).document_signers
    assert found.wanted == 2
    assert list(found.people.values()) == ["bob", "carol", "bob"]
    assert set(found.keys) == {key.key_id for key in KEYS}


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ({"signatures": 2, "signers": signers("bob", "bob")}, "documents: signatures: 2 are more than"),
        ({"signatures": 1, "signers": []}, "signers"),
        ({"signers": [{"person": "bob", "pem": "x"}]}, "not a public key"),
        ([], "documents"),
    ],
)
def test_a_demand_that_nobody_can_meet_is_refused(path, documents, said):
    put(path, documents)
    with pytest.raises(DocumentInvalidError, match=said):
        load_config(path)
