"""Reading a federation's folder."""

from __future__ import annotations

import pytest
import yaml

import carnet
from carnet import errors
from carnet.client.audit_memory import federation_pins
from carnet.client.federation import Federation, read_token
from carnet.client.session import Session
from tests.unit.carnet.client.fake_federation import issue, signing_key


def test_everything_is_read_and_paths_are_relative_to_the_file(federation):
    loaded = Federation.load(federation.folder)
    assert list(loaded.environments) == ["dev", "staging", "prod"]
    assert loaded.ca == federation.folder / "ca.pem"
    assert loaded.identity().name == "ci"
    assert loaded.identity("bob").folder == federation.folder / "identities" / "bob"
    assert loaded.environment("prod").signing_key == federation.prod.signing_key.verification_key
    assert loaded.sync.server_name == "sync.carnet.internal"


def test_a_key_is_known_as_its_subject_and_the_person_behind_it(federation):
    loaded = Federation.load(federation.folder)
    ci, bob = (signing_key(name).key_id for name in ("ci", "bob"))
    assert str(loaded.signer(ci)) == "spiffe://carnet.internal/service/ci (alice)"
    assert str(loaded.signer(bob)) == "spiffe://carnet.internal/person/bob"
    assert loaded.statement_signer(federation.dev.signing_key.key_id) == "environment dev"
    assert loaded.statement_signer("0" * 64) == ""
    assert loaded.signer("0" * 64) is None


def test_the_auditors_pins_count_a_service_as_the_person_it_acts_for(federation):
    pins = federation_pins(Federation.load(federation.folder))
    assert pins.person_of_subject("spiffe://carnet.internal/service/ci") == "alice"
    assert pins.person_of_key(signing_key("ci").key_id) == "alice"
    assert pins.person_of_key(signing_key("evaluator").key_id) == "spiffe://carnet.internal/service/evaluator"


def test_the_directory_comes_from_the_surroundings_where_none_is_named(federation, monkeypatch):
    monkeypatch.setenv("CARNET_DIR", str(federation.folder))
    monkeypatch.setenv("CARNET_IDENTITY", "bob")
    loaded = Federation.load()
    assert loaded.identity().name == "bob"
    assert loaded.identity("ci").name == "ci"


def test_a_missing_folder_says_how_to_make_one(tmp_path):
    with pytest.raises(errors.FileUnreadableError, match="carnet init"):
        Federation.load(tmp_path / "nothing")


def test_unknown_names_list_the_known_ones(federation):
    loaded = Federation.load(federation.folder)
    with pytest.raises(errors.NotFoundError, match="dev, staging, prod"):
        loaded.environment("nowhere")
    with pytest.raises(errors.NotFoundError, match="ci, evaluator, bob, reader"):
        loaded.identity("mallory")


def test_no_identity_chosen_says_how_to_choose(federation):
    federation.write_folder(identity="")
    with pytest.raises(errors.NotFoundError, match="--as"):
        Federation.load(federation.folder).identity()


BAD = [
    ({"schema": "carnet.federation/v2"}, "schema"),
    ({"environments": {}}, "environments"),
    ({"environments": {"dev": {"endpoint": "x"}}}, "endpoint"),
    ({"sync": {"endpoint": "127.0.0.1:1"}}, "server_name"),
    ({"signers": {"spiffe://x/y": "no key"}}, "signers.spiffe://x/y"),
    ({"people": {"bob": {"keys": ["no key"]}}}, "people.bob.keys"),
    ({"enviroments": {}}, "enviroments"),
    ({"identities": ["ci"]}, "identities"),
]


@pytest.mark.parametrize(("overrides", "named"), BAD)
def test_a_broken_document_names_the_field(federation, overrides, named):
    federation.write_folder(**overrides)
    with pytest.raises(errors.DocumentInvalidError, match="federation.yaml") as caught:
        Federation.load(federation.folder)
    assert named in caught.value.message


@pytest.mark.parametrize("field", ["log_key", "signing_key"])
def test_a_pinned_key_that_is_none_names_the_environment(federation, field):
    document = yaml.safe_load((federation.folder / "federation.yaml").read_text())
    document["environments"]["prod"][field] = "not a key"
    federation.write_folder(environments=document["environments"])
    with pytest.raises(errors.DocumentInvalidError, match=r"environments\.prod"):
        Federation.load(federation.folder)


async def test_an_identity_without_a_key_cannot_sign_and_says_so(federation, fraud):
    async with carnet.connect_async(federation.folder, identity="reader") as client:
        assert await client.resolve("dev/risk/fraud@1")
        with pytest.raises(errors.FileUnreadableError, match="has no signing key"):
            await client.promote("dev/risk/fraud@1", "staging")


async def test_an_identity_whose_certificate_ended_is_told_before_dialling(federation, fraud):
    certificate, key = issue("bob", ends_in_hours=-1)
    (federation.folder / "identities" / "bob" / "tls.pem").write_bytes(certificate)
    (federation.folder / "identities" / "bob" / "tls-key.pem").write_bytes(key)
    async with carnet.connect_async(federation.folder, identity="bob") as client:
        with pytest.raises(errors.CertificateExpiredError):
            await client.resolve("dev/risk/fraud@1")


async def test_a_federation_without_a_promotion_service_says_so(federation, fraud):
    federation.write_folder(sync=None)
    async with carnet.connect_async(federation.folder) as client:
        with pytest.raises(errors.PreconditionFailedError, match="no promotion service"):
            await client.promotions()


async def test_the_environments_say_who_they_are_and_where_they_differ_from_the_pins(federation, client):
    def another_key(answer):
        answer.environment.signing_key = "another"

    federation.prod.lies["GetEnvironment"] = another_key
    federation.servers["staging"].stop(None).wait()
    dev, staging, prod = await client.environments()
    assert (dev.reachable, dev.problem, dev.targets, dev.roles) == (True, "", ("staging",), ("publisher",))
    assert not staging.reachable
    assert "cannot be reached" in staging.problem
    assert prod.problem == "its signing key is not what is pinned"


async def test_one_key_of_an_environment_takes_over_from_another(federation, client):
    path = federation.folder / "federation.yaml"
    document = yaml.safe_load(path.read_text())
    new, old = signing_key("new"), federation.prod.signing_key
    document["environments"]["prod"] |= {
        "signing_key": new.verification_key.pem,
        "other_signing_keys": [old.verification_key.pem],
    }
    path.write_text(yaml.safe_dump(document))
    loaded = Federation.load(federation.folder)
    assert list(loaded.environment("prod").signing_keys) == [new.key_id, old.key_id]
    assert loaded.statement_signer(old.key_id) == loaded.statement_signer(new.key_id) == "environment prod"
    assert set(federation_pins(loaded).environments["prod"].keys) == {new.key_id, old.key_id}
    async with carnet.connect_async(federation.folder) as anew:
        assert not (await anew.environments())[2].problem


# --- keys at a service ---------------------------------------------------------------------------------------


def test_an_identity_may_have_its_key_elsewhere(federation):
    path = federation.folder / "federation.yaml"
    document = yaml.safe_load(path.read_text())
    document["identities"]["bob"] = {
        "folder": "identities/bob",
        "signing_key": {"uri": "awskms:alias/bob", "public_key": "bob.pub.pem"},
    }
    document["identities"]["ci"] = {"folder": "identities/ci"}
    path.write_text(yaml.safe_dump(document))
    loaded = Federation.load(federation.folder)
    reference = loaded.identity("bob").key_reference
    assert (reference.uri, reference.public_key) == ("awskms:alias/bob", federation.folder / "bob.pub.pem")
    assert loaded.identity("bob").certificate == federation.folder / "identities" / "bob" / "tls.pem"
    assert loaded.identity("ci").signing_key().key_id == signing_key("ci").key_id
    held = loaded.identity("bob").holding(signing_key("bob"))
    assert held.signing_key().key_id == signing_key("bob").key_id
    assert repr(held) == repr(loaded.identity("bob"))


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ({"signing_key": "a.pem"}, "identities.bob.folder"),
        ({"folder": "identities/bob", "signing_key": {"uri": "awskms:x"}}, "needs public_key"),
        (3, "identities.bob"),
    ],
)
def test_an_identity_that_is_none_is_named(federation, identity, said):
    path = federation.folder / "federation.yaml"
    document = yaml.safe_load(path.read_text())
    document["identities"]["bob"] = identity
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(errors.DocumentInvalidError, match=said):
        Federation.load(federation.folder)


# --- tokens ---------------------------------------------------------------------------------------------------


def with_bearer_endpoint(federation):
    path = federation.folder / "federation.yaml"
    document = yaml.safe_load(path.read_text())
    document["environments"]["dev"]["bearer_endpoint"] = "127.0.0.1:7411"
    document.pop("identity", None)
    path.write_text(yaml.safe_dump(document))
    return Federation.load(federation.folder)


@pytest.mark.parametrize("variable", ["CARNET_TOKEN", "CARNET_TOKEN_FILE"])
def test_who_has_a_token_needs_no_identity_and_is_read_anew(federation, monkeypatch, tmp_path, variable):
    loaded = with_bearer_endpoint(federation)
    with pytest.raises(errors.NotFoundError, match="no identity is chosen"):
        loaded.identity()
    file = tmp_path / "token"
    for token in ("a.b.c", "d.e.f"):
        file.write_text(f"{token}\n")
        monkeypatch.setenv(variable, str(file) if variable.endswith("FILE") else token)
        assert read_token("dev") == token
    assert loaded.identity().name == "token"
    assert loaded.identity("bob").name == "bob"
    with pytest.raises(errors.FileUnreadableError, match="signing key"):
        loaded.identity().signing_key()


@pytest.mark.parametrize("text", ["", " \n", "two words", "é", "a\nb", "a\x00b"])
def test_what_is_no_token_is_not_sent(monkeypatch, tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    monkeypatch.setenv("CARNET_TOKEN_FILE", str(file))
    with pytest.raises(errors.FileUnreadableError, match="has no token") as caught:
        read_token("dev")
    assert "two words" not in caught.value.message
    monkeypatch.setenv("CARNET_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(errors.FileUnreadableError):
        read_token("dev")


async def test_a_token_is_shown_at_the_address_for_tokens_and_nowhere_else(federation, monkeypatch):
    monkeypatch.setenv("CARNET_TOKEN", "a.b.c")
    loaded = with_bearer_endpoint(federation)
    async with Session(loaded, loaded.identity()) as session:
        assert session._registry("dev").endpoint == "127.0.0.1:7411"
        with pytest.raises(errors.PreconditionFailedError, match=r"environments\.prod\.bearer_endpoint"):
            session._registry("prod")
