"""The matrix of separate duties: who had which part, and which parts must be different people's."""

from __future__ import annotations

import itertools

import pytest

from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.duties import conflicts_of
from carnet.audit.reports.query import ReportKind, ReportQuery
from tests.unit.carnet.audit.conftest import PROMOTION, START

PARTS = ("published", "requested", "evaluated", "approved", "broke_glass", "reviewed")
FORBIDDEN = {
    frozenset(pair)
    for pair in (
        ("approved", "published"),
        ("approved", "requested"),
        ("broke_glass", "published"),
        ("reviewed", "published"),
        ("reviewed", "requested"),
        ("reviewed", "broke_glass"),
    )
}


def test_every_person_has_a_row_with_their_parts(world, derive, rows):
    world.promote()
    report = derive("duties")
    assert rows(report, "duties") == [
        ("prod", PROMOTION, "risk/fraud@1", person, *(part in parts for part in PARTS), counted, ())
        for person, parts, counted in (
            ("alice", {"published"}, False),
            ("bob", {"requested"}, False),
            ("carol", {"approved"}, True),
            ("dave", {"approved"}, True),
            ("evaluator", {"evaluated"}, False),
        )
    ]
    assert rows(report, "conflicts") == []


def test_who_approved_what_they_asked_for_is_a_conflict(world, derive, rows, tmp_path):
    dossier = world.ask()
    word = world.approve("bob", dossier)
    world.decide(world.decision(inputs=(world.evidence, word)))
    world.admit()
    world.export(tmp_path)
    # The verifier finds it too, so that there is a report only for who insists.
    query = ReportQuery(ReportKind.DUTIES)
    assert derive_report(tmp_path, world.pins(), query, generated_at=START).report is None
    report = derive_report(tmp_path, world.pins(), query, generated_at=START, despite_findings=True).report
    assert rows(report, "conflicts", "person", "conflicts", "counted") == [
        ("bob", ("approved and requested",), True)
    ]
    assert "THE LOGS DO NOT VERIFY: 1 findings" in report.completeness[0]
    assert rows(report, "findings", "verdict", "environment", "entry") == [("policy_violated", "prod", 6)]


def test_what_was_taken_back_is_no_approval(world, derive, rows):
    dossier = world.ask()
    world.approve("carol", dossier)
    world.approve("carol", dossier, meaning="withdrawn", nonce="ef" * 16)
    assert [row for row in rows(derive("duties"), "duties", "person", "approved") if row[1]] == []


def test_a_promotion_counts_for_the_period_in_which_it_began(world, derive, rows):
    world.promote()
    (began,) = rows(derive("dossier", promotion=PROMOTION), "promotion", "requested_at")
    assert rows(derive("duties", until=began[0]), "duties") == []
    assert len(rows(derive("duties", since=began[0]), "duties")) == 5


@pytest.mark.parametrize("parts", [set(each) for n in range(7) for each in itertools.combinations(PARTS, n)])
def test_conflicts_are_the_pairs_that_must_be_different_people(parts):
    wanted = sum(1 for pair in FORBIDDEN if pair <= parts)
    assert len(conflicts_of(parts)) == wanted
