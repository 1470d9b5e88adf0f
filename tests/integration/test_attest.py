"""``carnet attest`` with what CI has, against a real registry that grants and refuses by predicate type."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from carnet.errors import KeyUntrustedError, SignatureInvalidError, StatementInvalidError
from carnet.signing.dsse import parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.statement import Statement, parse_statement, sign_statement
from tests.support.federation import LocalFederation

GOLDEN = Path(__file__).parents[1] / "unit" / "carnet" / "attesting" / "golden"
EVALUATOR = "spiffe://carnet.internal/service/evaluator"
BUILDER = "spiffe://carnet.internal/service/builder"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SVR = "https://in-toto.io/attestation/svr/v0.2"
PROVENANCE = "https://slsa.dev/provenance/v1"
CUSTOM = "https://example.org/drift/v1"
BUILT = {
    "buildDefinition": {
        "buildType": "https://example.org/training/v1",
        "externalParameters": {"ref": "main"},
    },
    "runDetails": {"builder": {"id": "https://builder.example/v1"}},
}
REPORTS = [
    ("junit-pytest.xml", ["--type", "junit", "--suite", "integration"], "integration", "FAILED"),
    ("junit-surefire.xml", ["--suite", "acceptance"], "acceptance", "WARNED"),
    ("pytest.json", ["--type", "pytest", "--suite", "unit"], "unit", "FAILED"),
    ("pytest-log.jsonl", ["--suite", "unit"], "unit", "WARNED"),
    ("metrics.json", ["--type", "test-result"], "evaluation", "PASSED"),
    ("scan.sarif", ["--type", "sarif"], "security-scan", "PASSED"),
    ("scan.sarif", ["--fail-on", "warning", "--suite", "dependency-scan"], "dependency-scan", "FAILED"),
    ("fairness.json", ["--type", "fairness"], "fairness", "WARNED"),
    ("pii-review.json", ["--type", "pii-review"], "pii-review", "FAILED"),
    ("smoke-test.json", ["--type", "smoke-test"], "smoke-test", "PASSED"),
    ("skew.json", [], "skew", "PASSED"),
]


@pytest.fixture(scope="module")
def builder():
    """The key of a build platform that is no client of the federation."""
    return SigningKey.generate()


@pytest.fixture(scope="module")
def dev(tmp_path_factory, builder):
    """dev alone, whose trust grants the evaluator more types than test results, and a build platform its own."""
    federation = LocalFederation(tmp_path_factory.mktemp("federation") / "carnet")
    path = federation.folder / "environments" / "dev" / "trust.yaml"
    trust = yaml.safe_load(path.read_text(encoding="utf-8"))
    (evaluator,) = (key for key in trust["keys"] if key["subject"] == EVALUATOR)
    evaluator["evidence"] = [{"role": "evaluator", "type": kind} for kind in (TEST_RESULT, SVR, CUSTOM)]
    trust["keys"].append(
        {
            "subject": BUILDER,
            "pem": builder.verification_key.pem,
            "evidence": [{"role": "builder", "type": PROVENANCE}],
        }
    )
    path.write_text(yaml.safe_dump(trust, sort_keys=False), encoding="utf-8")
    federation.start("dev")
    yield federation
    federation.stop()


@pytest.fixture(scope="module")
def version(dev, tmp_path_factory):
    return dev.publish(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def digest(dev, version):
    with dev.client("ci") as client:
        return client.resolve(version).bundle_digest


def held(dev, version):
    with dev.client("ci") as client:
        return {each.digest: each for each in client.evidence(version)}


@pytest.mark.parametrize(("name", "options", "suite", "result"), REPORTS)
def test_what_ci_has_is_signed_and_counts(dev, version, digest, tmp_path, name, options, suite, result):
    shutil.copy(GOLDEN / name, tmp_path / name)
    arguments = ["attest", str(version), "--file", str(tmp_path / name), *options]
    drafted = dev.cli_json(*arguments, "--dry-run", identity="evaluator")["statement"]
    before = held(dev, version)
    answer = dev.cli_json(*arguments, identity="evaluator")
    found = held(dev, version)[answer["evidence"]["digest"]]
    assert found.digest not in before
    assert (found.suite, found.result, found.trusted, found.signer) == (suite, result, True, EVALUATOR)
    statement = parse_statement(parse_envelope(found.envelope))
    assert statement.to_json() == drafted
    assert (statement.subject_digest, str(version)) == (digest, statement.subject_name)


def test_listing_names_each_by_what_it_is_about(dev, version, tmp_path):
    for name in ("scan.sarif", "smoke-test.json"):
        kind = "smoke-test" if name == "smoke-test.json" else "sarif"
        dev.cli("attest", str(version), "--file", str(GOLDEN / name), "--type", kind, identity="evaluator")
    page = dev.cli("evidence", "ls", str(version)).stdout
    for word in (
        "decision",
        "security-scan",
        "smoke-test",
        "findings{level=warning}=4",
        "latency_p99_ms=21.5",
    ):
        assert word in page


def test_provenance_that_a_build_platform_signed_is_taken_as_it_is(dev, version, digest, builder, tmp_path):
    signed = sign_statement(Statement("fraud.tar.gz", digest, PROVENANCE, BUILT), builder).to_bytes()
    pretty = json.dumps(json.loads(signed), indent=2).encode()
    (tmp_path / "build.json").write_bytes(pretty)
    answer = dev.cli_json(
        "attest",
        str(version),
        "--type",
        "envelope",
        "--file",
        str(tmp_path / "build.json"),
        identity="evaluator",
    )
    (added,) = answer["attested"]
    found = held(dev, version)[added["evidence"]["digest"]]
    assert (found.envelope, found.trusted, found.stated_signer) == (pretty, True, BUILDER)
    assert "provenance" in dev.cli("evidence", "ls", str(version)).stdout


def test_an_unknown_type_is_kept_from_a_signer_that_is_granted_it(dev, version, tmp_path):
    path = tmp_path / "drift.json"
    path.write_text('{"psi": 0.02, "columns": [{"name": "amount", "psi": 0.01}]}')
    answer = dev.cli_json(
        "attest", str(version), "--predicate-type", CUSTOM, "--file", str(path), identity="evaluator"
    )
    assert (answer["evidence"]["predicate_type"], answer["evidence"]["result"]) == (CUSTOM, "")
    assert answer["evidence"]["trusted"] is True


def test_what_the_registry_refuses_says_why_and_which_and_leaves_nothing(
    dev, version, digest, builder, tmp_path
):
    before = held(dev, version)
    good = sign_statement(Statement("fraud", digest, PROVENANCE, BUILT | {"n": 1}), builder).to_bytes()
    forged = json.loads(good)
    forged["signatures"][0]["sig"] = json.loads(
        sign_statement(Statement("fraud", digest, PROVENANCE, BUILT | {"n": 2}), builder).to_bytes()
    )["signatures"][0]["sig"]
    not_granted = sign_statement(
        Statement(
            "fraud",
            digest,
            SVR,
            {
                "verifier": {"id": "v", "policies": []},
                "timeCreated": "2026-03-01T12:00:00Z",
                "properties": ["A"],
            },
        ),
        builder,
    )
    stranger = sign_statement(Statement("fraud", digest, PROVENANCE, BUILT), SigningKey.generate())
    other_version = sign_statement(Statement("dev/risk/fraud@99", digest, PROVENANCE, BUILT), builder)
    refusals = [
        (json.dumps(forged).encode(), SignatureInvalidError),
        (not_granted.to_bytes(), KeyUntrustedError),
        (stranger.to_bytes(), KeyUntrustedError),
        (other_version.to_bytes(), StatementInvalidError),
    ]
    with dev.client("evaluator") as client:
        for data, error in refusals:
            (tmp_path / "e.jsonl").write_bytes(data)
            with pytest.raises(error, match=r"^e\.jsonl:1: ") as caught:
                client.attest_signed(version, tmp_path / "e.jsonl")
            assert type(caught.value) is error
        with pytest.raises(KeyUntrustedError, match="not trusted here to attest"):
            client.attest(
                version, {"attributes": [{"attribute": "A"}]}, kind="https://in-toto.io/attestation/scai/v0.3"
            )
    assert held(dev, version) == before


def test_a_malformed_report_is_exit_code_2_and_asks_no_signature(dev, version, tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text('<!DOCTYPE x [<!ENTITY a "b">]>\n<testsuite name="s"><testcase name="&a;"/></testsuite>')
    done = dev.cli(
        "attest", str(version), "--file", str(path), "--suite", "unit", identity="evaluator", check=2
    )
    assert "junit.xml:1:" in done.stderr
    assert "a document type declaration" in done.stderr
