"""Telling files apart, and which options each kind takes."""

from __future__ import annotations

import json
import math

import pytest

from carnet.attesting.kinds import recognise
from carnet.attesting.report import Report
from carnet.attesting.statement import MAX_PAYLOAD_BYTES, Options, make_statement
from carnet.errors import DocumentInvalidError
from carnet.signing.dsse import MAX_ENVELOPE_BYTES, parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.statement import sign_statement
from tests.unit.carnet.attesting.test_golden import CASES, GOLDEN

ENVELOPE = {"payload": "", "payloadType": "x", "signatures": []}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\n <testsuites/>", "junit"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>', "junit"),
        ("<?xml".encode("utf-16"), "junit"),
        (b'{"pytest_version": "9", "$report_type": "SessionStart"}\n{"$report_type": "X"}', "pytest"),
        ({"exitcode": 0, "tests": []}, "pytest"),
        ({"exitcode": 0, "summary": {}}, "pytest"),
        ({"version": "2.1.0", "runs": []}, "sarif"),
        ({"$schema": "https://json.schemastore.org/SARIF-2.1.0.json"}, "sarif"),
        (ENVELOPE, "envelope"),
        ((json.dumps(ENVELOPE) + "\n" + json.dumps(ENVELOPE)).encode(), "envelope"),
        ({"dsseEnvelope": {}, "mediaType": "x"}, "envelope"),
        ({"suite": "evaluation", "result": "PASSED"}, "test-result"),
        ({"reference_rows": 1, "data_rows": 1, "features": []}, "skew"),
        ({"result": "PASSED", "configuration": [], "passedTests": []}, "test-result"),
        ({}, "test-result"),
    ],
)
def test_what_is_unambiguous_is_recognised(data, kind):
    assert recognise(Report(data if isinstance(data, bytes) else json.dumps(data).encode(), "f")) == kind


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "f:1:1: not JSON"),
        (b"nonsense", "f:1:1: not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"properties": []}', "say which, with --type fairness, pii-review, smoke-test"),
        (b'{"_type": "https://in-toto.io/Statement/v1"}', "--predicate-type"),
    ],
)
def test_what_is_not_must_be_said(data, message):
    with pytest.raises(DocumentInvalidError, match=message):
        recognise(Report(data, "f"))


def make(data, kind, **options):
    return make_statement(
        data,
        name="f",
        kind=kind,
        options=Options(**options),
        subject_name="dev/risk/fraud@3",
        subject_digest="d" * 64,
    )


GOOD = {name: (GOLDEN / name).read_bytes() for name, *_ in CASES}


@pytest.mark.parametrize(
    ("name", "kind", "options", "field"),
    [
        ("junit-pytest.xml", "junit", {}, "suite"),
        ("pytest.json", "pytest", {}, "suite"),
        ("junit-pytest.xml", "junit", {"suite": "Not A Name"}, "suite"),
        ("junit-pytest.xml", "junit", {"suite": "unit", "result": "PASSED"}, "result"),
        ("junit-pytest.xml", "junit", {"suite": "unit", "fail_on": "note"}, "fail_on"),
        ("scan.sarif", "sarif", {"result": "PASSED"}, "result"),
        ("fairness.json", "fairness", {"result": "PASSED"}, "result"),
        ("fairness.json", "fairness", {"fail_on": "note"}, "fail_on"),
        ("skew.json", "skew", {"result": "PASSED"}, "result"),
        ("skew.json", "skew", {"fail_on": "note"}, "fail_on"),
        ("metrics.json", "test-result", {"fail_on": "note"}, "fail_on"),
        ("metrics.json", "https://example.org/x", {"suite": "unit"}, "kind"),
        ("metrics.json", "example", {}, "kind"),
        ("metrics.json", "envelope", {}, "kind"),
        ("metrics.json", "urn:carnet:approval:v1", {}, "predicateType"),
        ("metrics.json", "https://in-toto.io/attestation/svr/v0.2", {}, "verifier"),
        ("metrics.json", "https://in-toto.io/attestation/scai/v0.3", {}, "attributes"),
        ("metrics.json", "https://slsa.dev/provenance/v1", {}, "buildDefinition"),
    ],
)
def test_options_that_do_not_belong_and_predicates_of_another_schema_are_refused(name, kind, options, field):
    with pytest.raises(DocumentInvalidError) as caught:
        make(GOOD[name], kind, **options)
    assert caught.value.metadata["field"] == field


def test_a_suite_may_be_named_for_every_report():
    assert (
        make(GOOD["scan.sarif"], None, suite="dependency-scan").predicate["carnet_suite"] == "dependency-scan"
    )
    assert make(GOOD["scan.sarif"], None, fail_on="note").predicate["carnet_result"] == "FAILED"


def test_the_largest_statement_fits_into_an_envelope_and_a_larger_one_is_refused():
    def predicate(size):
        return {f"k{index}": "x" * 1000 for index in range(size // 1007)}

    largest = make(json.dumps(predicate(500_000)).encode(), "https://example.org/x")
    assert len(largest.to_payload()) < MAX_PAYLOAD_BYTES
    signed = sign_statement(largest, SigningKey.generate()).to_bytes()
    assert parse_envelope(signed).digest
    assert MAX_PAYLOAD_BYTES * 4 // 3 < MAX_ENVELOPE_BYTES
    with pytest.raises(DocumentInvalidError, match="at most"):
        make(json.dumps(predicate(700_000)).encode(), "https://example.org/x")
    # Ten thousand broken rules are told of by the thousand worst, and fit.
    results = [{"ruleId": f"{'r' * 80}-{index}", "message": {"text": ""}} for index in range(10_000)]
    log = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "d"}}, "results": results}]}
    assert len(make(json.dumps(log).encode(), None).predicate["carnet_findings"]) == 1000


def test_a_converted_statement_that_is_too_large_is_refused():
    detail = {"name": "p", "result": "PASSED", "detail": "x" * 65_000}
    properties = [detail | {"name": f"p-{index}"} for index in range(20)]
    with pytest.raises(DocumentInvalidError, match="at most .* can be signed"):
        make(json.dumps({"properties": properties}).encode(), "fairness")


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_finite_number_is_named_in_every_form(figure):
    metrics = [{"name": "auc", "value": each, "direction": "higher_is_better"} for each in (0.5, figure)]
    document = {"suite": "evaluation", "result": "PASSED", "metrics": metrics}
    for data in (
        document,
        json.dumps(document).encode(),
        json.dumps(document).replace("NaN", "1e999").encode(),
    ):
        for kind in ("test-result", None, "https://example.org/x"):
            with pytest.raises(
                DocumentInvalidError, match=r"metrics\[1\].value should be a finite"
            ) as caught:
                make(data, kind if isinstance(data, dict) or kind else recognise(Report(data, "f")))
            assert caught.value.metadata["field"] == "metrics[1].value"
