from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies.document import load_policy
from carnet_policies.evaluation import RuleStatus
from carnet_policies.evidence import check_evidence
from carnet_policies.facts import TEST_RESULT
from carnet_policies.schema import EvidenceDemand

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.facts import Facts

PASSED, FAILED, AWAITING = RuleStatus
PROVENANCE = "https://slsa.dev/provenance/v1"
GOOD = {"suite": "evaluation", "roles": ["evaluator"], "signer": "eva"}


def demand(**fields: Any) -> EvidenceDemand:
    return EvidenceDemand(
        **{"rule": "evaluation", "type": TEST_RESULT, "suite": "evaluation", "signers": ("evaluator",)}
        | fields
    )


@pytest.mark.parametrize(
    ("evidence", "status", "says"),
    [
        ([], AWAITING, "no evaluation attestation that PASSED, by a trusted evaluator"),
        ([GOOD], PASSED, "attested by eva"),
        ([GOOD | {"roles": ["other", "evaluator"]}], PASSED, "eva"),
        ([GOOD, GOOD | {"signer": "bob"}], PASSED, "attested by bob, eva"),
        ([GOOD | {"roles": []}], AWAITING, "eva's signer is not trusted as evaluator"),
        ([GOOD | {"suite": "integration"}], AWAITING, "no evaluation"),
        ([GOOD | {"suite": ""}], AWAITING, "no evaluation"),
        ([GOOD | {"type": PROVENANCE}], AWAITING, "no evaluation"),
        ([GOOD | {"result": "WARNED"}], AWAITING, "result is WARNED"),
        ([GOOD | {"result": ""}], AWAITING, "result is not stated"),
        ([GOOD | {"result": "passed"}], AWAITING, "result is passed"),
        ([GOOD | {"result": "FAILED"}], FAILED, "by eva says FAILED"),
        ([GOOD, GOOD | {"result": "FAILED", "signer": "bob"}], FAILED, "by bob says FAILED"),
        ([GOOD, GOOD | {"result": "FAILED", "roles": ["tester"]}], FAILED, "says FAILED"),
        ([GOOD, GOOD | {"result": "FAILED", "suite": "integration"}], PASSED, "eva"),
        ([GOOD, GOOD | {"result": "FAILED", "type": PROVENANCE}], PASSED, "eva"),
        ([GOOD | {"age": "999d"}], PASSED, "eva"),
        ([GOOD | {"age": None}], PASSED, "eva"),
    ],
)
def test_evidence(
    make_facts: Callable[..., Facts], evidence: list[Any], status: RuleStatus, says: str
) -> None:
    result = check_evidence(demand(), make_facts(evidence=evidence))
    assert result.status is status
    assert says in result.message
    assert not result.awaits_people
    assert bool(result.remedy) is (status is not PASSED)


@pytest.mark.parametrize(
    ("age", "status", "says"),
    [
        ("30d", PASSED, "eva"),
        ("721h", AWAITING, "and older than 30d"),
        (None, AWAITING, "states no time"),
    ],
)
def test_an_age_may_be_demanded(
    make_facts: Callable[..., Facts], age: str | None, status: RuleStatus, says: str
) -> None:
    facts = make_facts(evidence=[GOOD | {"age": age}])
    result = check_evidence(demand(max_age="30d"), facts)
    assert result.status is status
    assert says in result.message


@pytest.mark.parametrize(
    ("ahead", "status"), [(timedelta(minutes=4), PASSED), (timedelta(minutes=6), AWAITING)]
)
def test_evidence_of_the_future_has_no_age(
    make_facts: Callable[..., Facts], ahead: timedelta, status: RuleStatus
) -> None:
    facts = make_facts(evidence=[GOOD | {"age": "1h"}])
    time = facts.evidence[0].time
    assert time is not None
    earlier = type(facts)(**{**vars(facts), "now": time - ahead})
    assert check_evidence(demand(max_age="30d"), earlier).status is status


def test_a_failed_result_does_not_age(make_facts: Callable[..., Facts]) -> None:
    evidence = [GOOD, GOOD | {"result": "FAILED", "age": "900d"}]
    assert check_evidence(demand(max_age="30d"), make_facts(evidence=evidence)).status is FAILED


def test_a_type_without_results_needs_only_its_signer(make_facts: Callable[..., Facts]) -> None:
    wanted = demand(type=PROVENANCE, suite=None)
    provenance = {"type": PROVENANCE, "result": "", "roles": ["evaluator"]}
    assert check_evidence(wanted, make_facts(evidence=[provenance])).status is PASSED
    assert check_evidence(wanted, make_facts(evidence=[provenance | {"roles": []}])).status is AWAITING


def test_the_remedy_is_the_command_to_run_where_the_version_is(make_facts: Callable[..., Facts]) -> None:
    result = check_evidence(demand(remedy="Evaluate it."), make_facts(evidence=[]))
    assert result.remedy == (
        "Evaluate it. As evaluator for suite evaluation, run: "
        "carnet attest dev/risk/fraud@1 --type test-result --file FILE"
    )
    published = check_evidence(demand(type=PROVENANCE, suite=None), make_facts(source="", evidence=[]))
    assert published.remedy.endswith(f"carnet attest staging/risk/fraud@1 --type {PROVENANCE} --file FILE")


SVR = "https://in-toto.io/attestation/svr/v0.2"
SCAI = "https://in-toto.io/attestation/scai/v0.3"


@pytest.mark.parametrize(
    ("word", "evidence", "status"),
    [
        ("evaluation", {"suite": "evaluation"}, PASSED),
        ("evaluation", {"suite": "tests"}, AWAITING),
        ("tests", {"suite": "unit"}, PASSED),
        ("tests", {"suite": ""}, PASSED),
        ("tests", {"suite": "evaluation"}, AWAITING),
        ("tests", {"suite": "unit", "type": SVR}, AWAITING),
        ("fairness", {"suite": "fairness", "type": SVR}, PASSED),
        ("fairness", {"suite": "fairness"}, PASSED),
        ("fairness", {"suite": "pii-review", "type": SVR}, AWAITING),
        ("fairness", {"suite": "fairness", "type": SVR, "result": "FAILED"}, FAILED),
        ("fairness", {"suite": "fairness", "type": SVR, "result": ""}, AWAITING),
        ("skew", {"suite": "skew"}, PASSED),
        ("skew", {"suite": "skew", "type": SVR}, PASSED),
        ("tests", {"suite": "skew"}, AWAITING),
        ("security-scan", {"suite": "security-scan", "type": SVR}, PASSED),
        ("security-scan", {"suite": "security-scan", "type": SCAI, "result": ""}, PASSED),
        ("security-scan", {"suite": "", "type": SCAI, "result": ""}, AWAITING),
        ("pii-review", {"suite": "pii-review", "type": SVR}, PASSED),
        ("smoke-test", {"suite": "smoke-test", "type": SVR}, PASSED),
        ("provenance", {"type": PROVENANCE, "result": ""}, PASSED),
        ("provenance", {"type": SVR}, AWAITING),
    ],
)
def test_kinds_of_evidence_have_names(
    make_facts: Callable[..., Facts], word: str, evidence: dict[str, Any], status: RuleStatus
) -> None:
    facts = make_facts(evidence=[{"roles": ["evaluator"]} | evidence])
    result = check_evidence(demand(type=word, suite=None), facts)
    assert result.status is status
    assert word in result.message


def test_warnings_may_be_good_enough(make_facts: Callable[..., Facts]) -> None:
    wanted = demand(results=("PASSED", "WARNED"))
    warned = check_evidence(wanted, make_facts(evidence=[GOOD | {"result": "WARNED"}]))
    assert (warned.status, "PASSED with warnings, attested by eva" in warned.message) == (PASSED, True)
    missing = check_evidence(wanted, make_facts(evidence=[]))
    assert "no evaluation attestation that PASSED or WARNED" in missing.message
    assert check_evidence(wanted, make_facts(evidence=[GOOD | {"result": "FAILED"}])).status is FAILED


@pytest.mark.parametrize(
    ("evidence", "status", "says"),
    [
        ([GOOD], AWAITING, "1 of 2 signers (eva)"),
        ([GOOD, GOOD], AWAITING, "1 of 2 signers"),
        ([GOOD, GOOD | {"signer": "bob"}], PASSED, "attested by bob, eva"),
        (
            [GOOD | {"person": "ana"}, GOOD | {"signer": "eva-ci", "person": "ana"}],
            AWAITING,
            "1 of 2 signers",
        ),
        ([GOOD, GOOD | {"signer": "bob", "roles": ["publisher"]}], AWAITING, "bob's signer is not trusted"),
        ([GOOD, GOOD | {"signer": "bob", "result": "WARNED"}], AWAITING, "bob's result is WARNED"),
        ([GOOD, GOOD | {"signer": "bob"}, GOOD | {"signer": "c", "result": "FAILED"}], FAILED, "by c says"),
    ],
)
def test_several_signers_may_be_demanded(
    make_facts: Callable[..., Facts], evidence: list[Any], status: RuleStatus, says: str
) -> None:
    result = check_evidence(demand(count=2), make_facts(evidence=evidence))
    assert (result.status, says in result.message) == (status, True), result.message


@pytest.mark.parametrize(
    ("fields", "place", "says"),
    [
        ({"type": "fairnes"}, "evidence[0].type", "did you mean 'fairness'?"),
        ({"type": "fairness", "suite": "bias"}, "evidence[0].suite", "leave suite out"),
        ({"type": "tests", "suite": "evaluation"}, "evidence[0].type", "is of the type evaluation"),
        ({"results": []}, "evidence[0].results", "at least one"),
        ({"results": ["FAILED"]}, "evidence[0].results[0]", "'PASSED' or 'WARNED'"),
        ({"results": ["WARNED"]}, "evidence[0].results", "add PASSED"),
        ({"results": ["PASSED", "PASSED"]}, "evidence[0].results", "twice"),
        ({"count": 0}, "evidence[0].count", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_named_with_its_field(fields: dict[str, Any], place: str, says: str) -> None:
    demands = [{"rule": "e", "type": "t", "signers": ["evaluator"]} | fields]
    text = f"schema: carnet.policy/v1\nenvironment: x\nversion: 1\nsources: [dev]\nevidence: {json.dumps(demands)}\n"
    with pytest.raises(DocumentInvalidError) as caught:
        load_policy(text.encode(), name="p.yaml")
    (problem,) = caught.value.message.splitlines()
    assert problem.split(" ")[1] == f"{place}:"
    assert says in problem
