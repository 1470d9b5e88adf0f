from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies.case_forms import FactsForm
from carnet_policies.document import load_policy
from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus

if TYPE_CHECKING:
    from carnet_policies.engine import PolicyEngine

PASSED, FAILED, AWAITING = RuleStatus
HEAD = """\
schema: carnet.policy/v1
environment: prod
version: 1
sources: [staging]
labels:
  change_type: {values: [feature, security-fix]}
"""
WINDOW = {
    "rule": "change-window",
    "time_zone": "Europe/Berlin",
    "open": [{"days": ["mon", "thu"], "from": "09:00", "until": "16:00"}],
}
FREEZE = {
    "rule": "year-end",
    "from": "2026-12-18T18:00:00+01:00",
    "until": "2027-01-04T08:00:00Z",
    "reason": "Year end.",
    "exempt": {"labels": {"change_type": "security-fix"}},
}


def evaluate(engine: PolicyEngine, text: str, **facts: Any) -> Evaluation:
    given = {"source": "staging", "manifest": {"labels": {"change_type": "feature"}}} | facts
    return engine.evaluate(
        load_policy((HEAD + text).encode()),
        FactsForm.model_validate_json(json.dumps(given)).spell_out("prod"),
    )


def result(evaluation: Evaluation, rule: str) -> RuleResult:
    (found,) = [each for each in evaluation.results if each.rule == rule]
    return found


@pytest.mark.parametrize(
    ("now", "status", "says"),
    [
        ("2026-01-15T12:00:00Z", PASSED, "open: mon, thu 09:00-16:00 (Europe/Berlin)"),
        ("2026-01-15T15:00:00Z", AWAITING, "closed until 2026-01-19T08:00:00Z; open: mon, thu"),
    ],
)
def test_a_change_window(engine: PolicyEngine, now: str, status: RuleStatus, says: str) -> None:
    found = result(evaluate(engine, f"change_windows: [{json.dumps(WINDOW)}]\n", now=now), "change-window")
    assert (found.status, says in found.message) == (status, True), found.message
    assert (found.opens_at is not None) is found.awaits_a_time is (status is AWAITING)
    assert found.awaits_clock is (status is AWAITING)


@pytest.mark.parametrize(
    ("now", "labels", "status", "says"),
    [
        ("2026-12-18T16:59:59Z", {"change_type": "feature"}, PASSED, "it begins at 2026-12-18T17:00:00Z"),
        (
            "2026-12-18T17:00:00Z",
            {"change_type": "feature"},
            AWAITING,
            "until 2027-01-04T08:00:00Z: Year end.",
        ),
        ("2027-01-04T07:59:59Z", {"change_type": "feature"}, AWAITING, "frozen from 2026-12-18T17:00:00Z"),
        ("2027-01-04T08:00:00Z", {"change_type": "feature"}, PASSED, "is over since 2027-01-04T08:00:00Z"),
        ("2026-12-24T12:00:00Z", {"change_type": "security-fix"}, PASSED, "exempt from the freeze"),
        ("2026-12-24T12:00:00Z", {}, AWAITING, "frozen"),
        ("2026-12-24T12:00:00Z", {"change_type": "no-idea"}, AWAITING, "frozen"),
    ],
)
def test_a_freeze_and_what_is_exempt_from_it(
    engine: PolicyEngine, now: str, labels: dict[str, str], status: RuleStatus, says: str
) -> None:
    text = f"freezes: [{json.dumps(FREEZE)}]\n"
    found = result(evaluate(engine, text, now=now, manifest={"labels": labels}), "year-end")
    assert (found.status, says in found.message) == (status, True), found.message
    opens_at = datetime(2027, 1, 4, 8, tzinfo=UTC) if status is AWAITING else None
    assert (found.opens_at, found.awaits_a_time) == (opens_at, status is AWAITING)


@pytest.mark.parametrize(
    ("text", "holds_until"),
    [
        (f"change_windows: [{json.dumps(WINDOW)}]\n", "2026-01-15T15:00:00+00:00"),
        (f"freezes: [{json.dumps(FREEZE)}]\n", "2026-12-18T17:00:00+00:00"),
        (
            "evidence: [{rule: e, type: tests, signers: [tester], max_age: 2h}]\n",
            "2026-01-15T13:00:00+00:00",
        ),
    ],
)
def test_what_passed_holds_until_the_clock_says_otherwise(
    engine: PolicyEngine, text: str, holds_until: str
) -> None:
    end = datetime.fromisoformat(holds_until)
    evaluation = evaluate(engine, text, evidence=[{"suite": "unit", "roles": ["tester"], "age": "1h"}])
    assert evaluation.outcome is PASSED
    assert evaluation.holds_at(end - timedelta(microseconds=1))
    assert not evaluation.holds_at(end)


def test_what_no_clock_changes_holds_for_good(engine: PolicyEngine) -> None:
    assert evaluate(engine, "").holds_at(datetime.max.replace(tzinfo=UTC))


def test_people_review_while_the_window_is_closed(engine: PolicyEngine) -> None:
    text = f"change_windows: [{json.dumps(WINDOW)}]\napprovals: {{rule: approvals, count: 1}}\n"
    closed = {"now": "2026-01-16T12:00:00Z"}
    assert evaluate(engine, text, **closed).awaits_only_people
    assert not evaluate(engine, text, **closed, approvals=[{"person": "cleo"}]).awaits_only_people
    evidence = "evidence: [{rule: e, type: tests, signers: [tester]}]\n"
    assert not evaluate(engine, text + evidence, **closed).awaits_only_people


def test_a_soak_time_is_not_for_people_to_wait_out(engine: PolicyEngine) -> None:
    text = "decisions: [{rule: d, environment: staging, soak: 72h}]\napprovals: {rule: approvals, count: 1}\n"
    assert not evaluate(engine, text, decisions=[{"environment": "staging"}]).awaits_only_people


@pytest.mark.parametrize(
    ("field", "part", "place", "says"),
    [
        (
            "change_windows",
            WINDOW | {"time_zone": "Mars/Base"},
            "change_windows[0].time_zone",
            "is no time zone",
        ),
        (
            "change_windows",
            WINDOW | {"time_zone": "../etc"},
            "change_windows[0].time_zone",
            "is no time zone",
        ),
        ("change_windows", WINDOW | {"open": []}, "change_windows[0].open", "at least one"),
        (
            "change_windows",
            WINDOW | {"open": [{"days": ["monday"], "from": "09:00", "until": "10:00"}]},
            "change_windows[0].open[0].days[0]",
            "'mon'",
        ),
        (
            "change_windows",
            WINDOW | {"open": [{"days": ["mon"], "from": "9", "until": "10:00"}]},
            "change_windows[0].open[0].from",
            "not a time of day",
        ),
        (
            "change_windows",
            WINDOW | {"open": [{"days": ["mon"], "from": "09:00", "until": "24:01"}]},
            "change_windows[0].open[0].until",
            "not a time of day",
        ),
        ("freezes", FREEZE | {"from": "2026-12-18"}, "freezes[0].from", "is not a moment"),
        ("freezes", FREEZE | {"until": 2027}, "freezes[0].until", "is not a moment"),
        ("freezes", FREEZE | {"until": "2027-01-04T08:00:00"}, "freezes[0].until", "is not a moment"),
        ("freezes", FREEZE | {"reason": ""}, "freezes[0].reason", "at least 1 character"),
    ],
)
def test_a_mistake_is_named_with_its_field(field: str, part: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        load_policy(f"{HEAD}{field}: {json.dumps([part])}\n".encode(), name="p.yaml")
    (problem,) = caught.value.message.splitlines()
    assert problem.split(" ")[1] == f"{place}:"
    assert says in problem
