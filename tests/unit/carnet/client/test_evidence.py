"""Making and reading attestations."""

from __future__ import annotations

import json

import pytest

import carnet
from carnet import errors
from carnet.attesting.statement import Options, make_statement
from carnet.canonical import sha256_hex
from carnet.registry.v1 import evidence_pb2
from carnet.signing.dsse import parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.statement import Statement, parse_statement, sign_statement
from carnet.signing.test_result import TestResult
from tests.unit.carnet.client.fake_federation import signing_key

METRICS = [{"name": "roc_auc", "value": 0.99, "direction": "higher_is_better"}]
PLAIN = {"suite": "evaluation", "result": "PASSED", "metrics": METRICS}


@pytest.fixture
async def evaluator(federation):
    async with carnet.connect_async(federation.folder, identity="evaluator") as client:
        yield client


async def test_a_metrics_file_becomes_a_signed_test_result(evaluator, fraud, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(PLAIN))
    added = await evaluator.attest("dev/risk/fraud@1", path)
    found = added.evidence
    assert (found.kind, found.result) == ("evaluation", "PASSED")
    assert [(each.key, each.value) for each in found.metrics] == [("roc_auc", 0.99)]
    assert found.signer == "spiffe://carnet.internal/service/evaluator"
    statement = parse_statement(parse_envelope(found.envelope))
    assert (statement.subject_name, statement.subject_digest) == ("dev/risk/fraud@1", fraud.digest)
    test = TestResult.parse(statement)
    assert test.configuration[0].name == "metrics.json"
    assert test.finished_at is not None
    assert {each.digest for each in await evaluator.evidence("dev/risk/fraud@1")} >= {found.digest}


async def test_a_predicate_of_another_type_is_signed_as_it_is(evaluator, fraud):
    added = await evaluator.attest(
        "dev/risk/fraud@1", {"scanner": "x", "findings": []}, kind="https://example.org/scan/v1"
    )
    assert added.evidence.kind == "https://example.org/scan/v1"
    statement = parse_statement(parse_envelope(added.evidence.envelope))
    assert statement.predicate == {"scanner": "x", "findings": []}


def _statement(content, **parts):
    kind = parts.pop("kind", "test-result")
    return make_statement(
        content,
        name="m.json",
        kind=kind,
        options=Options(**parts),
        subject_name="dev/risk/fraud@1",
        subject_digest="0" * 64,
    )


def test_suite_and_result_may_come_from_outside():
    statement = _statement({"metrics": METRICS}, suite="evaluation", result="FAILED")
    test = TestResult.parse(statement)
    assert (test.suite, test.result) == ("evaluation", "FAILED")


def test_the_in_toto_form_is_taken_with_its_own_fields():
    predicate = {"result": "PASSED", "configuration": [], "passedTests": ["a"], "vendor": 1}
    statement = _statement(predicate, suite="integration")
    assert statement.predicate == predicate | {"carnet_suite": "integration"}


BAD = [
    (b"not json", {}, "m.json"),
    (b"[]", {}, "m.json"),
    (b'{"suite": "a", "suite": "b", "result": "PASSED"}', {}, "suite"),
    ({"suite": "evaluation"}, {}, "result"),
    ({"result": "PASSED"}, {}, "suite"),
    ({"suite": "evaluation", "result": "GREAT"}, {}, "result"),
    ({"suite": "evaluation", "result": "PASSED", "metric": []}, {}, "metric"),
    ({**PLAIN, "metrics": [{"name": "a", "value": "1", "direction": "higher_is_better"}]}, {}, "value"),
    ({**PLAIN, "metrics": [{"name": "a", "value": 1.0}]}, {}, "direction"),
    ({**PLAIN, "metrics": [{"name": "a", "value": float("nan"), "direction": "x"}]}, {}, "m.json"),
    ({"result": "PASSED", "passedTests": "all", "configuration": []}, {}, "passedTests"),
    (PLAIN, {"kind": "test_result"}, "kind"),
    ({}, {"kind": "https://example.org/scan/v1", "suite": "x"}, "kind"),
]


@pytest.mark.parametrize(("content", "parts", "named"), BAD)
def test_a_document_that_is_not_of_its_kind_names_the_field(content, parts, named):
    with pytest.raises(errors.DocumentInvalidError) as caught:
        _statement(content, **parts)
    assert named in caught.value.message + caught.value.metadata.get("field", "")


async def test_a_missing_file_is_named(evaluator, fraud, tmp_path):
    with pytest.raises(errors.FileUnreadableError, match="nothing.json"):
        await evaluator.attest("dev/risk/fraud@1", tmp_path / "nothing.json")


def _other_digest(answer):
    answer.evidence[0].digest = "0" * 64


def _truncated(answer):
    answer.evidence[0].envelope = answer.evidence[0].envelope[:100]
    answer.evidence[0].digest = sha256_hex(answer.evidence[0].envelope)


@pytest.mark.parametrize(
    ("lie", "error"),
    [(_other_digest, errors.DigestMismatchError), (_truncated, errors.SignatureInvalidError)],
)
async def test_evidence_that_is_not_what_is_stated_is_refused(federation, client, fraud, lie, error):
    federation.dev.lies["ListEvidence"] = lie
    with pytest.raises(error):
        await client.evidence("dev/risk/fraud@1")


async def test_evidence_about_another_bundle_is_refused(federation, client, fraud, tmp_path):
    other = federation.publish(tmp_path, seed=2, version=2)
    foreign = federation.dev.evidence_message(federation.dev.evidence[other.digest][0])

    def smuggle(answer):
        answer.evidence.append(evidence_pb2.Evidence.FromString(foreign.SerializeToString()))

    federation.dev.lies["ListEvidence"] = smuggle
    with pytest.raises(errors.StatementInvalidError, match="is about the bundle"):
        await client.evidence("dev/risk/fraud@1")


async def test_a_signer_that_is_not_pinned_is_shown_as_unknown(federation, client, fraud):
    async with carnet.connect_async(federation.folder, identity="evaluator") as evaluator:
        await evaluator.attest("dev/risk/fraud@1", PLAIN)
    pem = signing_key("ci").verification_key.pem
    federation.write_folder(signers={"spiffe://carnet.internal/service/ci": pem})
    async with carnet.connect_async(federation.folder) as stranger:
        found = await stranger.evidence("dev/risk/fraud@1")
    assert [each.signer for each in found] == ["environment dev", ""]
    assert found[1].stated_signer == "spiffe://carnet.internal/service/evaluator"


async def test_a_report_in_a_file_is_recognised(evaluator, fraud, tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text('<testsuite name="s"><testcase name="a"><failure/></testcase></testsuite>')
    added = await evaluator.attest("dev/risk/fraud@1", path, suite="integration")
    assert (added.evidence.kind, added.evidence.result) == ("integration", "FAILED")


async def test_a_draft_is_what_would_be_signed_and_nothing_is_sent(evaluator, federation, fraud):
    before = len(federation.dev.evidence[fraud.digest])
    draft = await evaluator.draft_statement("dev/risk/fraud@1", PLAIN)
    assert draft["predicate"]["carnet_suite"] == "evaluation"
    assert draft["subject"][0]["digest"] == {"sha256": fraud.digest}
    assert len(federation.dev.evidence[fraud.digest]) == before


async def test_what_somebody_else_signed_is_handed_over_and_its_signer_unknown(evaluator, fraud, tmp_path):
    statement = Statement("fraud.tar", fraud.digest, "https://example.org/x", {"x": 1})
    data = sign_statement(statement, SigningKey.generate()).to_bytes()
    (tmp_path / "e.intoto.jsonl").write_bytes(data + b"\n")
    (added,) = await evaluator.attest_signed("dev/risk/fraud@1", tmp_path / "e.intoto.jsonl")
    assert (added.evidence.envelope, added.evidence.signer) == (data, "")
