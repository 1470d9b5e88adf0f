"""`carnet identity uses`, `authority` and `revoke --key`: what they print, change and exit with."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

import click
import pytest
import yaml
from click.testing import CliRunner

from carnet.cli.settings import Settings
from carnet.client.client import Client
from carnet.client.federation import Federation
from carnet.client.results import KeyUse
from carnet.errors import AlreadyExistsError, InvalidInputError, NotFoundError, PreconditionFailedError
from carnet.references import Reference
from carnet.signing.certificate import SigningAuthority
from carnet_server.access.trust import load_trust
from carnet_server.config import load_config
from carnet_server.identity.commands import identity
from carnet_server.identity.signing_authority import load_pair
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import TRUST_DOMAIN, Identity, Plan

CI = f"spiffe://{TRUST_DOMAIN}/service/ci"
KEY = "ab" * 32
PLAN = Plan(
    environments=("dev", "prod"),
    routes=(("dev", "prod", "pull"),),
    identities=(Identity("ci", "service", roles={"dev": ("publisher",)}, purposes=("bundle",)),),
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "carnet"
    initialise(folder, base_port=0, plan=PLAN)
    return folder


@pytest.fixture
def run(folder):
    def run(line, output="json", code=0):
        settings = Settings(directory=str(folder), output=output)
        result = CliRunner().invoke(identity, shlex.split(line), obj=settings, standalone_mode=False)
        if result.exception:
            raise result.exception
        assert (result.return_value or 0) == code
        return json.loads(result.output) if output == "json" else result.output

    return run


def trust(folder, environment):
    data = (folder / "environments" / environment / "trust.yaml").read_bytes()
    return load_trust(data, environment=environment)


# --- what rests on a key ----------------------------------------------------------------------------------


def a_use(version=1, **changes):
    values = {
        "kind": "bundle",
        "reference": Reference("prod", "risk", "fraud", version=version),
        "bundle_digest": f"{version}" * 64,
        "key_id": KEY,
        "subject": CI,
        "promotion": "",
        "created_at": datetime(2026, 2, 1, tzinfo=UTC),
        "log_index": 7,
        "since_compromise": False,
        "live": True,
        "aliases": (),
    }
    return KeyUse(**values | changes)


@pytest.fixture
def told(monkeypatch):
    """What the registry tells, and what it was asked."""
    uses, asked = [], []

    def key_uses(self, environment, *, key_id="", subject=""):
        asked.append((environment, key_id, subject))
        return tuple(uses)

    monkeypatch.setattr(Client, "key_uses", key_uses)
    return uses, asked


@pytest.mark.parametrize(
    ("who", "asked"),
    [
        (KEY, ("prod", KEY, "")),
        (CI, ("prod", "", CI)),
        ("ci", ("prod", "", CI)),
        ("oidc:x:y", ("prod", "", "oidc:x:y")),
    ],
)
def test_a_key_a_subject_and_an_identity_are_asked_for(run, told, who, asked):
    said = run(f"uses {who} --environment prod")
    assert told[1] == [asked]
    assert said["uses"] == []
    assert said["summary"]["versions"] == 0


def test_somebody_who_is_unknown_is_not_asked_for(run, told):
    with pytest.raises(NotFoundError):
        run("uses nobody --environment prod")
    assert told[1] == []


@pytest.mark.parametrize(
    ("uses", "code"),
    [
        ([a_use()], 0),
        ([a_use(since_compromise=True)], 5),
        ([a_use(since_compromise=True, live=False)], 0),
        ([a_use(), a_use(2, since_compromise=True, live=False)], 0),
        ([a_use(kind="evidence"), a_use(kind="approval", since_compromise=True)], 5),
    ],
)
def test_a_live_version_on_a_compromised_key_is_an_exit_code(run, told, uses, code):
    told[0].extend(uses)
    said = run(f"uses {KEY} --environment prod", code=code)
    assert bool(said["summary"]["compromised_live_versions"]) is bool(code)


def test_the_summary_counts_each_version_once_and_names_the_aliases(run, told):
    champion = {"aliases": ("champion", "shadow")}
    told[0].extend([a_use(**champion), a_use(kind="evidence", **champion), a_use(2, live=False)])
    assert run(f"uses {KEY} --environment prod")["summary"] == {
        "versions": 2,
        "live_versions": 1,
        "compromised_live_versions": [],
        "aliases": ["risk/fraud@champion", "risk/fraud@shadow"],
    }
    page = run(f"uses {KEY} --environment prod", "text")
    assert "2 versions, 1 of them live, behind the aliases risk/fraud@champion, risk/fraud@shadow" in page
    assert KEY[:12] in page


def test_only_what_arrived_since_the_compromise_is_shown_where_that_is_asked(run, told):
    told[0].extend([a_use(), a_use(2, since_compromise=True)])
    said = run(f"uses {KEY} --environment prod --since-compromise", code=5)
    assert [each["since_compromise"] for each in said["uses"]] == [True]
    assert said["summary"]["versions"] == 1


# --- revoking a key ---------------------------------------------------------------------------------------


def test_a_key_is_revoked_alone_everywhere(run, folder):
    said = run(f'revoke --key {KEY} --reason "the laptop was stolen" --since 2026-01-31T08:00Z')
    assert said["revoked"]["key"] == KEY
    for environment in ("dev", "prod"):
        found = trust(folder, environment)
        assert found.revocation_of_key(KEY, "").since == datetime(2026, 1, 31, 8, tzinfo=UTC)
        assert found.version == 2
        assert found.revocation_of(CI) is None
    with pytest.raises(AlreadyExistsError, match=KEY):
        run(f"revoke --key {KEY} --reason again")


def test_revoking_says_how_to_see_what_was_touched(run):
    page = run(f"revoke --key {KEY} --reason stolen --environment dev", "text")
    assert f"carnet identity uses {KEY} --environment dev" in page


@pytest.mark.parametrize("line", ["", f"ci --key {KEY}", f"--key {KEY} --certificate-only"])
def test_what_is_revoked_must_be_one_thing(run, line):
    with pytest.raises(click.UsageError):
        run(f"revoke {line} --reason x")


def test_a_key_of_another_form_is_refused_and_nothing_is_written(run, folder):
    before = (folder / "environments" / "dev" / "trust.yaml").read_text()
    with pytest.raises(InvalidInputError, match="key: "):
        run("revoke --key ABC --reason x")
    assert (folder / "environments" / "dev" / "trust.yaml").read_text() == before


# --- the signing authority --------------------------------------------------------------------------------


def test_every_environment_has_an_authority_of_its_own_that_is_pinned_and_believed_by_nobody(folder):
    found = Federation.load(folder)
    fingerprints = set()
    for name in ("dev", "prod"):
        config = load_config(folder / "environments" / name / "environment.yaml").signing_authority
        assert config.valid_for == timedelta(minutes=10)
        assert config.key.stat().st_mode & 0o077 == 0
        pair = load_pair(config.certificate, config.key)
        assert name in pair.certificate.subject.rfc4514_string()
        assert found.environment(name).authority == SigningAuthority(pair.certificate)
        fingerprints.add(found.environment(name).authority.fingerprint)
        assert trust(folder, name)._authorities == ()
    assert len(fingerprints) == 2


def test_the_lines_for_another_environment_can_be_pasted(run, folder):
    said = run("authority --environment dev")
    assert said["fingerprint"] == Federation.load(folder).environment("dev").authority.fingerprint
    pasted = yaml.safe_load(said["trust_lines"])
    document = yaml.safe_load((folder / "environments" / "prod" / "trust.yaml").read_text())
    whole = load_trust(yaml.safe_dump(document | pasted).encode(), environment="prod")
    assert [each.document.environment for each in whole._authorities] == ["dev"]
    page = run("authority --environment dev", "text")
    assert "signers:" in page
    assert said["certificate"].splitlines()[1] in page


def test_a_renewed_authority_keeps_key_and_name_and_is_pinned_anew(run, folder):
    before = Federation.load(folder).environment("dev").authority
    other = Federation.load(folder).environment("prod").authority
    said = run("authority --environment dev --renew")
    federation = Federation.load(folder)
    after = federation.environment("dev").authority
    assert after != before
    assert after.fingerprint == said["fingerprint"]
    assert after.ends_at >= before.ends_at
    assert federation.environment("prod").authority == other
    config = load_config(folder / "environments" / "dev" / "environment.yaml").signing_authority
    assert SigningAuthority(load_pair(config.certificate, config.key).certificate) == after


def test_an_environment_that_is_not_here_or_has_no_authority_is_refused(run, folder):
    with pytest.raises(NotFoundError, match="staging"):
        run("authority --environment staging")
    path = folder / "environments" / "dev" / "environment.yaml"
    value = yaml.safe_load(path.read_text())
    del value["signing_authority"]
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(PreconditionFailedError, match="signing_authority"):
        run("authority --environment dev")


@pytest.mark.parametrize("valid_for", ["59s", "61m", "soon"])
def test_how_long_a_certificate_is_valid_is_bounded(folder, valid_for):
    path = folder / "environments" / "dev" / "environment.yaml"
    value = yaml.safe_load(path.read_text())
    value["signing_authority"]["valid_for"] = valid_for
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(InvalidInputError, match="signing_authority.valid_for"):
        load_config(path)
