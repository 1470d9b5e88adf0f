from __future__ import annotations

import pytest
import yaml

from carnet import errors
from carnet.client.federation import (
    Federation,
    read_token,
    token_file_variable,
    token_is_given,
)
from carnet.client.session import Session
from carnet.signing.keys import SigningKey
from carnet.translog.keys import LogKey

PEERS = ("dev", "prod-eu", "promotions")


@pytest.fixture(autouse=True)
def no_token(monkeypatch):
    for name in ("CARNET_TOKEN", "CARNET_TOKEN_FILE", "CARNET_IDENTITY", *map(token_file_variable, PEERS)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def give(monkeypatch, tmp_path):
    """Give a token in a variable, by its text or in a file."""

    def give(variable, token):
        file = tmp_path / variable
        file.write_text(token + "\n")
        monkeypatch.setenv(variable, token if variable == "CARNET_TOKEN" else str(file))

    return give


@pytest.mark.parametrize(
    ("peer", "variable"),
    [
        ("dev", "CARNET_TOKEN_FILE_DEV"),
        ("prod-eu", "CARNET_TOKEN_FILE_PROD_EU"),
        ("prod_eu", "CARNET_TOKEN_FILE_PROD_EU"),
        ("promotions", "CARNET_TOKEN_FILE_PROMOTIONS"),
    ],
)
def test_each_peer_has_a_variable_of_its_own(peer, variable):
    assert token_file_variable(peer) == variable


def test_a_peers_own_token_comes_before_the_one_for_all(give):
    give("CARNET_TOKEN", "text")
    assert [read_token(peer) for peer in PEERS] == ["text"] * 3
    give("CARNET_TOKEN_FILE", "file")
    give("CARNET_TOKEN_FILE_PROD_EU", "europe")
    give("CARNET_TOKEN_FILE_PROMOTIONS", "carried")
    assert [read_token(peer) for peer in PEERS] == ["file", "europe", "carried"]
    assert all(map(token_is_given, PEERS))


def test_a_token_for_one_peer_is_given_to_no_other(give, monkeypatch):
    give("CARNET_TOKEN_FILE_DEV", "a.b.c")
    assert [token_is_given(peer) for peer in PEERS] == [True, False, False]
    with pytest.raises(errors.FileUnreadableError):
        read_token("promotions")
    monkeypatch.setenv("CARNET_TOKEN_FILE_DEV", "")
    assert not token_is_given("dev")


def test_a_peers_own_file_that_is_bad_is_named_and_no_other_is_taken_instead(give, monkeypatch, tmp_path):
    give("CARNET_TOKEN_FILE", "good")
    give("CARNET_TOKEN_FILE_DEV", "two words")
    with pytest.raises(errors.FileUnreadableError, match="CARNET_TOKEN_FILE_DEV.*has no token") as caught:
        read_token("dev")
    assert "two words" not in caught.value.message
    monkeypatch.setenv("CARNET_TOKEN_FILE_DEV", str(tmp_path / "none"))
    with pytest.raises(errors.FileUnreadableError, match="CARNET_TOKEN_FILE_DEV"):
        read_token("dev")


def make_federation(folder, **sync):
    (folder / "ca.pem").write_text("authority")
    document = {
        "schema": "carnet.federation/v1",
        "ca": "ca.pem",
        "environments": {
            name: {
                "endpoint": "127.0.0.1:1",
                "server_name": "x.internal",
                "bearer_endpoint": "127.0.0.1:2",
                "log_key": LogKey.generate(f"carnet.internal/{name}").verifier.vkey,
                "signing_key": SigningKey.generate().verification_key.pem,
            }
            for name in ("dev", "prod-eu")
        },
        "sync": {"endpoint": "127.0.0.1:3", "server_name": "sync.internal"} | sync,
    }
    (folder / "federation.yaml").write_text(yaml.safe_dump(document))
    return Federation.load(folder)


async def test_a_token_is_shown_to_the_promotion_service_at_its_address_for_tokens(tmp_path, give):
    give("CARNET_TOKEN_FILE_PROMOTIONS", "a.b.c")
    federation = make_federation(tmp_path, bearer_endpoint="127.0.0.1:4")
    async with Session(federation, federation.identity()) as session:
        assert session._promotion_service().endpoint == "127.0.0.1:4"
        assert session._token_identity("promotions").read_token() == "a.b.c"
        with pytest.raises(errors.FileUnreadableError, match="certificate"):
            session._registry("dev")


async def test_a_token_is_not_shown_at_the_address_for_certificates(tmp_path, give):
    give("CARNET_TOKEN_FILE", "a.b.c")
    federation = make_federation(tmp_path)
    assert federation.sync.bearer_endpoint == ""
    async with Session(federation, federation.identity()) as session:
        with pytest.raises(errors.PreconditionFailedError, match=r"sync\.bearer_endpoint") as caught:
            session._promotion_service()
    assert "CARNET_TOKEN_FILE_PROMOTIONS" in caught.value.message


async def test_a_token_for_one_environment_leaves_the_others_to_the_certificate(tmp_path, give):
    give("CARNET_TOKEN_FILE_PROD_EU", "a.b.c")
    federation = make_federation(tmp_path, bearer_endpoint="127.0.0.1:4")
    async with Session(federation, federation.identity()) as session:
        assert session._registry("prod-eu").endpoint == "127.0.0.1:2"
        for open_one in (lambda: session._registry("dev"), session._promotion_service):
            with pytest.raises(errors.FileUnreadableError, match="certificate"):
                open_one()


def test_who_has_a_token_for_any_peer_needs_no_identity(tmp_path, give):
    federation = make_federation(tmp_path)
    with pytest.raises(errors.NotFoundError, match="no identity is chosen"):
        federation.identity()
    give("CARNET_TOKEN_FILE_PROD_EU", "a.b.c")
    assert federation.identity().name == "token"


def test_a_federation_pins_no_address_that_is_none(tmp_path):
    with pytest.raises(errors.DocumentInvalidError, match=r"sync\.bearer_endpoint"):
        make_federation(tmp_path, bearer_endpoint="here")
