"""The inventory of models, and the health of logs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.query import ReportKind, ReportQuery
from carnet.canonical import canonical_json, sha256_hex
from carnet.translog.entry import EntryType
from tests.unit.carnet.audit.conftest import BUNDLE, START, VERSION
from tests.unit.carnet.audit.test_anchors import Anchored

MANIFEST = canonical_json(
    {"owner": "fraud team", "labels": {"risk_tier": "high", "country": "nl"}, "semantic_version": "1.2.0"}
)
MADE = {"namespace": "risk", "model": "loans", "version": 4, "bundle_digest": sha256_hex(MANIFEST)}


@pytest.fixture
def stocked(world):
    """Dev has a version whose manifest is in the export, live and attested; and one whose manifest is not."""
    world.dev.documents.append(MANIFEST)
    world.dev.add(EntryType.VERSION_PUBLISHED, MADE)
    arrived = world.now
    world.dev.add(EntryType.ALIAS_MOVED, MADE | {"alias": "champion"}, old="", new="4")
    world.now += timedelta(days=40)
    world.dev.add(EntryType.HOLD_PLACED, {"namespace": "risk", "model": "loans", "hold": 1}, b"{}")
    return arrived


def test_each_version_has_its_owner_tier_and_place(stocked, derive, rows):
    report = derive("inventory", environments=("dev",))
    wanted = (
        "owner",
        "risk_tier",
        "model",
        "version",
        "semantic_version",
        "live_aliases",
        "age_days",
        "labels",
    )
    assert rows(report, "inventory", *wanted) == [
        (None, "unknown", "risk/fraud", 1, None, (), 40, ()),
        (
            *("fraud team", "high", "risk/loans", 4, "1.2.0", ("champion",), 40),
            ("country=nl", "risk_tier=high"),
        ),
    ]
    assert rows(report, "owners") == [(None, "unknown", 1, 1, 0), ("fraud team", "high", 1, 1, 1)]
    assert any("The manifests of 1 bundles are not in the export" in each for each in report.completeness)


def test_the_last_evidence_of_a_version_is_told(world, derive, rows):
    (row,) = rows(
        derive("inventory", environments=("dev",)), "inventory", "last_evidence", "last_evidence_at", "stage"
    )
    assert row == ("PASSED", world.now, "registered")


def test_logs_are_told_with_their_sizes_and_up_to_where_others_anchor_them(world, log_keys, tmp_path, rows):
    logs = Anchored(world, log_keys, tmp_path)
    world.promote()
    for size in (4, 9):
        logs.anchor("prod", size=size)
    anchored = world.now
    logs.export()
    query = ReportQuery(ReportKind.HEALTH)
    report = derive_report(tmp_path, logs.pins(), query, generated_at=START).report
    wanted = (
        "environment",
        "origin",
        "entries",
        "witnessed_size",
        "witnessed_at",
        "witnessed_by",
        "not_witnessed",
    )
    assert rows(report, "logs", *wanted) == [
        ("dev", "example.com/dev", 8, 0, None, None, 8),
        ("prod", "example.com/prod", 11, 9, anchored, "dev", 2),
    ]
    assert rows(report, "anchors") == [("dev", "example.com/prod", "prod", 9, anchored, 7)]


def test_holds_and_purges_are_told_with_their_reasons(world, derive, rows):
    world.dev.add(EntryType.VERSION_STAGE_CHANGED, VERSION, b"{}", old="registered", new="archived")
    why = canonical_json({"note": "storage review", "why": "archived 9 days ago", "freed_bytes": 12})
    world.dev.add(EntryType.VERSION_PURGED, VERSION, why, old="archived", new="purged")
    purged = world.now
    note = canonical_json({"salt": "00", "note": "case 7"})
    world.dev.add(EntryType.HOLD_PLACED, {"namespace": "risk", "model": "fraud", "hold": 1}, note)
    world.dev.add(EntryType.HOLD_PLACED, VERSION | {"hold": 2}, note)
    world.dev.add(EntryType.HOLD_RELEASED, VERSION | {"hold": 2}, note)
    report = derive("health")
    assert rows(report, "purges") == [
        ("dev", 6, purged, "risk/fraud@1", "archived", "alice", "storage review", "archived 9 days ago", 12)
    ]
    wanted = ("hold", "held", "reason", "released_by", "in_force")
    assert rows(report, "holds", *wanted) == [
        (1, "risk/fraud", "case 7", None, True),
        (2, "risk/fraud@1", "case 7", "alice", False),
    ]
    assert rows(derive("inventory"), "inventory", "bundle_digest", "purged") == [(BUNDLE, True)]
