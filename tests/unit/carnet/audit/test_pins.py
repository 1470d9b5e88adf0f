from __future__ import annotations

from typing import Any

import pytest

from carnet.audit.pins import EnvironmentPins, Pins
from carnet.errors import InvalidInputError
from carnet.signing.keys import SigningKey
from carnet.translog.keys import KeyType, LogKey


def test_pins_say_whose_a_key_and_a_subject_is(world: Any, keys: dict[str, SigningKey]) -> None:
    pins = world.pins()
    assert pins.holder_of(keys["prod"].key_id) == "environment prod"
    assert pins.holder_of(keys["carol"].key_id) == "carol"
    assert "unknown" in pins.holder_of(SigningKey.generate().key_id)
    assert pins.person_of_key(keys["carol"].key_id) == "carol"
    assert pins.person_of_key(keys["prod"].key_id) is None
    assert pins.person_of_subject("spiffe://example.com/carol") == "carol"
    assert pins.person_of_subject("spiffe://example.com/nobody") is None
    assert set(pins.environment_keys) == {keys["dev"].key_id, keys["prod"].key_id}
    assert set(pins.all_keys) == {key.key_id for key in keys.values()}


def test_an_environment_may_have_an_old_and_a_new_key(world: Any) -> None:
    data = world.pins_data()
    new = SigningKey.generate().verification_key
    data["environments"]["prod"]["signing_keys"] = [new.pem]
    assert set(Pins.from_mapping(data).environments["prod"].keys) > {new.key_id}


def test_people_may_be_left_out(world: Any) -> None:
    data = world.pins_data()
    del data["people"]
    assert Pins.from_mapping(data).people == {}


def _break(path: str, value: Any) -> Any:
    def change(data: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        for key in parents:
            data = data[key]
        if value is ...:
            del data[last]
        else:
            data[last] = value

    return change


BOGUS_PEM = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("environments", ...),
        ("environments", []),
        ("environments/prod", None),
        ("environments/prod", "keys"),
        ("environments/prod/log_key", ...),
        ("environments/prod/log_key", 5),
        ("environments/prod/log_key", "example.com/prod"),
        ("environments/prod/signing_key", ...),
        ("environments/prod/signing_key", BOGUS_PEM),
        ("environments/prod/signing_key", ["PEM"]),
        ("environments/prod/signing_keys", "PEM"),
        ("environments/Prod", {}),
        ("people", []),
        ("people/carol", []),
        ("people/carol/keys", "PEM"),
        ("people/carol/keys", [BOGUS_PEM]),
        ("people/carol/keys", [5]),
        ("people/carol/subjects", [""]),
        ("people/carol/subjects", ["spiffe://example.com/dave"]),
    ],
)
def test_pins_of_another_form_are_refused(world: Any, path: str, value: Any) -> None:
    data = world.pins_data()
    _break(path, value)(data)
    with pytest.raises(InvalidInputError, match="pins"):
        Pins.from_mapping(data)


@pytest.mark.parametrize("data", [None, [], "pins", {}, {1: 2}])
def test_data_that_is_no_mapping_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInputError):
        Pins.from_mapping(data)


@pytest.mark.parametrize("other", ["prod", "carol"])
def test_a_key_has_one_holder(world: Any, keys: dict[str, SigningKey], other: str) -> None:
    data = world.pins_data()
    data["people"]["dave"]["keys"].append(keys[other].verification_key.pem)
    with pytest.raises(InvalidInputError, match="one holder"):
        Pins.from_mapping(data)


def test_a_cosigners_key_is_no_logs_key(keys: dict[str, SigningKey]) -> None:
    cosigner = LogKey.generate("example.com/prod", key_type=KeyType.COSIGNATURE_V1)
    with pytest.raises(InvalidInputError, match="cosigner"):
        EnvironmentPins("prod", cosigner.verifier.vkey, (keys["prod"].verification_key.pem,))
