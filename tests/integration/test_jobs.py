"""A CI job with nothing but its token: it publishes, attests and asks for promotion, and holds no key."""

from __future__ import annotations

import json
import socket

import pytest
import yaml

from carnet.client.federation import TOKEN_FILE_VARIABLE
from carnet.signing.certificate import read_signing_certificate
from carnet.signing.model_signature import read_model_signature
from carnet.translog.entry import EntryType, parse_entry
from tests.support.bundles import make_bundle_directory
from tests.support.federation import GOOD_METRICS, LocalFederation
from tests.support.oidc import Issuer, github_claims

JOB_CLAIMS = {"repository": "acme/fraud", "ref": "refs/heads/main"}
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


class Plain(yaml.SafeDumper):
    """Writes what stands twice twice: documents have no anchors."""

    def ignore_aliases(self, _data):
        return True


def dump(value):
    return yaml.dump(value, Dumper=Plain)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def edit(path, change):
    value = yaml.safe_load(path.read_text())
    change(value)
    path.write_text(dump(value))


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture(scope="module")
def federation(tmp_path_factory, issuer):
    """Dev and staging, where the jobs of one repository may publish, evaluate and ask for promotion."""
    federation = LocalFederation(tmp_path_factory.mktemp("jobs") / "carnet")
    folder = federation.folder
    ports = {"dev": free_port(), "sync": free_port()}
    pins = yaml.safe_load((folder / "federation.yaml").read_text())
    authority = pins["environments"]["dev"]["signing_authority"]
    jobs = {
        "issuer": issuer.url,
        "claims": JOB_CLAIMS,
        "purposes": ["bundle", "request"],
        "evidence": [{"role": "evaluator", "type": TEST_RESULT}],
        "namespaces": ["risk"],
    }

    def trust(document):
        document["version"] += 1
        document["authorities"] = [{"environment": "dev", "certificate": authority, "signers": [jobs]}]
        document["roles"].append(
            {
                "issuer": issuer.url,
                "claims": JOB_CLAIMS,
                "roles": ["publisher", "evaluator", "requester"],
                "namespaces": ["risk"],
            }
        )
        carol = {"issuer": issuer.url, "claims": {"actor": "carol"}}
        document["people"].append({"name": "carol-of-ci", "claims": [carol]})

    def dev_trust(document):
        trust(document)
        document["oidc"] = [{"issuer": issuer.url, "audience": "carnet"}]

    environments = folder / "environments"
    edit(environments / "dev" / "trust.yaml", dev_trust)
    edit(environments / "staging" / "trust.yaml", trust)
    address = f"127.0.0.1:{ports['dev']}"
    edit(environments / "dev" / "environment.yaml", lambda value: value.update(bearer_listen=address))
    pins["environments"]["dev"]["bearer_endpoint"] = address
    pins["sync"]["bearer_endpoint"] = f"127.0.0.1:{ports['sync']}"
    (folder / "federation.yaml").write_text(dump(pins))

    def sync(value):
        value["bearer_listen"] = f"127.0.0.1:{ports['sync']}"
        value["oidc"] = [{"issuer": issuer.url, "audience": "carnet"}]
        value["callers"].append({"issuer": issuer.url, "claims": JOB_CLAIMS, "roles": ["requester"]})

    edit(folder / "sync" / "sync.yaml", sync)
    federation.start()
    pins["identity"] = ""
    (folder / "federation.yaml").write_text(dump(pins))
    yield federation
    federation.stop()


@pytest.fixture
def as_job(federation, issuer, tmp_path, monkeypatch):
    """Be a job with a token, and with no key, certificate or identity."""

    def become(**claims):
        token = tmp_path / "token"
        token.write_text(issuer.token(github_claims(aud="carnet", actor="carol", **claims)))
        monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(token))
        return token

    return become


def run(federation, *arguments, check=0):
    return federation.cli_json(*arguments, identity="", check=check)


def attest(federation, reference, tmp_path, check=0):
    content = {"suite": "evaluation", "result": "PASSED", "metrics": GOOD_METRICS}
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    arguments = ("attest", reference, "--type", "test-result", "--file", str(tmp_path / "evaluation.json"))
    return federation.cli(*arguments, identity="", check=check)


def entries(federation, environment):
    rows = federation.query(environment, 'SELECT entry FROM log_entries ORDER BY "index"')
    return [parse_entry(bytes(data)) for (data,) in rows]


def test_a_job_publishes_attests_and_promotes_with_no_stored_key(federation, as_job, tmp_path, monkeypatch):
    token = as_job()
    folder = make_bundle_directory(tmp_path)
    pushed = federation.cli("push", "dev/risk/jobs", str(folder), identity="")
    assert "dev/risk/jobs@1" in pushed.stdout + pushed.stderr
    attest(federation, "dev/risk/jobs@1", tmp_path)
    promoted = federation.cli(
        "promote", "dev/risk/jobs@1", "--to", "staging", "--wait", "--timeout", "60s", identity="", check=None
    )
    assert promoted.returncode == 0, promoted.stdout + promoted.stderr

    issued = [each for each in entries(federation, "dev") if each.type is EntryType.CERTIFICATE_ISSUED]
    assert len(issued) == 3
    assert {each.actor.method for each in issued} == {"oidc"}

    # Whoever pulls has no token and pins only the authority; the certificate may have ended long ago.
    token.unlink()
    monkeypatch.delenv(TOKEN_FILE_VARIABLE)
    target = tmp_path / "pulled"
    federation.cli("pull", "staging/risk/jobs@1", "--to", str(target), identity="alice")
    envelope = read_model_signature((target / "model.sig").read_bytes())
    certificate = read_signing_certificate(envelope.signatures[0].cert)
    assert certificate.subject.endswith(":repo:acme/fraud:environment:prod")
    assert (certificate.expires_at - certificate.issued_at).total_seconds() <= 3600
    federation.cli("verify", str(target), identity="alice")
    shown = federation.cli_json("evidence", "ls", "staging/risk/jobs@1", identity="alice")
    assert certificate.subject in json.dumps(shown)
    federation.cli("audit", "verify", identity="dave")


def test_a_job_of_another_repository_gets_nowhere(federation, as_job, tmp_path):
    as_job(repository="acme/evil", sub="repo:acme/evil:ref:refs/heads/main")
    folder = make_bundle_directory(tmp_path)
    refused = federation.cli("push", "dev/risk/evil", str(folder), identity="", check=4)
    assert "acme/evil" in refused.stderr


def test_a_job_is_told_what_is_missing_where_nobody_certifies_keys(federation, as_job, tmp_path):
    as_job()
    pins = federation.folder / "federation.yaml"
    before = pins.read_text()
    value = yaml.safe_load(before)
    del value["environments"]["dev"]["signing_authority"]
    pins.write_text(dump(value))
    try:
        refused = federation.cli(
            "push", "dev/risk/jobs", str(make_bundle_directory(tmp_path)), identity="", check=None
        )
    finally:
        pins.write_text(before)
    assert refused.returncode == 7
    assert "environments.dev.signing_authority" in refused.stderr
