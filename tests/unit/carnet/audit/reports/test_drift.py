"""Differences between environments, and between a log and what its registry answers."""

from __future__ import annotations

import pytest

from carnet.audit.fold import AliasName, VersionName
from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.observed import Answer, RegistryAnswers
from carnet.audit.reports.query import ReportKind, ReportQuery
from carnet.translog.entry import EntryType
from tests.unit.carnet.audit.conftest import BUNDLE, START, VERSION

MODEL = {"namespace": "risk", "model": "fraud"}
SECOND = MODEL | {"version": 2, "bundle_digest": "2" * 64}
CHAMPION = AliasName("risk", "fraud", "champion")


@pytest.fixture
def ahead(world):
    """Prod has version 1 as champion; dev went on to version 2."""
    world.promote()
    world.dev.add(EntryType.VERSION_PUBLISHED, SECOND)
    world.dev.add(EntryType.ALIAS_MOVED, SECOND | {"alias": "champion"}, old="", new="2")


def test_an_alias_that_is_behind_says_by_how_much(ahead, derive, rows):
    report = derive("drift")
    wanted = ("alias", "environment", "version", "behind", "newest", "differs", "differs_from")
    assert rows(report, "aliases", *wanted) == [
        ("champion", "dev", 2, 0, None, True, ("prod",)),
        ("champion", "prod", 1, 1, 2, True, ("dev",)),
    ]
    assert rows(report, "versions") == [("risk/fraud@2", ("dev: registered",), ("prod",), False)]


def test_a_newer_version_that_was_revoked_does_not_count(world, ahead, derive, rows):
    world.dev.add(EntryType.VERSION_REVOKED, SECOND, old="registered", new="revoked")
    assert rows(derive("drift"), "aliases", "environment", "behind") == [("dev", 0), ("prod", 0)]


def test_what_was_revoked_at_home_and_is_live_elsewhere_is_told(world, ahead, derive, rows):
    world.dev.add(EntryType.VERSION_REVOKED, VERSION, old="registered", new="revoked")
    revoked_at = world.now
    assert rows(derive("drift"), "revoked-elsewhere") == [
        ("prod", "risk/fraud@1", BUNDLE, "registered", ("champion",), ("dev",), revoked_at)
    ]


def test_a_registry_is_set_beside_its_log_and_only_differences_are_told(world, ahead, tmp_path, rows):
    world.export(tmp_path)
    answers = {
        "dev": RegistryAnswers(
            asked_at=START,
            aliases={CHAMPION: Answer("2", "2" * 64, 6)},
            versions={
                VersionName("risk", "fraud", 1): Answer("registered", BUNDLE, 3),
                VersionName("risk", "fraud", 2): Answer("archived", "2" * 64, 99),
            },
        ),
        "prod": RegistryAnswers(asked_at=START, aliases={CHAMPION: Answer("7", "7" * 64, 10)}),
    }
    query = ReportQuery(ReportKind.DRIFT)
    report = derive_report(tmp_path, world.pins(), query, generated_at=START, answers=answers).report
    assert rows(report, "observed-registries") == [("dev", START, 1, 2, 1), ("prod", START, 1, 0, 2)]
    assert rows(report, "observed-differences") == [
        ("dev", "version risk/fraud@2", f"registered, {'2' * 64}", f"archived, {'2' * 64}", True),
        ("prod", "alias risk/fraud@champion", f"1, {BUNDLE}", f"7, {'7' * 64}", False),
        ("prod", "version risk/fraud@1", f"registered, {BUNDLE}", None, False),
    ]
    assert "are in no log" in report.completeness[0]
