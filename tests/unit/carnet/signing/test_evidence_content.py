"""What decisions look at, of each type of evidence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from carnet.errors import StatementInvalidError
from carnet.signing.approval import Approval
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.evidence_content import EvidenceContent, content_of, require_evidence
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.release import Release
from carnet.signing.statement import Statement

SVR = "https://in-toto.io/attestation/svr/v0.2"
SCAI = "https://in-toto.io/attestation/scai/v0.3"
PROVENANCE = "https://slsa.dev/provenance/v1"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VERIFIED = {"verifier": {"id": "https://v.example/1", "policies": []}, "timeCreated": "2026-03-01T12:00:00Z"}
BUILT = {
    "buildDefinition": {"buildType": "x", "externalParameters": {}},
    "runDetails": {"builder": {"id": "b"}},
}


def read(kind, predicate):
    return content_of(Statement("fraud", "d" * 64, kind, predicate))


@pytest.mark.parametrize(
    ("predicate", "suite", "result"),
    [
        ({"properties": ["A"]}, "", "PASSED"),
        ({"properties": []}, "", "FAILED"),
        ({"properties": ["A"], "carnet_result": "WARNED", "carnet_suite": "fairness"}, "fairness", "WARNED"),
        ({"properties": ["A"], "carnet_result": "FAILED"}, "", "FAILED"),
        ({"properties": [], "carnet_result": "WARNED"}, "", "WARNED"),
    ],
)
def test_a_verification_result_passed_if_it_says_so_or_if_anything_holds(predicate, suite, result):
    assert read(SVR, VERIFIED | predicate) == EvidenceContent(suite, result, NOON)


@pytest.mark.parametrize(
    "predicate",
    [
        {"properties": [], "carnet_result": "PASSED"},
        {
            "properties": ["A"],
            "carnet_result": "PASSED",
            "carnet_checks": [{"name": "a", "result": "WARNED"}],
        },
        {
            "properties": ["A"],
            "carnet_result": "WARNED",
            "carnet_checks": [{"name": "a", "result": "FAILED"}],
        },
        {"properties": ["A"], "carnet_checks": [{"name": "a", "result": "FAILED"}]},
        {
            "properties": ["A"],
            "carnet_result": "PASSED",
            "carnet_fail_on": "warning",
            "carnet_findings": [{"rule": "x", "level": "error", "count": 1}],
        },
    ],
)
def test_a_verification_result_that_is_better_than_what_it_rests_on_is_refused(predicate):
    with pytest.raises(StatementInvalidError, match="carnet_result") as caught:
        read(SVR, VERIFIED | predicate)
    assert caught.value.metadata["field"] == "carnet_result"


def test_findings_below_the_level_that_was_asked_for_are_no_failure():
    finding = {"rule": "x", "level": "warning", "count": 1}
    said = {
        "properties": ["A"],
        "carnet_result": "PASSED",
        "carnet_fail_on": "error",
        "carnet_findings": [finding],
    }
    assert read(SVR, VERIFIED | said).result == "PASSED"


def test_an_attribute_report_has_no_result_unless_it_states_one():
    attributes = {"attributes": [{"attribute": "A"}]}
    assert read(SCAI, attributes) == EvidenceContent()
    stated = {
        "carnet_result": "FAILED",
        "carnet_suite": "privacy",
        "carnet_finished_at": "2026-03-01T12:00:00Z",
    }
    assert read(SCAI, attributes | stated) == EvidenceContent("privacy", "FAILED", NOON)


def test_provenance_has_a_time_and_no_result():
    assert read(PROVENANCE, BUILT) == EvidenceContent()
    details = {"builder": {"id": "b"}, "metadata": {"finishedOn": "2026-03-01T14:00:00.000000001+02:00"}}
    assert read(PROVENANCE, BUILT | {"runDetails": details}) == EvidenceContent(time=NOON)


def test_a_type_that_is_unknown_says_nothing_that_is_read():
    assert read("https://example.org/x", {"result": "PASSED"}) == EvidenceContent()


@pytest.mark.parametrize("kind", [Approval, Dossier, PromotionRequest, Release])
def test_what_is_part_of_a_promotion_is_no_evidence(kind):
    with pytest.raises(StatementInvalidError, match="no evidence"):
        require_evidence(kind.PREDICATE_TYPE)


def test_every_other_type_may_be_evidence():
    for kind in (SVR, SCAI, PROVENANCE, Decision.PREDICATE_TYPE, "https://example.org/x", "urn:other"):
        require_evidence(kind)
