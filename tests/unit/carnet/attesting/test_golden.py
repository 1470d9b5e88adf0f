"""What real tools write, and the predicate that is made of it, to the byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carnet.attesting.statement import Options, make_statement
from carnet.canonical import canonical_json, sha256_hex
from carnet.signing.evidence_content import content_of

GOLDEN = Path(__file__).parent / "golden"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
SVR = "https://in-toto.io/attestation/svr/v0.2"
CASES = [
    ("junit-pytest.xml", None, Options("integration"), TEST_RESULT, "FAILED"),
    ("junit-surefire.xml", None, Options("integration"), TEST_RESULT, "WARNED"),
    ("junit-googletest.xml", "junit", Options("integration"), TEST_RESULT, "PASSED"),
    ("pytest.json", None, Options("unit"), TEST_RESULT, "FAILED"),
    ("pytest-log.jsonl", None, Options("unit"), TEST_RESULT, "WARNED"),
    ("metrics.json", None, Options(), TEST_RESULT, "PASSED"),
    ("scan.sarif", None, Options(), SVR, "PASSED"),
    ("fairness.json", "fairness", Options(), SVR, "WARNED"),
    ("pii-review.json", "pii-review", Options(), SVR, "FAILED"),
    ("smoke-test.json", "smoke-test", Options(), SVR, "PASSED"),
    ("skew.json", None, Options(), TEST_RESULT, "PASSED"),
]


def predicate_of(name: str) -> dict:
    return json.loads((GOLDEN / f"{name.replace('.', '-')}.predicate.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "kind", "options", "predicate_type", "result"), CASES)
def test_a_report_becomes_the_predicate_on_file(name, kind, options, predicate_type, result):
    data = (GOLDEN / name).read_bytes()
    statement = make_statement(
        data, name=name, kind=kind, options=options, subject_name="dev/risk/fraud@3", subject_digest="d" * 64
    )
    assert (statement.subject_name, statement.subject_digest) == ("dev/risk/fraud@3", "d" * 64)
    assert statement.predicate_type == predicate_type
    assert json.loads(canonical_json(statement.predicate)) == predicate_of(name)
    assert content_of(statement).result == result


@pytest.mark.parametrize("name", [case[0] for case in CASES])
def test_the_predicate_names_the_file_that_it_was_made_of(name):
    predicate = predicate_of(name)
    made_of = predicate.get("carnet_report") or predicate["configuration"][0]
    assert made_of["name"] == name
    assert made_of["digest"] == {"sha256": sha256_hex((GOLDEN / name).read_bytes())}
