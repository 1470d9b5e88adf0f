"""What holds for every kind of statement, and what each adds."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import sha256_hex
from carnet.errors import InvalidInputError, StatementInvalidError
from carnet.signing.approval import Approval
from carnet.signing.attribute_report import AttributeReport
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.cancellation import Cancellation
from carnet.signing.capability import Capability
from carnet.signing.decision import Decision, verifier_id, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.keys import SigningKey
from carnet.signing.passphrase import Passphrase
from carnet.signing.predicate import ForeignPredicate, Predicate
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.provenance import Provenance
from carnet.signing.release import Release
from carnet.signing.spoken import SpokenPredicate
from carnet.signing.stamp_list import StampList
from carnet.signing.statement import Statement, parse_statement
from carnet.signing.test_result import TestResult
from carnet.signing.verification_result import VerificationResult

KEY = SigningKey.generate()
SUBJECT = ("dev/risk/fraud@3", "d" * 64)
NOW = "2026-03-01T12:30:00Z"
LATER = "2026-03-08T12:30:00.000001Z"
PROMOTION = "0123456789abcdef" * 2
A, B, C = "a" * 64, "b" * 64, "c" * 64
NAMED = {"promotion": PROMOTION, "namespace": "risk", "model": "fraud", "version": 3}

# The JSON of each predicate, as it is on the wire.
EXAMPLES: dict[type[Predicate], dict[str, Any]] = {
    PromotionRequest: NAMED | {"source": "dev", "target": "prod", "alias": "", "requested_at": NOW},
    Release: NAMED
    | {
        "environment": "dev",
        "target": "prod",
        "evidence": [A, B],
        "revoked": False,
        "log_origin": "carnet.internal/dev",
        "log_size": 17,
        "issued_at": NOW,
    },
    StampList: {
        "environment": "prod",
        "namespace": "risk",
        "model": "fraud",
        "version": NAMED["version"],
        "alias": "champion",
        "signature": C,
        "evidence": [A, B],
        "statements": [B],
        "receipts": [],
        "revoked": False,
        "log_origin": "carnet.internal/prod",
        "log_size": 17,
        "issued_at": NOW,
    },
    Dossier: NAMED
    | {
        "source": "staging",
        "target": "prod",
        "alias": "champion",
        "policy_digest": C,
        "evidence": [A, B],
        "evidence_set_digest": evidence_set_digest([A, B]),
        "requester": "spiffe://carnet.internal/service/ci",
        "publisher": "spiffe://carnet.internal/service/ci",
        "issued_at": NOW,
        "expires_at": LATER,
    },
    Approval: {
        "promotion": PROMOTION,
        "dossier_digest": A,
        "source": "staging",
        "target": "prod",
        "policy_digest": C,
        "evidence_set_digest": B,
        "meaning": "approved",
        "reason": "Looked at the slices; no regression.",
        "signed_at": NOW,
        "expires_at": LATER,
        "nonce": "f" * 32,
    },
    BreakGlass: {
        "promotion": PROMOTION,
        "dossier_digest": A,
        "source": "staging",
        "target": "prod",
        "policy_digest": C,
        "evidence_set_digest": B,
        "skips": ["approvals", "integration-tests"],
        "reason": "Payments are declined; this is the fix.",
        "ticket": "INC-2207",
        "signed_at": NOW,
        "expires_at": LATER,
        "nonce": "f" * 32,
    },
    BreakGlassReview: {
        "promotion": PROMOTION,
        "target": "prod",
        "decision_digest": A,
        "verdict": "accepted",
        "reason": "The tests have passed since.",
        "signed_at": NOW,
        "nonce": "f" * 32,
    },
    Cancellation: {"promotion": PROMOTION, "reason": "Wrong version.", "cancelled_at": NOW},
    Capability: {
        "promotion": PROMOTION,
        "environment": "dev",
        "holder": "spiffe://carnet.internal/registry/prod",
        "namespace": "risk",
        "digests": [A, B],
        "expires_at": LATER,
    },
    TestResult: {
        "result": "PASSED",
        "configuration": [{"name": "holdout", "digest": {"sha256": A}}],
        "url": "https://example.org/runs/1",
        "passedTests": ["loads"],
        "carnet_suite": "evaluation",
        "carnet_metrics": [
            {"name": "roc_auc", "value": 0.98, "direction": "higher_is_better"},
            {
                "name": "recall",
                "value": 1,
                "direction": "higher_is_better",
                "slice": {"region": "eu"},
                "sample_count": 12,
            },
        ],
        "carnet_counts": {"passed": 1},
        "carnet_finished_at": NOW,
    },
    Decision: {
        "verifier": {"id": "urn:carnet:environment:prod", "version": {"carnet": "0.1.0"}},
        "timeVerified": NOW,
        "resourceUri": "urn:carnet:environment:prod/risk/fraud@3",
        "policy": {"uri": "urn:carnet:policy:prod", "digest": {"sha256": C}},
        "inputAttestations": [{"digest": {"sha256": A}}],
        "verificationResult": "FAILED",
        "verifiedLevels": [],
        "slsaVersion": "1.1",
        "carnet_promotion": PROMOTION,
        "carnet_alias": "champion",
        "carnet_rules": [{"rule": "approvals", "status": "AWAITING", "message": "0 of 2"}],
    },
    VerificationResult: {
        "verifier": {"id": "https://scanner.example/v2", "policies": [{"uri": "urn:example:policy"}]},
        "timeCreated": NOW,
        "properties": ["EXAMPLE_NO_CRITICAL_FINDINGS"],
        "carnet_suite": "security-scan",
        "carnet_result": "WARNED",
        "carnet_checks": [{"name": "licences", "result": "WARNED", "detail": "one is unknown"}],
        "carnet_metrics": [{"name": "findings", "value": 2, "direction": "lower_is_better"}],
        "carnet_tools": [{"name": "scanner", "version": "2.0", "rules": 7}],
        "carnet_findings": [{"rule": "X1", "level": "warning", "count": 2}],
        "carnet_fail_on": "error",
        "carnet_report": {"name": "scan.sarif", "digest": {"sha256": A}},
        "carnet_url": "https://example.org/runs/1",
    },
    AttributeReport: {
        "attributes": [
            {
                "attribute": "WITH_DIFFERENTIAL_PRIVACY",
                "conditions": {"epsilon": 1.5},
                "evidence": {"name": "report.json", "digest": {"sha256": A}},
            }
        ],
        "producer": {"uri": "https://builder.example/v1"},
        "carnet_suite": "privacy",
        "carnet_result": "PASSED",
        "carnet_finished_at": NOW,
    },
    Provenance: {
        "buildDefinition": {
            "buildType": "https://example.org/training/v1",
            "externalParameters": {"ref": "main"},
            "resolvedDependencies": [{"uri": "git+https://example.org/fraud", "digest": {"gitCommit": "ab"}}],
        },
        "runDetails": {
            "builder": {"id": "https://builder.example/v1"},
            "metadata": {"startedOn": NOW, "finishedOn": LATER},
        },
    },
}
OURS = [kind for kind in EXAMPLES if not issubclass(kind, ForeignPredicate)]


def statement_of(kind: type[Predicate], **fields: Any) -> Statement:
    return Statement(*SUBJECT, kind.PREDICATE_TYPE, EXAMPLES[kind] | fields)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_wire_form_is_read_and_written_unchanged(kind: type[Predicate]) -> None:
    predicate = kind.parse(statement_of(kind))

    assert predicate.to_predicate() == EXAMPLES[kind]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_signed_predicate_is_read_back_equal(kind: type[Predicate]) -> None:
    predicate = kind.parse(statement_of(kind))

    envelope = parse_envelope(predicate.sign(*SUBJECT, KEY).to_bytes())

    verify_envelope(envelope, {KEY.key_id: KEY.verification_key})
    statement = parse_statement(envelope)
    assert (statement.subject_name, statement.subject_digest) == SUBJECT
    assert kind.parse(statement) == predicate


BY_ROLLOUT: dict[type[Predicate], dict[str, Any]] = {
    PromotionRequest: {"alias": "champion", "by_rollout": True},
    Dossier: {"by_rollout": True},
    Decision: {
        "verificationResult": "PASSED",
        "carnet_rules": [],
        "carnet_by_rollout": True,
        "carnet_permit_expires_at": LATER,
    },
}
# The SHA-256 of the payloads of their examples, as they were before a promotion could be by rollout.
PAYLOADS_BEFORE: dict[type[Predicate], str] = {
    PromotionRequest: "2d288aae03562c47776ded664825b84bf186061b9e7968361ccd002d3bf60b6c",
    Dossier: "e43732066809769f84629edb936ec75bb88afdb02715d2472dfa13e92a793d98",
    Decision: "3254b7b7c0f4d74ae3dbdcab913d4ac5c89d0d62a7e91735e960ba42f812e213",
}


@pytest.mark.parametrize("kind", BY_ROLLOUT)
def test_request_dossier_and_decision_say_that_a_promotion_is_by_rollout(kind: type[Predicate]) -> None:
    written = EXAMPLES[kind] | BY_ROLLOUT[kind]
    if not written.get("carnet_rules", True):
        del written["carnet_rules"]

    predicate = kind.parse(statement_of(kind, **BY_ROLLOUT[kind]))

    assert predicate.to_predicate() == written
    assert "by_rollout=True" in repr(predicate)


def test_a_release_names_stamps_where_there_are_any() -> None:
    predicate = Release.parse(statement_of(Release, stamps=[A, B]))

    assert predicate.to_predicate() == EXAMPLES[Release] | {"stamps": [A, B]}
    assert Release.parse(statement_of(Release)).stamps == ()


@pytest.mark.parametrize("kind", PAYLOADS_BEFORE)
def test_without_a_rollout_what_is_signed_is_to_the_byte_what_it_was(kind: type[Predicate]) -> None:
    payload = kind.parse(statement_of(kind)).sign(*SUBJECT, KEY).payload

    assert sha256_hex(payload) == PAYLOADS_BEFORE[kind]


def test_an_emergency_does_not_wait_for_a_rollout() -> None:
    wish = statement_of(PromotionRequest, **BY_ROLLOUT[PromotionRequest], emergency=True)

    with pytest.raises(StatementInvalidError, match="does not wait for a rollout") as caught:
        PromotionRequest.parse(wish)
    assert caught.value.metadata["field"] == "by_rollout"


@pytest.mark.parametrize(
    "changes",
    [
        {"carnet_alias": ""},
        {"carnet_promotion": ""},
        {"carnet_rules": [{"rule": "approvals", "status": "SKIPPED", "message": "by two people"}]},
        {"carnet_permit_expires_at": NOW},
        {"verificationResult": "FAILED"},
        {"carnet_by_rollout": False},
    ],
)
def test_a_decision_that_permits_what_it_cannot_is_refused(changes: dict[str, Any]) -> None:
    Decision.parse(statement_of(Decision, **BY_ROLLOUT[Decision]))

    with pytest.raises(StatementInvalidError) as caught:
        Decision.parse(statement_of(Decision, **BY_ROLLOUT[Decision] | changes))
    assert caught.value.metadata["field"] in {"carnet_by_rollout", "carnet_permit_expires_at"}


SPOKEN = [kind for kind in EXAMPLES if issubclass(kind, SpokenPredicate)]


def test_what_people_say_at_a_terminal_tells_how_they_were_authenticated() -> None:
    assert set(SPOKEN) == {Approval, BreakGlass, BreakGlassReview}


@pytest.mark.parametrize("kind", SPOKEN)
def test_the_key_says_how_its_holder_was_authenticated_and_no_caller_does(kind: type[Predicate]) -> None:
    words = Passphrase("correct horse battery", typed=True)
    asked = SigningKey.from_pem(KEY.to_pem(passphrase=words), passphrase=words)
    for stated in ({}, {"authentication": "service"}):
        predicate = kind.parse(statement_of(kind, **stated))
        said = [parse_statement(predicate.sign(*SUBJECT, key)).predicate for key in (asked, KEY)]
        # Where nobody was asked the statement is to the byte what it was before there was such a field.
        assert said == [EXAMPLES[kind] | {"authentication": "passphrase"}, EXAMPLES[kind]]


@pytest.mark.parametrize("value", ["password", "", None, 1])
@pytest.mark.parametrize("kind", SPOKEN)
def test_another_authentication_is_refused(kind: type[Predicate], value: Any) -> None:
    with pytest.raises(StatementInvalidError) as caught:
        kind.parse(statement_of(kind, authentication=value))
    assert caught.value.metadata["field"] == "authentication"


def test_every_predicate_type_is_another() -> None:
    assert len({kind.PREDICATE_TYPE for kind in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_statement_of_another_type_is_refused(kind: type[Predicate]) -> None:
    other = dataclasses.replace(statement_of(kind), predicate_type="urn:example:other")

    with pytest.raises(StatementInvalidError) as caught:
        kind.parse(other)
    assert caught.value.metadata["field"] == "predicateType"


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in OURS for field in EXAMPLES[kind]])
def test_each_field_of_ours_is_required_and_named(kind: type[Predicate], field: str) -> None:
    predicate = {name: value for name, value in EXAMPLES[kind].items() if name != field}

    with pytest.raises(StatementInvalidError, match=f"{field} is missing") as caught:
        kind.parse(dataclasses.replace(statement_of(kind), predicate=predicate))
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind in EXAMPLES for field in EXAMPLES[kind]])
def test_a_field_of_another_type_is_refused_and_named(kind: type[Predicate], field: str) -> None:
    wrong: Any = 7 if not isinstance(EXAMPLES[kind][field], int) else "7"

    with pytest.raises(StatementInvalidError) as caught:
        kind.parse(statement_of(kind, **{field: wrong}))
    assert caught.value.metadata["field"].startswith(field)


@pytest.mark.parametrize("kind", OURS)
def test_unknown_fields_of_ours_are_refused(kind: type[Predicate]) -> None:
    with pytest.raises(StatementInvalidError, match="bogus is not a known field"):
        kind.parse(statement_of(kind, bogus=1))


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind not in OURS])
def test_unknown_fields_of_foreign_predicates_are_kept(kind: type[Predicate]) -> None:
    predicate = kind.parse(statement_of(kind, vendor={"x": 1}))

    assert predicate.to_predicate()["vendor"] == {"x": 1}


BAD = [
    (PromotionRequest, "promotion", "0" * 31),
    (PromotionRequest, "promotion", "0" * 32 + "\n"),
    (PromotionRequest, "promotion", "A" * 32),
    (PromotionRequest, "source", "Dev"),
    (PromotionRequest, "target", "dev"),
    (PromotionRequest, "namespace", ""),
    (PromotionRequest, "version", 0),
    (PromotionRequest, "version", 2**31),
    (PromotionRequest, "version", True),
    (PromotionRequest, "version", 3.0),
    (PromotionRequest, "alias", "Champion"),
    (PromotionRequest, "requested_at", "2026-03-01"),
    (PromotionRequest, "requested_at", "2026-03-01T12:30:00+00:00"),
    (PromotionRequest, "requested_at", "2026-03-01T12:30:00"),
    (PromotionRequest, "requested_at", "2026-02-30T12:30:00Z"),
    (PromotionRequest, "requested_at", 1772368200),
    (Release, "evidence", [B, A]),
    (Release, "evidence", [A, A]),
    (Release, "evidence", ["A" * 64]),
    (Release, "stamps", [B, A]),
    (Release, "revoked", "false"),
    (Release, "revoked", 0),
    (Release, "log_size", -1),
    (Release, "log_origin", ""),
    (Dossier, "evidence_set_digest", A),
    (Dossier, "expires_at", NOW),
    (Dossier, "publisher", " "),
    (Approval, "meaning", "Approved"),
    (Approval, "meaning", ""),
    (Approval, "reason", ""),
    (Approval, "reason", " \n"),
    (Approval, "reason", "x" * 2001),
    (Approval, "reason", "bell \a"),
    (Approval, "expires_at", NOW),
    (Approval, "nonce", ""),
    (BreakGlass, "skips", []),
    (BreakGlass, "skips", ["b", "a"]),
    (BreakGlass, "skips", ["a", "a"]),
    (BreakGlass, "skips", ["Not a rule"]),
    (BreakGlass, "ticket", ""),
    (BreakGlass, "ticket", "x" * 201),
    (BreakGlass, "reason", " "),
    (BreakGlass, "expires_at", NOW),
    (BreakGlassReview, "verdict", "fine"),
    (BreakGlassReview, "reason", ""),
    (PromotionRequest, "emergency", 1),
    (PromotionRequest, "by_rollout", 1),
    (PromotionRequest, "by_rollout", True),
    (Dossier, "by_rollout", "yes"),
    (Dossier, "open_rules", [{"rule": "a", "status": "PASSED", "message": ""}]),
    (Cancellation, "reason", ""),
    (Cancellation, "nonce", "x"),
    (Cancellation, "nonce", "a" * 31),
    (Capability, "holder", "https://carnet.internal/registry/prod"),
    (Capability, "holder", "spiffe://carnet.internal"),
    (Capability, "digests", [B, A]),
    (TestResult, "result", "passed"),
    (TestResult, "configuration", None),
    (TestResult, "carnet_metrics", [{"name": "x", "value": 1}]),
    (TestResult, "carnet_metrics", [{"name": "x", "value": "1", "direction": "higher_is_better"}]),
    (TestResult, "carnet_metrics", [{"name": "x", "value": True, "direction": "higher_is_better"}]),
    (TestResult, "carnet_metrics", [{"name": "x", "value": 1, "direction": "up"}]),
    (Decision, "verificationResult", "PARTIAL"),
    (Decision, "policy", {"uri": "urn:x", "digest": {}}),
    (Decision, "inputAttestations", [{"digest": {"sha512": "a"}}]),
    (Decision, "carnet_rules", [{"rule": "x", "status": "MAYBE", "message": ""}]),
    (Decision, "carnet_promotion", "x"),
    (Decision, "carnet_permit_expires_at", LATER),
    (Decision, "carnet_permit_expires_at", "soon"),
    (Decision, "carnet_by_rollout", 1),
    (TestResult, "carnet_counts", {"passed": -1}),
    (
        TestResult,
        "carnet_metrics",
        [{"name": "x", "value": 1, "direction": "lower_is_better", "sample_count": -1}],
    ),
    (VerificationResult, "verifier", {"id": "https://scanner.example/v2"}),
    (VerificationResult, "verifier", {"id": "", "policies": []}),
    (VerificationResult, "timeCreated", "2026-03-01"),
    (VerificationResult, "timeCreated", "2026-03-01T12:30:00"),
    (VerificationResult, "timeCreated", "0001-01-01T00:00:00+10:00"),
    (VerificationResult, "properties", None),
    (VerificationResult, "properties", [1]),
    (VerificationResult, "carnet_suite", "a\nb"),
    (VerificationResult, "carnet_result", "PASSED"),
    (VerificationResult, "carnet_result", ""),
    (VerificationResult, "carnet_findings", [{"rule": "X", "level": "none", "count": 1}]),
    (VerificationResult, "carnet_findings", [{"rule": "X", "level": "error", "count": 0}]),
    (VerificationResult, "carnet_fail_on", "critical"),
    (AttributeReport, "attributes", []),
    (AttributeReport, "attributes", [{"attribute": ""}]),
    (AttributeReport, "carnet_result", "FINE"),
    (Provenance, "buildDefinition", {"buildType": "x"}),
    (Provenance, "buildDefinition", {"buildType": "", "externalParameters": {}}),
    (Provenance, "runDetails", {}),
    (Provenance, "runDetails", {"builder": {"id": ""}}),
    (Provenance, "runDetails", {"builder": {"id": "x"}, "metadata": {"finishedOn": "noon"}}),
]


@pytest.mark.parametrize(("kind", "field", "value"), BAD)
def test_values_outside_the_rules_are_refused_and_named(
    kind: type[Predicate], field: str, value: Any
) -> None:
    with pytest.raises(StatementInvalidError) as caught:
        kind.parse(statement_of(kind, **{field: value}))
    assert caught.value.metadata["field"].startswith(field)


@pytest.mark.parametrize("kind", [PromotionRequest, Release, Dossier])
@pytest.mark.parametrize("name", ["dev/risk/fraud@4", "dev/risk/churn@3"])
def test_a_subject_other_than_the_version_named_is_refused(kind: type[Predicate], name: str) -> None:
    predicate = kind.parse(statement_of(kind))

    with pytest.raises(StatementInvalidError, match="subject"):
        kind.parse(dataclasses.replace(statement_of(kind), subject_name=name))
    with pytest.raises(StatementInvalidError, match="subject"):
        predicate.sign(name, "d" * 64, KEY)


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("name", ["fraud", "dev/risk/fraud", "dev/risk/fraud@champion", "dev/risk/fraud@0"])
def test_a_subject_that_is_no_version_is_refused(kind: type[Predicate], name: str) -> None:
    with pytest.raises(StatementInvalidError, match="subject"):
        kind.parse(dataclasses.replace(statement_of(kind), subject_name=name))


def test_plain_results_of_other_tools_are_taken() -> None:
    plain = Statement(
        "model.tar", "d" * 64, TestResult.PREDICATE_TYPE, {"result": "FAILED", "configuration": []}
    )

    result = TestResult.parse(plain)

    assert (result.result, result.suite, result.metrics, result.finished_at) == ("FAILED", "", (), None)


def test_fields_of_other_tools_are_not_taken_for_ours() -> None:
    foreign = {"result": "PASSED", "configuration": [], "suite": "smoke", "metrics": {"x": 1}}

    result = TestResult.parse(Statement("model.tar", "d" * 64, TestResult.PREDICATE_TYPE, foreign))

    assert (result.suite, result.metrics) == ("", ())
    assert result.to_predicate() == foreign


def test_making_a_predicate_from_bad_input_is_an_input_error() -> None:
    with pytest.raises(InvalidInputError, match="reason") as caught:
        Cancellation(promotion=PROMOTION, reason="", cancelled_at=datetime.now(UTC))
    assert caught.value.metadata["field"] == "reason"


def test_moments_are_kept_in_utc_and_naive_ones_refused() -> None:
    zurich = timezone(timedelta(hours=1))

    made = Cancellation(
        promotion=PROMOTION, reason="x", cancelled_at=datetime(2026, 3, 1, 13, 30, tzinfo=zurich)
    )

    assert made.cancelled_at == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    assert made.to_predicate()["cancelled_at"] == NOW
    with pytest.raises(InvalidInputError, match="time zone"):
        Cancellation(promotion=PROMOTION, reason="x", cancelled_at=datetime(2026, 3, 1))


def test_a_decision_knows_its_environment_and_answer() -> None:
    decision = Decision.parse(statement_of(Decision))

    assert decision.environment == "prod"
    assert not decision.passed
    assert decision.verifier.id == verifier_id("prod")
    assert decision.resource_uri == version_uri("prod", "risk", "fraud", 3)
    foreign = Decision.parse(statement_of(Decision, verifier={"id": "https://example.org/v"}))
    assert foreign.environment == ""


def test_a_decision_about_a_publication_names_no_promotion() -> None:
    predicate = {name: value for name, value in EXAMPLES[Decision].items() if name != "carnet_promotion"}

    decision = Decision.parse(dataclasses.replace(statement_of(Decision), predicate=predicate))

    assert decision.promotion == ""
    assert "carnet_promotion" not in decision.to_predicate()


def test_evidence_set_digest_depends_on_the_set_only() -> None:
    assert evidence_set_digest([A, B]) == evidence_set_digest([B, A, B])
    assert evidence_set_digest([A]) != evidence_set_digest([A, B])
    assert evidence_set_digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", (
        "the SHA-256 of []"
    )
    with pytest.raises(InvalidInputError):
        evidence_set_digest(["x"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([A, NOW]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(EXAMPLES)), st.data(), json_values)
def test_any_value_in_any_field_is_read_or_refused_with_our_errors(
    kind: type[Predicate], data: st.DataObject, value: Any
) -> None:
    field = data.draw(st.sampled_from(sorted(EXAMPLES[kind])))
    try:
        predicate = kind.parse(statement_of(kind, **{field: value}))
        json.dumps(predicate.to_predicate())
    except StatementInvalidError:
        return


def test_the_examples_of_the_documentation_are_valid() -> None:
    page = (Path(__file__).parents[4] / "docs" / "attestations.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### ([^\n]+)\n(?:(?!^##).)*?^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    kinds = {
        "Promotion request": PromotionRequest,
        "Release": Release,
        "List of stamps": StampList,
        "Dossier": Dossier,
        "Approval": Approval,
        "Break-glass": BreakGlass,
        "Review of a break-glass": BreakGlassReview,
        "Cancellation": Cancellation,
        "Read capability": Capability,
        "Test result": TestResult,
        "Verification result": VerificationResult,
        "Decision": Decision,
    }

    assert [title for title, _ in sections] == list(kinds)
    for title, text in sections:
        value = json.loads(text)
        predicate = value.get("predicate", value)
        kind = kinds[title]
        parsed = kind.parse(Statement(*SUBJECT, value.get("predicateType", kind.PREDICATE_TYPE), predicate))
        assert parsed.to_predicate() == predicate
