"""The files of a federation in containers: addresses, and who may read which secret."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
import yaml

from carnet.client.audit_memory import read_pins
from carnet.client.federation import Federation
from carnet.errors import AlreadyExistsError, InvalidInputError, PreconditionFailedError
from carnet.signing.keys import SigningKey
from carnet_server.access.trust import load_trust
from carnet_server.config import load_config as load_registry_config
from carnet_sync.config import load_config as load_sync_config

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "make_config.py"
ENVIRONMENTS = ("dev", "staging", "prod")
PUBLISHED = {"dev": "127.0.0.1:7401", "sync": "127.0.0.1:7400"}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_config", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def owners(monkeypatch):
    """To whom which path is given; without root nobody could give it."""
    given = {}
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.update({path.name: (user, group)}))
    return given


@pytest.fixture
def folder(script, owners, tmp_path):
    made = tmp_path / "federation"
    script.make_config(made, PUBLISHED)
    return made


def document(path: Path):
    return yaml.safe_load(path.read_text())


def test_services_listen_everywhere_and_meet_by_name(folder):
    for name in ENVIRONMENTS:
        own = folder / "environments" / name
        assert load_registry_config(own / "environment.yaml").listen == "0.0.0.0:7400"
        peers = {peer["environment"]: peer["endpoint"] for peer in document(own / "trust.yaml")["peers"]}
        assert peers == {peer: f"{peer}:7400" for peer in ENVIRONMENTS if peer != name}
        load_trust((own / "trust.yaml").read_bytes(), environment=name)
    sync = load_sync_config(folder / "sync" / "sync.yaml")
    assert sync.listen == "0.0.0.0:7400"
    assert {name: link.endpoint for name, link in sync.environments.items()} == {
        name: f"{name}:7400" for name in ENVIRONMENTS
    }


def test_clients_find_what_is_published_there_and_the_rest_by_name(folder):
    federation = Federation.load(folder)
    assert federation.sync.endpoint == "127.0.0.1:7400"
    assert {name: each.endpoint for name, each in federation.environments.items()} == {
        "dev": "127.0.0.1:7401",
        "staging": "staging:7400",
        "prod": "prod:7400",
    }
    assert federation.identity("ci").signing_key()


@pytest.mark.parametrize(
    "service", [*(f"environments/{name}" for name in ENVIRONMENTS), "sync"], ids=[*ENVIRONMENTS, "sync"]
)
def test_a_services_folder_is_whole_in_itself(folder, service):
    own = folder / service
    config = next(path for path in (own / "environment.yaml", own / "sync.yaml") if path.exists())
    for part in document(config)["tls"].values():
        assert (own / part).is_file()
    assert (own / "ca.pem").read_bytes() == (folder / "ca" / "ca.pem").read_bytes()
    if service == "sync":
        compliance = load_sync_config(config).compliance
        assert set(read_pins(Path(compliance.trust)).environments) == set(ENVIRONMENTS)
        assert Path(compliance.trust).parent == own
        assert SigningKey.load(Path(compliance.key))
        assert compliance.tls.identity()
        assert compliance.folder == "/var/lib/carnet/compliance"


def test_each_database_has_a_password_of_its_own_that_stands_in_two_files_only(folder):
    passwords = set()
    for name in (*ENVIRONMENTS, "sync"):
        own = folder / "sync" if name == "sync" else folder / "environments" / name
        password = (folder / "databases" / name).read_text().removeprefix("export POSTGRES_PASSWORD=").strip()
        assert (own / "pgpass").read_text() == f"{name}-database:5432:carnet:carnet:{password}\n"
        holders = [path for path in folder.rglob("*") if path.is_file() and password in path.read_text()]
        assert sorted(path.name for path in holders) == sorted([name, "pgpass"])
        passwords.add(password)
    assert len(passwords) == len(ENVIRONMENTS) + 1


def test_secrets_are_for_their_service_and_the_owner_only(folder, owners):
    modes = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
    for path, mode in modes.items():
        if path.name.endswith("-key.pem"):
            assert mode == (
                0o600 if path.is_relative_to(folder / "identities") or "ca" in path.parts else 0o640
            )
    assert {mode for path, mode in modes.items() if path.name == "pgpass"} == {0o600}
    assert modes[folder / "databases"] == 0o700, "the files in it are readable to whoever gets past it"
    assert owners["pgpass"] == (10001, 10001)
    assert owners["log-key.pem"] == (folder.stat().st_uid, 10001)
    assert owners["ca-key.pem"] == (folder.stat().st_uid, folder.stat().st_gid)


def test_a_folder_with_something_in_it_is_kept(script, owners, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(AlreadyExistsError):
        script.make_config(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_address_of_nothing_is_refused_and_nothing_is_left(script, owners, tmp_path):
    with pytest.raises(InvalidInputError, match="qa"):
        script.make_config(tmp_path, {"qa": "127.0.0.1:7400"})
    assert list(tmp_path.iterdir()) == []


def test_without_the_right_to_give_files_away_nothing_is_left(script, monkeypatch, tmp_path):
    def refuse(*_arguments):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(PreconditionFailedError, match="root"):
        script.make_config(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["dev", "dev=", "dev=host", "dev=host:port", "dev=host:70000", "=host:1"])
def test_an_address_is_a_name_a_host_and_a_port(script, monkeypatch, tmp_path, address, capsys):
    monkeypatch.setattr(sys, "argv", ["make_config.py", str(tmp_path), "--publish", address])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 2
    assert "NAME=HOST:PORT" in capsys.readouterr().err
