"""`carnet identity`: what it makes, what it shows, and which lines of which files it changes."""

from __future__ import annotations

import json
import shlex

import click
import pytest
import yaml
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from carnet.cli.settings import Settings
from carnet.client.federation import Federation
from carnet.errors import (
    AlreadyExistsError,
    CarnetError,
    FileUnreadableError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from carnet.signing.keys import SigningKey
from carnet_server.access.trust import load_trust
from carnet_server.identity.commands import identity
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import TRUST_DOMAIN, Identity, Plan

CI = f"spiffe://{TRUST_DOMAIN}/service/ci"
PLAN = Plan(
    environments=("dev", "prod"),
    routes=(("dev", "prod", "pull"),),
    identities=(
        Identity("ci", "service", roles={"dev": ("publisher",)}, purposes=("bundle",)),
        Identity("rita", "person", person="rita", roles={"*": ("reader",)}),
    ),
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "carnet"
    initialise(folder, base_port=0, plan=PLAN)
    return folder


@pytest.fixture
def run(folder):
    def run(line, output="json"):
        settings = Settings(directory=str(folder), output=output)
        result = CliRunner().invoke(identity, shlex.split(line), obj=settings, standalone_mode=False)
        if result.exception:
            raise result.exception
        return json.loads(result.output) if output == "json" else result.output

    return run


def trust(folder, environment):
    data = (folder / "environments" / environment / "trust.yaml").read_bytes()
    return load_trust(data, environment=environment)


def test_an_opaque_identity_is_named_nowhere_that_a_log_keeps(run, folder):
    made = run("create erin --kind person --role approver --purpose approval --opaque")
    identifier = made["subject"].rpartition("/")[2]
    assert made["subject"] == f"spiffe://{TRUST_DOMAIN}/person/{identifier}"
    assert identifier.startswith("id-")
    assert len(bytes.fromhex(identifier.removeprefix("id-"))) == 16
    assert yaml.safe_load(made["trust_lines"])["people"] == [
        {"name": identifier, "subjects": [made["subject"]]}
    ]
    found = Federation.load(folder).identity("erin")
    assert "erin" not in made["trust_lines"]
    certificate = x509.load_pem_x509_certificate(found.certificate.read_bytes())
    assert b"erin" not in certificate.public_bytes(Encoding.DER)
    named = run("create frida --kind person --person p7 --opaque")
    assert yaml.safe_load(named["trust_lines"])["people"][0]["name"] == "p7"
    service = run("create weekly --opaque --role reader")
    assert "people" not in yaml.safe_load(service["trust_lines"])


def test_an_identity_is_made_and_may_do_nothing_before_the_lines_are_pasted(run, folder):
    before = (folder / "environments" / "dev" / "trust.yaml").read_text()
    made = run(
        "create nightly --role publisher --role reader --namespace risk --purpose bundle --person rita"
    )
    assert made["subject"] == f"spiffe://{TRUST_DOMAIN}/service/nightly"
    assert (folder / "environments" / "dev" / "trust.yaml").read_text() == before
    found = Federation.load(folder).identity("nightly")
    assert found.certificate.exists()
    assert found.signing_key().key_id
    assert (found.folder / "tls-key.pem").stat().st_mode & 0o077 == 0
    assert trust(folder, "dev").roles(made["subject"], None) == set()

    pasted = yaml.safe_load(made["trust_lines"])
    document = yaml.safe_load(before)
    for part, entries in pasted.items():
        document.setdefault(part, []).extend(entries)
    document["people"] = [
        each for each in document["people"] if each["name"] != "rita" or "nightly" in str(each)
    ]
    now = load_trust(yaml.safe_dump(document).encode(), environment="dev")
    assert now.acting_roles(made["subject"], "risk") == {"publisher", "reader"}
    assert now.acting_roles(made["subject"], "growth") == set()
    assert now.person_of(made["subject"]) == "rita"
    assert now.key(found.signing_key().key_id).purposes == {"bundle"}


WORDS = "correct horse battery"


def test_a_signing_key_may_have_a_passphrase(run, folder, tmp_path, monkeypatch):
    words = tmp_path / "words"
    words.write_text(WORDS + "\n")
    monkeypatch.setenv("CARNET_KEY_PASSPHRASE_FILE", str(words))
    made = run("create erin --kind person --purpose approval --passphrase")
    assert WORDS not in json.dumps(made)
    found = Federation.load(folder).identity("erin")
    (key,) = yaml.safe_load(made["trust_lines"])["keys"]
    assert found.signing_key().verification_key.pem == key["pem"]
    monkeypatch.delenv("CARNET_KEY_PASSPHRASE_FILE")
    with pytest.raises(UnauthenticatedError, match="passphrase"):
        found.signing_key()
    assert found.signing_key(lambda what, attempt: WORDS).authentication == "passphrase"


def test_no_identity_is_made_without_the_passphrase_that_was_wanted(run, folder, tmp_path, monkeypatch):
    with pytest.raises(UnauthenticatedError, match="nobody can be asked"):
        run("create erin --purpose approval --passphrase")
    (tmp_path / "words").write_text("short\n")
    monkeypatch.setenv("CARNET_KEY_PASSPHRASE_FILE", str(tmp_path / "words"))
    with pytest.raises(InvalidInputError, match="12 characters"):
        run("create erin --purpose approval --passphrase")
    with pytest.raises(click.UsageError, match="--purpose"):
        run("create erin --passphrase")
    assert "erin" not in Federation.load(folder).identities


def test_comments_of_the_federations_document_stay(run, folder):
    path = folder / "federation.yaml"
    before = path.read_text().replace("identities:\n", "identities:  # who we are\n")
    path.write_text("# ours\n" + before)
    run("create nightly")
    after = path.read_text()
    assert after.startswith("# ours\n")
    assert set(Federation.load(folder).identities) == {"ci", "rita", "nightly"}
    added = set(after.splitlines()) - set(before.splitlines()) - {"# ours"}
    assert added == {"  nightly: identities/nightly"}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("create ci", AlreadyExistsError),
        ("create ../up", InvalidInputError),
        ("create Nightly", InvalidInputError),
        ("create nightly --environment nowhere", NotFoundError),
        ("create nightly --role promoter", click.UsageError),
        ("create nightly --days 0", click.UsageError),
        ("revoke nobody --reason r", NotFoundError),
        ("revoke ci", click.UsageError),
        ("revoke ci --reason r --environment nowhere", NotFoundError),
        ("revoke spiffe://x/y --certificate-only --reason r", NotFoundError),
        ("revoke ci --reason r --since yesterday", click.UsageError),
        ("revoke ci --reason ''", InvalidInputError),
        ("revoke 'oidc:no subject' --reason r", InvalidInputError),
    ],
)
def test_what_cannot_be_done_changes_nothing(run, folder, line, error):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(error):
        run(line)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_without_the_authoritys_key_none_is_made(run, folder):
    (folder / "ca" / "ca-key.pem").unlink()
    with pytest.raises(FileUnreadableError, match="ca-key.pem"):
        run("create nightly")
    (folder / "ca" / "ca-key.pem").write_text("no key")
    with pytest.raises(CarnetError, match="authority"):
        run("create nightly")
    assert not (folder / "identities" / "nightly").exists()


def test_the_list_says_who_may_do_what_where(run, folder):
    found = {each["name"]: each for each in run("ls")["identities"]}
    assert found["ci"]["subject"] == CI
    assert found["ci"]["roles"] == {"dev": ["publisher"]}
    assert found["rita"]["roles"] == {"dev": ["reader"], "prod": ["reader"]}
    assert (found["ci"]["signs"], found["rita"]["signs"]) == (True, False)
    (folder / "identities" / "ci" / "tls.pem").write_text("broken")
    ci = next(each for each in run("ls")["identities"] if each["name"] == "ci")
    assert "no certificate" in ci["problem"]
    assert "unreadable" in run("ls", output="text")


def test_a_revoked_identity_is_revoked_everywhere_and_the_rest_of_the_document_stays(run, folder):
    path = folder / "environments" / "dev" / "trust.yaml"
    before = path.read_text()
    answer = run('revoke ci --reason "the runner: broken into #1" --since 2026-01-31T08:00Z')
    assert answer["environments"] == [
        {"name": name, "trust_version": 2, "signatures_needed": 0} for name in ("dev", "prod")
    ]
    for name in ("dev", "prod"):
        entry = trust(folder, name).revocation_of(CI)
        assert (entry.reason, entry.since.isoformat()) == (
            "the runner: broken into #1",
            "2026-01-31T08:00:00+00:00",
        )
    kept = [line for line in before.splitlines() if not line.startswith("version:")]
    assert [line for line in path.read_text().splitlines() if line in kept] == kept
    assert next(each for each in run("ls")["identities"] if each["name"] == "ci")["revoked_in"] == [
        "dev",
        "prod",
    ]
    with pytest.raises(AlreadyExistsError):
        run("revoke ci --reason again")
    run("revoke rita --reason left --environment prod")
    assert trust(folder, "prod").revocation_of(CI)
    assert trust(folder, "prod").version == 3
    assert trust(folder, "dev").version == 2


@pytest.mark.parametrize(("people", "words"), [(1, "a person has"), (2, "2 different people have")])
def test_where_people_must_sign_the_document_it_is_said(run, folder, people, words):
    path = folder / "environments" / "prod" / "environment.yaml"
    signers = [
        {"person": name, "pem": SigningKey.generate().verification_key.pem} for name in ("rita", "bob")
    ]
    demand = {"documents": {"signatures": people, "signers": signers}}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | demand))
    page = run("revoke ci --reason lost", output="text")
    (said,) = [line for line in page.splitlines() if "carnet document sign" in line]
    assert said.startswith(f"prod takes it only once {words} signed it")
    assert f"sign {folder / 'environments' / 'prod' / 'trust.yaml'} --environment prod" in said


def test_only_the_certificate_is_revoked_where_that_is_meant(run, folder):
    run("revoke ci --certificate-only --environment dev --reason 'key left the vault'")
    assert trust(folder, "dev").revocation_of(CI) is None
    assert next(each for each in run("ls")["identities"] if each["name"] == "ci")["revoked_in"] == ["dev"]
    with pytest.raises(AlreadyExistsError):
        run("revoke ci --certificate-only --environment dev --reason again")


def test_a_subject_of_tokens_is_revoked_by_its_form(run, folder):
    subject = "oidc:token.actions.githubusercontent.com:repo:acme/fraud:ref:refs/heads/main"
    run(f"revoke {subject} --reason 'workflow changed'")
    assert trust(folder, "prod").revocation_of(subject).subject == subject


def test_a_document_in_a_form_that_cannot_be_added_to_is_left_alone(run, folder):
    path = folder / "environments" / "dev" / "trust.yaml"
    path.write_text(
        path.read_text() + "revoked: [{subject: spiffe://a/b, since: 2026-01-01T00:00:00Z, reason: r}]\n"
    )
    before = path.read_text()
    with pytest.raises(InvalidInputError, match="add by hand: - "):
        run("revoke ci --reason r")
    assert path.read_text() == before


def test_people_are_told_what_happened(run):
    text = run("create olga --kind person --role approver --environment prod", output="text")
    assert "may do nothing yet" in text
    assert "prod/trust.yaml" in text
    assert "roles:\n  - {subject: " in text
    assert "trust.yaml is version 2 now" in run("revoke olga --reason left", output="text")


def _leaves():
    return [("identity",), *(("identity", name) for name in identity.commands)]


@pytest.mark.parametrize("path", _leaves(), ids=" ".join)
def test_every_command_has_help_with_an_example_that_parses(path):
    command = identity if len(path) == 1 else identity.commands[path[1]]
    help_text = CliRunner().invoke(command, ["--help"]).output
    assert "Example" in help_text
    examples = [line.strip() for line in command.help.splitlines() if line.strip().startswith("carnet ")]
    assert examples
    for line in examples:
        words = shlex.split(line)
        assert tuple(words[1 : 1 + len(path)]) == path
        with command.make_context(path[-1], words[1 + len(path) :], obj=Settings()):
            pass
