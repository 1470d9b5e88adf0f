"""What `carnet init` makes: complete, consistent, private where it must be, and never over something."""

from __future__ import annotations

import os
import socket
import stat
from datetime import UTC, datetime

import pytest
import yaml
from cryptography import x509

from carnet.client.channel import TlsIdentity
from carnet.client.federation import Federation
from carnet.errors import AlreadyExistsError, InvalidInputError, UnavailableError
from carnet.signing.keys import SigningKey
from carnet_policies.document import load_policy
from carnet_server.access.trust import load_trust
from carnet_server.config import load_config
from carnet_server.local import initialise as module
from carnet_server.local.authority import Authority
from carnet_server.local.files import write_new_file, write_yaml
from carnet_server.local.initialise import MARKER, free_ports, initialise
from carnet_server.local.plan import DEFAULT_PLAN, PROMOTION_SERVICE, REPORTS
from carnet_server.local.processes import processes_of
from carnet_sync.config import load_config as load_sync_config

ENVIRONMENTS = DEFAULT_PLAN.environments
SIGNERS = {identity.name for identity in DEFAULT_PLAN.identities if identity.signs}
FILES = {
    MARKER,
    "ca/ca.pem",
    "ca/ca-key.pem",
    "sync/sync.yaml",
    "sync/tls.pem",
    "sync/tls-key.pem",
    "sync/witness-key.pem",
    *(f"sync/reports/{file}" for file in ("tls.pem", "tls-key.pem", "signing-key.pem")),
    *(
        f"environments/{name}/{file}"
        for name in ENVIRONMENTS
        for file in (
            "environment.yaml",
            "policy.yaml",
            "trust.yaml",
            "tls.pem",
            "tls-key.pem",
            "log-key.pem",
            "signing-key.pem",
            "signing-authority.pem",
            "signing-authority-key.pem",
            "witness-key.pem",
            "witnesses.policy",
        )
    ),
    *(
        f"identities/{each.name}/{file}"
        for each in DEFAULT_PLAN.identities
        for file in ("tls.pem", "tls-key.pem")
    ),
    *(f"identities/{name}/signing-key.pem" for name in SIGNERS),
    *(f"environments/prod/{name}.yaml.intoto.jsonl" for name in ("policy", "trust")),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("initialise") / "deep" / "carnet"
    initialise(made, base_port=0)
    return made


def test_every_file_is_there_and_none_besides(folder):
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["carnet"]


def test_the_monitor_reports_everywhere_signs_nothing_and_may_do_nothing_else(folder):
    monitor = "spiffe://carnet.internal/service/monitor"
    for name in ENVIRONMENTS:
        trust = yaml.safe_load((folder / "environments" / name / "trust.yaml").read_text())
        assert [each["roles"] for each in trust["roles"] if each["subject"] == monitor] == [["monitor"]]
        assert monitor not in {each["subject"] for each in trust["keys"]}


def test_secrets_are_their_owners_only(folder):
    keys = list(folder.rglob("*-key.pem"))
    assert len(keys) >= 2 + 3 * len(ENVIRONMENTS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    private = [path for path in folder.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(private) == sorted(keys)


def test_every_process_can_read_its_configuration(folder):
    assert [process.name for process in processes_of(folder)] == [*sorted(ENVIRONMENTS), "sync"]
    listening = set()
    for name in ENVIRONMENTS:
        config = load_config(folder / "environments" / name / "environment.yaml")
        config.tls_identity().check_dates()
        trust = load_trust(config.trust.read_bytes(), environment=name)
        assert load_policy(config.policy.read_bytes()).document.environment == name
        assert {peer for peer in ENVIRONMENTS if trust.peer(peer)} == set(ENVIRONMENTS) - {name}
        assert trust.roles(PROMOTION_SERVICE, "any") == {"promoter"}
        assert trust.roles(REPORTS, "any") == {"archivist"}
        listening.add(config.listen)
    sync = load_sync_config(folder / "sync" / "sync.yaml")
    assert len(listening | {sync.listen}) == len(ENVIRONMENTS) + 1


def test_the_clients_view_pins_the_keys_that_the_servers_have(folder):
    federation = Federation.load(folder)
    assert list(federation.environments) == list(ENVIRONMENTS)
    for name in ENVIRONMENTS:
        home = folder / "environments" / name
        pinned = federation.environment(name)
        config = load_config(home / "environment.yaml")
        assert pinned.signing_key.key_id == SigningKey.load(home / "signing-key.pem").key_id
        assert pinned.endpoint == config.listen
        assert pinned.log.vkey.startswith(f"{config.log_origin}+")
    for name in SIGNERS:
        key = federation.identity(name).signing_key()
        assert federation.signer(key.key_id).subject.endswith(f"/{name}")


def test_peers_know_each_others_keys(folder):
    trusts = {
        name: load_trust((folder / "environments" / name / "trust.yaml").read_bytes(), environment=name)
        for name in ENVIRONMENTS
    }
    for name in ENVIRONMENTS:
        key = SigningKey.load(folder / "environments" / name / "signing-key.pem").key_id
        for other in set(ENVIRONMENTS) - {name}:
            assert set(trusts[other].peer(name).signing_keys) == {key}


def test_every_certificate_has_one_spiffe_id_and_is_the_authoritys(folder):
    authority = Authority.load(folder / "ca")
    subjects = []
    for path in folder.rglob("tls.pem"):
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        certificate.verify_directly_issued_by(authority.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        dns = names.get_values_for_type(x509.DNSName)
        assert bool(dns) == (path.parent.parent.name == "environments" or path.parent.name == "sync")
        assert certificate.not_valid_before_utc <= datetime.now(UTC) < certificate.not_valid_after_utc
        subjects.append(uri)
    assert len(set(subjects)) == len(subjects) == len(ENVIRONMENTS) + 2 + len(DEFAULT_PLAN.identities)
    TlsIdentity.load(
        folder / "identities/bob/tls.pem", folder / "identities/bob/tls-key.pem", folder / "ca/ca.pem"
    ).check_dates()


def test_no_two_federations_share_a_secret(folder, tmp_path):
    initialise(tmp_path / "other", base_port=0)
    for path in folder.rglob("*-key.pem"):
        assert path.read_bytes() != (tmp_path / "other" / path.relative_to(folder)).read_bytes()


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "carnet").mkdir()
    initialise(tmp_path / "carnet", base_port=0)
    assert (tmp_path / "carnet" / MARKER).is_file()


@pytest.mark.parametrize("kind", ["file inside", "hidden file inside", "a file itself"])
def test_what_is_there_is_kept(tmp_path, kind):
    target = tmp_path / "carnet"
    kept = target
    if kind != "a file itself":
        target.mkdir()
        kept = target / (".hidden" if "hidden" in kind else "notes.txt")
    kept.write_text("mine")
    with pytest.raises(AlreadyExistsError, match="carnet is there already"):
        initialise(target, base_port=0)
    assert kept.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["carnet"]


def test_a_failure_half_way_leaves_no_federation(tmp_path, monkeypatch):
    def refuse(name: str) -> bytes:
        raise UnavailableError(f"no policy for {name}")

    monkeypatch.setattr(module, "shipped_policy", refuse)
    with pytest.raises(UnavailableError):
        initialise(tmp_path / "carnet", base_port=0)
    assert not (tmp_path / "carnet").exists()
    monkeypatch.undo()
    initialise(tmp_path / "carnet", base_port=0)
    assert (tmp_path / "carnet" / MARKER).is_file()


@pytest.mark.parametrize("base", [1, 1023, 65536, -1])
def test_a_base_that_is_no_port_is_refused(tmp_path, base):
    with pytest.raises(InvalidInputError, match=str(base)):
        initialise(tmp_path / "carnet", base_port=base)
    assert not (tmp_path / "carnet").exists()


def test_ports_in_use_are_passed_over():
    (base,) = free_ports(1, 0)
    base = min(base, 60_000)
    with socket.create_server(("127.0.0.1", free_ports(1, base)[0])) as taken:
        port = taken.getsockname()[1]
        found = free_ports(4, port)
    assert port not in found
    assert found == list(range(found[0], found[0] + 4))
    assert len(set(free_ports(4, 0))) == 4


def test_no_file_is_written_over(tmp_path):
    path = tmp_path / "a" / "key.pem"
    write_new_file(path, b"first", secret=True)
    with pytest.raises(AlreadyExistsError, match=r"key\.pem exists already"):
        write_new_file(path, b"second", secret=True)
    assert path.read_bytes() == b"first"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_secret_is_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_new_file(tmp_path / "key.pem", b"secret", secret=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_a_document_is_written_for_people(tmp_path):
    value = {"schema": "x", "pem": "-----BEGIN\nabc\n-----END\n", "list": [{"a": 1}]}
    write_yaml(tmp_path / "a.yaml", value, comment="What it is.\nTwo lines.")
    text = (tmp_path / "a.yaml").read_text()
    assert text.startswith("# What it is.\n# Two lines.\nschema: x\npem: |\n")
    assert yaml.safe_load(text) == value
