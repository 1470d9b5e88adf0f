"""What was live when: spans of aliases and rollouts, reports of hosts, and the state at one moment."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest

from carnet.canonical import canonical_json
from carnet.errors import InvalidInputError, NotFoundError
from carnet.translog.entry import EntryType
from tests.unit.carnet.audit.conftest import BUNDLE, PROMOTION

MODEL = {"namespace": "risk", "model": "fraud"}
CHAMPION = "risk/fraud@champion"
FIRST = MODEL | {"version": 1, "bundle_digest": BUNDLE}
SECOND = MODEL | {"version": 2, "bundle_digest": "2" * 64}


@pytest.fixture
def moved(world):
    """Dev's alias goes to version 1, to 2, is removed; an hour in between."""
    world.dev.add(EntryType.VERSION_PUBLISHED, SECOND)
    times = []
    for subject, old, new in ((FIRST, "", "1"), (SECOND, "1", "2")):
        world.now += timedelta(hours=1)
        world.dev.add(EntryType.ALIAS_MOVED, subject | {"alias": "champion"}, old=old, new=new)
        times.append(world.now)
    world.now += timedelta(hours=1)
    world.dev.add(EntryType.ALIAS_REMOVED, MODEL | {"alias": "champion"}, old="2", new="")
    return [*times, world.now]


def test_each_span_of_an_alias_has_its_beginning_and_its_end(moved, derive, rows):
    found = rows(
        derive("live"),
        "aliases",
        *("environment", "alias", "version", "from", "to", "from_entry", "to_entry", "moved_by", "revision"),
    )
    assert found == [
        ("dev", CHAMPION, "risk/fraud@1", moved[0], moved[1], 6, 7, "alice", 1),
        ("dev", CHAMPION, "risk/fraud@2", moved[1], moved[2], 7, 8, "alice", 2),
    ]


def test_a_span_is_told_where_it_touches_the_period(moved, derive, rows):
    def versions(**period):
        return [row[0] for row in rows(derive("live", **period), "aliases", "version")]

    assert versions(until=moved[0]) == []
    assert versions(until=moved[1]) == ["risk/fraud@1"]
    assert versions(since=moved[1]) == ["risk/fraud@2"]
    assert versions(since=moved[0] + timedelta(minutes=1), until=moved[1] + timedelta(minutes=1)) == [
        "risk/fraud@1",
        "risk/fraud@2",
    ]
    assert versions(since=moved[2]) == []


def test_what_goes_on_has_no_end(world, derive, rows):
    world.promote()
    assert rows(derive("live"), "aliases", "environment", "version", "to", "to_entry") == [
        ("prod", "risk/fraud@1", None, None)
    ]


def test_reports_of_hosts_that_run_something_else_name_the_version_if_it_is_known(world, derive, rows):
    world.promote()
    for digest in (BUNDLE, "7" * 64):
        world.prod.add(
            EntryType.SERVING_DRIFTED,
            MODEL | {"alias": "champion", "bundle_digest": digest},
            old="0" * 64,
            new="host-17",
        )
    found = rows(
        derive("live"), "reported", "alias", "reporter", "instance", "expected_digest", "reported_version"
    )
    assert found == [
        (CHAMPION, "alice", "host-17", "0" * 64, "risk/fraud@1"),
        (CHAMPION, "alice", "host-17", "0" * 64, None),
    ]


@pytest.fixture
def ran(world, moved):
    """Hosts of dev's alias ran version 1 from before its end until after, and version 2 from then on."""
    times = []
    for subject, old, new in (
        (FIRST, "", "running"),
        (SECOND, "", "running"),
        (FIRST, "running", ""),
        (MODEL | {"version": 1, "bundle_digest": "9" * 64}, "", "running"),
    ):
        world.now += timedelta(minutes=10)
        world.dev.add(EntryType.SERVING_OBSERVED, subject | {"alias": "champion"}, old=old, new=new)
        times.append(world.now)
    return times


def test_what_hosts_ran_has_its_beginning_and_its_end(ran, derive, rows):
    columns = ("environment", "alias", "version", "from", "to", "from_entry", "to_entry", "first_reporter")
    found = rows(derive("live"), "running", *columns)
    assert found == [
        ("dev", CHAMPION, "risk/fraud@1", ran[0], ran[2], 9, 11, "alice"),
        ("dev", CHAMPION, "risk/fraud@2", ran[1], None, 10, None, "alice"),
        ("dev", CHAMPION, None, ran[3], None, 12, None, "alice"),
    ], "a version under another digest is no version that is known"
    between = rows(derive("live", until=ran[1]), "running", "version")
    assert between == [("risk/fraud@1",)]
    assert rows(derive("live", since=ran[2]), "running", "version") == [("risk/fraud@2",), (None,)]


def test_at_a_moment_hosts_ran_what_they_said(world, ran, derive, rows):
    def running_at(moment):
        report = derive("at", at=moment, reference="dev/risk/fraud@champion")
        return rows(report, "running", "version", "since", "since_entry")

    assert running_at(ran[0] - timedelta(seconds=1)) == []
    assert running_at(ran[0]) == [("risk/fraud@1", ran[0], 9)]
    assert running_at(ran[1]) == [("risk/fraud@1", ran[0], 9), ("risk/fraud@2", ran[1], 10)]
    assert running_at(ran[2]) == [("risk/fraud@2", ran[1], 10)]


def roll_out(world, kind="split"):
    """Version 2 is tried beside version 1, which is dev's champion, by 5 % and then by 50 %."""
    name = "namespaces/risk/models/fraud/aliases/champion/rollouts/1"
    world.dev.add(EntryType.VERSION_PUBLISHED, SECOND)
    world.dev.add(EntryType.ALIAS_MOVED, FIRST | {"alias": "champion"}, old="", new="1")
    subject = SECOND | {"alias": "champion", "rollout": 1}
    plan = {
        "schema": "carnet.rollout-plan/v1",
        "environment": "dev",
        "rollout": name,
        "kind": kind,
        "champion": {"version": 1, "bundle_digest": BUNDLE},
        "challenger": {"version": 2, "bundle_digest": "2" * 64},
        "challenger_alias": "challenger",
        "policy_digest": world.policies["dev"],
        "steps": [{"share": 0.05}, {"share": 0.5}],
    }
    steps = [("", "running 0.05", EntryType.ROLLOUT_STARTED, plan)]
    for old, new in (("running 0.05", "running 0.5"), ("running 0.5", "stopped 0.5")):
        change = {"schema": "carnet.rollout-change/v1", "rollout": name, "old": old, "new": new}
        steps.append((old, new, EntryType.ROLLOUT_CHANGED, change))
    times = []
    for old, new, entry, document in steps:
        world.now += timedelta(hours=1)
        world.dev.add(entry, subject, canonical_json(document), old=old, new=new)
        times.append(world.now)
    return times


def test_a_rollout_has_a_span_for_each_share(world, derive, rows):
    times = roll_out(world)
    found = rows(derive("live"), "rollouts", "alias", "rollout", "kind", "version", "share", "from", "to")
    assert found == [
        (CHAMPION, 1, "split", "risk/fraud@2", 0.05, times[0], times[1]),
        (CHAMPION, 1, "split", "risk/fraud@2", 0.5, times[1], times[2]),
    ]


@pytest.mark.parametrize(
    ("kind", "step", "wanted"),
    [
        ("split", 0, [("risk/fraud@1", "champion", 0.95), ("risk/fraud@2", "challenger", 0.05)]),
        ("split", 1, [("risk/fraud@1", "champion", 0.5), ("risk/fraud@2", "challenger", 0.5)]),
        ("shadow", 1, [("risk/fraud@1", "champion", 1.0), ("risk/fraud@2", "shadow", 0.5)]),
        ("split", 2, [("risk/fraud@1", "champion", 1.0)]),
    ],
)
def test_at_a_moment_of_a_rollout_each_version_has_its_share(world, derive, rows, kind, step, wanted):
    times = roll_out(world, kind)
    report = derive("at", at=times[step], reference="dev/risk/fraud@champion")
    assert rows(report, "live", "version", "role", "share") == wanted


def test_at_a_moment_the_alias_is_where_it_was_then(world, moved, derive, rows):
    def version_at(moment):
        report = derive("at", at=moment, reference="dev/risk/fraud@champion")
        return [row[0] for row in rows(report, "live", "version")]

    assert version_at(moved[0]) == ["risk/fraud@1"]
    assert version_at(moved[1] - timedelta(microseconds=1)) == ["risk/fraud@1"]
    assert version_at(moved[1]) == ["risk/fraud@2"]
    assert version_at(moved[2]) == []
    with pytest.raises(NotFoundError, match="was not set at"):
        version_at(moved[0] - timedelta(seconds=1))


def test_the_decision_and_the_approvals_behind_what_was_live_are_told(world, derive, rows):
    world.promote()
    report = derive("at", at=world.now, reference="prod/risk/fraud@champion")
    wanted = ("version", "bundle_digest", "moved_by", "promotion", "decision_entry", "arrival_entry")
    assert rows(report, "live", *wanted) == [("risk/fraud@1", BUNDLE, "alice", PROMOTION, 8, 9)]
    assert rows(report, "approvals", "promotion", "person", "meaning", "counted") == [
        (PROMOTION, "carol", "approved", True),
        (PROMOTION, "dave", "approved", True),
    ]
    assert report.query == {
        "environments": "prod",
        "at": world.now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "reference": "prod/risk/fraud@champion",
    }


def test_only_an_alias_can_be_asked_about(derive, world):
    with pytest.raises(InvalidInputError, match="names no alias"):
        derive("at", at=world.now, reference="prod/risk/fraud@1")
