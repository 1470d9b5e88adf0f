"""attest with what CI has, and what `evidence ls` shows of it."""

from __future__ import annotations

import base64
import json

import pytest

from carnet.signing.keys import SigningKey
from carnet.signing.statement import Statement, sign_statement

SCAN = {
    "version": "2.1.0",
    "runs": [{"tool": {"driver": {"name": "bandit"}}, "results": [{"ruleId": "B101", "level": "warning"}]}],
}
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILT = {
    "buildDefinition": {"buildType": "https://example.org/training/v1", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://builder.example/v1"}},
}


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


@pytest.fixture
def attest(carnet, fraud):
    return lambda path, *options: carnet(
        "attest", "dev/risk/fraud@1", "--file", path, "--as", "evaluator", *options
    )


def test_junit_is_recognised_and_shown_by_its_suite(carnet, attest, write):
    path = write("junit.xml", '<testsuite name="s"><testcase name="a"/></testsuite>')
    ran = attest(path, "--suite", "integration")
    assert (ran.code, ran.out.splitlines()[0]) == (0, "integration attested")
    listed = carnet("evidence", "ls", "dev/risk/fraud@1", "-o", "json").json["evidence"]
    assert [(each["suite"], each["result"]) for each in listed] == [("", "PASSED"), ("integration", "PASSED")]


def test_a_scan_fails_from_the_level_on_that_is_asked_for_and_is_listed_with_its_counts(
    carnet, attest, write
):
    path = write("scan.sarif", SCAN)
    assert attest(path).out.splitlines()[0] == "security-scan attested"
    failed = attest(path, "--fail-on", "warning", "-o", "json").json["evidence"]
    assert (failed["result"], failed["predicate_type"]) == (
        "FAILED",
        "https://in-toto.io/attestation/svr/v0.2",
    )
    page = carnet("evidence", "ls", "dev/risk/fraud@1").out
    assert "findings{level=warning}=1" in page
    assert "security-scan" in page


def test_a_report_of_very_many_figures_is_listed_by_the_first(carnet, attest, write):
    side = {"null_share": 0.5, "out_of_range_share": 0.0, "mean": None, "standard_deviation": None}
    feature = {
        "reference": side | {"value_count": 9},
        "data": side | {"value_count": 9},
        "mean_shift": None,
        "deviation_ratio": None,
        "psi": 0.125,
        "comparable": True,
        "verdict": "moderate",
    }
    features = [feature | {"name": f"f{number}"} for number in range(30)]
    path = write("skew.json", {"reference_rows": 18, "data_rows": 18, "features": features})
    assert attest(path).out.splitlines()[0] == "skew attested"
    page = carnet("evidence", "ls", "dev/risk/fraud@1").out
    assert "psi=0.125, null_share=0.5, out_of_range_share=0, psi{feature=f0}=0.125" in page
    assert "and 85 more" in page


@pytest.mark.parametrize("kind", ["fairness", "pii-review", "smoke-test"])
def test_a_report_of_properties_is_listed_by_what_it_is_about(carnet, attest, write, kind):
    path = write("report.json", {"properties": [{"name": "a", "result": "WARNED"}]})
    assert attest(path, "--type", kind).out.splitlines()[0] == f"{kind} attested"
    assert "WARNED" in carnet("evidence", "ls", "dev/risk/fraud@1").out


def test_a_predicate_is_signed_as_it_is(carnet, attest, write):
    ran = attest(
        write("p.json", {"attributes": [{"attribute": "A"}]}),
        "--predicate-type",
        "https://in-toto.io/attestation/scai/v0.3",
    )
    assert ran.out.splitlines()[0] == "attribute-report attested"
    assert "attribute-report" in carnet("evidence", "ls", "dev/risk/fraud@1").out


def test_a_dry_run_shows_the_statement_and_sends_nothing(carnet, federation, fraud, attest, write):
    path = write("scan.sarif", SCAN)
    before = len(federation.dev.evidence[fraud.digest])
    statement = attest(path, "--dry-run", "-o", "json").json["statement"]
    assert statement["subject"] == [{"name": "dev/risk/fraud@1", "digest": {"sha256": fraud.digest}}]
    shown = json.loads(attest(path, "--dry-run").out)
    assert shown["predicateType"] == statement["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
    assert len(federation.dev.evidence[fraud.digest]) == before


def signed(digest, predicate=BUILT, kind=PROVENANCE):
    return (
        sign_statement(Statement("fraud.tar", digest, kind, predicate), SigningKey.generate())
        .to_bytes()
        .decode()
    )


def test_envelopes_are_handed_over_as_they_are(carnet, federation, fraud, attest, write):
    lines = [signed(fraud.digest), signed(fraud.digest, {"x": 1}, "https://example.org/x")]
    ran = attest(write("build.intoto.jsonl", "\n".join(lines)), "-o", "json")
    assert [each["evidence"]["predicate_type"] for each in ran.json["attested"]] == [
        PROVENANCE,
        "https://example.org/x",
    ]
    assert [each.decode() for each in federation.dev.evidence[fraud.digest][-2:]] == lines
    again = attest(write("one.jsonl", lines[0]), "--type", "envelope")
    assert again.out.splitlines()[0] == "held before, nothing was changed"
    assert "provenance" in carnet("evidence", "ls", "dev/risk/fraud@1").out


def test_envelopes_about_another_bundle_are_refused_before_any_is_sent(federation, fraud, attest, write):
    before = len(federation.dev.evidence[fraud.digest])
    ran = attest(write("build.intoto.jsonl", signed(fraud.digest) + "\n" + signed("a" * 64)), "-o", "json")
    assert (ran.code, ran.json["reason"]) == (6, "STATEMENT_INVALID")
    assert "build.intoto.jsonl:2: it is about 'fraud.tar'" in ran.json["error"]
    assert len(federation.dev.evidence[fraud.digest]) == before


def test_an_envelope_that_is_no_statement_is_refused_with_its_line(fraud, attest, write):
    spoilt = json.loads(signed(fraud.digest))
    spoilt["payload"] = base64.b64encode(b'{"_type": "x"}').decode()
    ran = attest(write("build.intoto.jsonl", signed(fraud.digest) + "\n" + json.dumps(spoilt)), "-o", "json")
    assert (ran.code, ran.json["metadata"]["field"]) == (6, "_type")
    assert ran.json["error"].startswith("build.intoto.jsonl:2: ")


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("junit.xml", "<testsuite", ["--suite", "unit"], "junit.xml:1:"),
        ("junit.xml", "<testsuites/>", [], "--suite"),
        ("scan.sarif", '{"version": "2.1.0",\n"runs": ]}', [], "scan.sarif:2:9: not JSON"),
        ("scan.sarif", {"version": "2.1.0", "runs": []}, [], "scan.sarif: runs"),
        ("r.json", {"properties": []}, [], "say which, with --type"),
        ("m.json", {"suite": "a", "result": "PASSED"}, ["--fail-on", "note"], "--fail-on is not taken"),
        ("m.json", {}, ["--type", "cucumber"], "is not a kind of file"),
        ("m.json", {}, ["--predicate-type", "x"], "--predicate-type takes a URI"),
        ("m.json", {}, ["--type", "sarif", "--predicate-type", "urn:x"], "no --type beside it"),
        ("e.jsonl", '{"payload": "", "payloadType": "x", "signatures": []}', ["--dry-run"], "as they are"),
        ("e.jsonl", "{}", ["--type", "envelope"], "e.jsonl:1: "),
    ],
)
def test_what_is_malformed_is_exit_code_2_and_says_where(attest, write, name, content, options, message):
    ran = attest(write(name, content), *options, "-o", "json")
    assert ran.code == 2
    assert message in ran.out + ran.err


def test_a_file_that_is_not_there_is_exit_code_2(attest, tmp_path):
    assert attest(tmp_path / "nothing.xml").code == 2
