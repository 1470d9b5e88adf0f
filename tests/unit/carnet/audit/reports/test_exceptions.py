"""Denials, refused calls, broken glass with its reviews, and rollbacks to what was never tested."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.canonical import canonical_json
from carnet.translog.entry import EntryType
from carnet.translog.refused_calls import RefusedCalls
from tests.unit.carnet.audit.conftest import PROMOTION, VERSION
from tests.unit.carnet.audit.test_break_glass import Story

RULES = [
    {"rule": "approvals", "status": "AWAITING", "message": "0 of 2 approvals"},
    {"rule": "tests", "status": "FAILED", "message": "no integration tests"},
    {"rule": "signature", "status": "PASSED", "message": "signed"},
]


def test_a_denial_names_the_rules_that_said_no_and_what_is_awaited(world, derive, rows):
    world.ask()
    world.decide(
        world.decision(verification_result="FAILED", verified_levels=["FAILED"], rules=RULES), result="FAILED"
    )
    report = derive("exceptions")
    wanted = ("environment", "entry", "version", "promotion", "failed_rules", "awaited_rules", "messages")
    assert rows(report, "denials", *wanted) == [
        ("prod", 6, "risk/fraud@1", PROMOTION, ("tests",), ("approvals",), ("tests: no integration tests",))
    ]


def test_a_decision_that_said_yes_is_no_exception(world, derive, rows):
    world.promote()
    report = derive("exceptions")
    assert [len(rows(report, each.name)) for each in report.tables] == [0, 0, 0, 0]


def test_refused_calls_are_told_as_their_document_counts_them(world, derive, rows):
    now = world.now
    said = RefusedCalls("carnet.registry.v1.AdmissionService/Admit", "STALE_EPOCH", 3, now, now, ("risk",))
    world.prod.add(EntryType.ACCESS_REFUSED, said.subject, said.to_bytes(), new=said.summary)
    wanted = ("caller", "method", "reason", "count", "first_at", "namespaces")
    assert rows(derive("exceptions"), "refused-calls", *wanted) == [
        ("alice", "carnet.registry.v1.AdmissionService/Admit", "STALE_EPOCH", 3, now, ("risk",))
    ]


@pytest.fixture
def emergency(world, keys):
    story = Story(world, keys)
    story.sign("carol")
    story.sign("dave")
    story.decide()
    return story


WANTED = ("entry", "skipped", "people", "tickets", "review", "reviewed_by", "overdue")


def test_broken_glass_names_who_broke_it_and_its_open_review(world, derive, rows, emergency):
    report = derive("exceptions")
    assert rows(report, "break-glass", *WANTED) == [
        (9, ("approvals",), ("carol", "dave"), ("INC-7", "INC-7"), None, None, False)
    ]
    ((decided, due),) = rows(report, "break-glass", "time", "due_at")
    assert due - decided == timedelta(days=1)
    world.now += timedelta(days=1)
    world.prod.add(EntryType.ALIAS_MOVED, VERSION | {"alias": "other"}, old="", new="1")
    assert rows(derive("exceptions"), "break-glass", "overdue") == [(True,)]


def test_a_review_is_told_with_who_gave_it_and_closes_what_was_open(world, derive, rows, emergency):
    emergency.review("evaluator", "rejected")
    world.now += timedelta(days=9)
    world.prod.add(EntryType.ALIAS_MOVED, VERSION | {"alias": "other"}, old="", new="1")
    assert rows(derive("exceptions"), "break-glass", *WANTED[-3:]) == [("rejected", "evaluator", False)]


def test_a_late_review_was_overdue(world, derive, rows, emergency):
    world.now += timedelta(days=2)
    emergency.review("evaluator")
    assert rows(derive("exceptions"), "break-glass", *WANTED[-3:]) == [("accepted", "evaluator", True)]


def test_a_rollback_without_a_smoke_test_is_told_and_any_other_is_not(world, derive, rows):
    for accepted in ({}, {"accepted_untested": True}):
        note = canonical_json(
            {"salt": "00", "note": "at night", "reason_code": "metric-degradation"} | accepted
        )
        world.dev.add(EntryType.ALIAS_MOVED, VERSION | {"alias": "champion"}, note, old="", new="1")
    wanted = ("entry", "by", "alias", "new", "reason_code", "note")
    assert rows(derive("exceptions"), "untested-rollbacks", *wanted) == [
        (6, "alice", "risk/fraud@champion", "1", "metric-degradation", "at night")
    ]
