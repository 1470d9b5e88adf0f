"""The dossier of a promotion: everything that the logs tell of it, and of what became of its bundle."""

from __future__ import annotations

import pytest

from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.query import ReportKind, ReportQuery
from carnet.errors import InvalidInputError, NotFoundError
from carnet.translog.entry import EntryType
from tests.unit.carnet.audit.conftest import BUNDLE, PROMOTED, PROMOTION, START, VERSION

RULES = [
    {"rule": "approvals", "status": "PASSED", "message": "2 of 2 approvals"},
    {"rule": "tests", "status": "PASSED", "message": "seen"},
]


def test_it_has_the_request_the_evidence_the_words_the_rules_and_the_outcome(world, derive, rows):
    dossier = world.ask()
    words = [world.approve(person, dossier, reason=f"{person} looked") for person in ("carol", "dave")]
    decision = world.decide(world.decision(inputs=(world.evidence, *words), rules=RULES))
    admitted = world.admit()
    world.record(decision)
    report = derive("dossier", promotion=PROMOTION)
    assert report.title == f"Promotion {PROMOTION}"
    wanted = ("target", "source", "version", "bundle_digest", "requested_by", "published_by", "outcome")
    assert rows(report, "promotion", *wanted, "admission_entry") == [
        ("prod", "dev", "risk/fraud@1", BUNDLE, "bob", "alice", "passed", admitted)
    ]
    assert rows(report, "evidence", "envelope", "signer", "result", "in_dossier", "counted") == [
        (world.evidence.digest, "evaluator", "PASSED", True, True)
    ]
    assert rows(report, "seen", "dossier_digest", "policy_digest", "evidence", "requester", "publisher") == [
        (dossier.digest, world.policies["prod"], 1, "bob", "alice")
    ]
    assert rows(report, "approvals", "entry", "person", "meaning", "reason", "counted") == [
        (6, "carol", "approved", "carol looked", True),
        (7, "dave", "approved", "dave looked", True),
    ]
    assert rows(report, "rules", "entry", "result", "rule", "status", "message") == [
        (8, "PASSED", "approvals", "PASSED", "2 of 2 approvals"),
        (8, "PASSED", "tests", "PASSED", "seen"),
    ]
    assert rows(report, "events", "environment", "entry", "type") == [
        ("dev", 5, "promotion.recorded"),
        *(("prod", index, kind) for index, kind in enumerate(_ENTRIES, start=3)),
    ]


_ENTRIES = (
    "promotion.requested",
    "evidence.added",
    "dossier.issued",
    "approval.recorded",
    "approval.recorded",
    "decision.made",
    "version.admitted",
)


def test_it_tells_where_the_bundle_went_from_there_and_nothing_of_other_bundles(world, derive, rows):
    world.prod.add(EntryType.VERSION_PUBLISHED, VERSION | {"version": 9, "bundle_digest": "9" * 64})
    world.promote()
    other = VERSION | {"version": 9, "bundle_digest": "9" * 64, "alias": "champion"}
    left = world.prod.add(EntryType.ALIAS_MOVED, other, old="1", new="9")
    world.prod.add(EntryType.VERSION_REVOKED, VERSION, old="registered", new="revoked")
    report = derive("dossier", promotion=PROMOTION)
    assert rows(report, "afterwards", "entry", "type", "old", "new") == [
        (left - 1, "alias.moved", "", "1"),
        (left, "alias.moved", "1", "9"),
        (left + 1, "version.revoked", "registered", "revoked"),
    ]


def test_a_word_that_did_not_count_is_told_as_such(world, derive, rows):
    dossier = world.ask()
    world.approve("carol", dossier, meaning="rejected", reason="too slow")
    world.decide(
        world.decision(
            inputs=(world.evidence,),
            verification_result="FAILED",
            verified_levels=["FAILED"],
            rules=[{"rule": "approvals", "status": "FAILED", "message": "carol said no"}],
        ),
        result="FAILED",
    )
    report = derive("dossier", promotion=PROMOTION)
    assert rows(report, "promotion", "outcome", "admission_entry") == [("refused", None)]
    assert rows(report, "approvals", "person", "meaning", "reason", "counted") == [
        ("carol", "rejected", "too slow", False)
    ]


def test_a_promotion_that_was_cancelled_says_so(world, derive, rows):
    world.ask()
    world.prod.add(EntryType.PROMOTION_CANCELLED, PROMOTED, world.cancellation())
    assert rows(derive("dossier", promotion=PROMOTION), "promotion", "outcome") == [("cancelled",)]


def test_an_unknown_promotion_is_not_found(world, derive):
    with pytest.raises(NotFoundError, match="no log of dev, prod has an entry of the promotion"):
        derive("dossier", promotion="0" * 32)


def test_a_dossier_needs_a_promotion(derive):
    with pytest.raises(InvalidInputError, match="promotion"):
        derive("dossier")


def test_a_word_whose_document_is_gone_is_told_as_its_entry_has_it(world, tmp_path, rows):
    word = world.approve("carol", world.ask())
    world.prod.documents.remove(word.to_bytes())
    world.export(tmp_path)
    derived = derive_report(
        tmp_path,
        world.pins(),
        ReportQuery(ReportKind.DOSSIER, promotion=PROMOTION),
        generated_at=START,
        despite_findings=True,
    )
    # The entry says who handed it over, and what it meant.
    assert rows(derived.report, "approvals", "person", "meaning", "reason") == [("alice", "approved", None)]
