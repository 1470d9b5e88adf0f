"""Folding a log: the state after each entry is what the entries say, whatever came before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.audit.fold import AliasName, LogState, VersionName
from carnet.rollouts import RolloutState
from carnet.translog.entry import Actor, Entry, EntryType
from tests.unit.carnet.audit.conftest import START

CHAMPION = AliasName("risk", "fraud", "champion")
MODEL = {"namespace": "risk", "model": "fraud"}


def version(number):
    return VersionName("risk", "fraud", number)


def about(number, **more):
    return MODEL | {"version": number, "bundle_digest": f"{number}" * 64} | more


class Book:
    def __init__(self):
        self.state, self.index = LogState(), 0

    def add(self, kind, subject=None, *, by="dave", **fields):
        entry = Entry(
            event_id=str(self.index),
            type=kind,
            environment="prod",
            time=START + timedelta(hours=self.index),
            actor=Actor(by, "", "mtls"),
            subject=subject or {},
            **fields,
        )
        self.state.step(self.index, entry)
        self.index += 1
        return self.state


@pytest.fixture
def book():
    return Book()


def test_an_alias_counts_its_moves_and_removals_and_knows_who_moved_it(book):
    book.add(EntryType.ALIAS_MOVED, about(1, alias="champion"), old="", new="1")
    book.add(EntryType.ALIAS_REMOVED, MODEL | {"alias": "champion"}, old="1", new="")
    assert book.state.aliases[CHAMPION].version == 0
    assert book.state.live_aliases() == {}
    subject = about(2, alias="champion", promotion="p" * 32, rollout=3)
    book.add(EntryType.ALIAS_MOVED, subject, by="carol", old="", new="2", envelope_digest="d" * 64)
    found = book.state.aliases[CHAMPION]
    assert (found.version, found.bundle_digest, found.revision, found.before) == (2, "2" * 64, 3, 0)
    assert (found.promotion, found.rollout, found.document) == ("p" * 32, 3, "d" * 64)
    assert (found.since.index, found.since.time, found.since.by) == (2, START + timedelta(hours=2), "carol")
    assert book.state.live_aliases() == {version(2): ("champion",)}


def test_a_version_goes_through_its_stages_and_keeps_who_did_what(book):
    book.add(EntryType.VERSION_ADMITTED, about(1, promotion="p" * 32), by="sync")
    found = book.state.versions[version(1)]
    assert (found.stage, found.admitted, found.promotion, found.arrived.by) == (
        "registered",
        True,
        "p" * 32,
        "sync",
    )
    book.add(EntryType.VERSION_STAGE_CHANGED, about(1), old="registered", new="archived")
    assert (found.stage, found.staged.index, found.revoked, found.purged) == ("archived", 1, None, None)
    book.add(EntryType.VERSION_PURGED, about(1), old="archived", new="purged")
    book.add(EntryType.VERSION_REVOKED, about(1), by="bob", old="archived", new="revoked")
    assert (found.stage, found.purged.index, found.revoked.by) == ("revoked", 2, "bob")
    book.add(EntryType.VERSION_PUBLISHED, about(1))
    assert book.state.versions[version(1)].stage == "revoked"


def test_what_never_arrived_gets_no_stage(book):
    book.add(EntryType.VERSION_STAGE_CHANGED, about(7), old="registered", new="archived")
    book.add(EntryType.VERSION_PURGED, about(7), old="archived", new="purged")
    assert book.state.versions == {}


def test_marks_come_change_and_go(book):
    book.add(EntryType.ALIAS_MARKED, about(1, alias="champion"), old="", new="1")
    book.add(EntryType.ALIAS_MARKED, about(2, alias="champion"), by="carol", old="1", new="2")
    assert (book.state.marks[CHAMPION].version, book.state.marks[CHAMPION].since.by) == (2, "carol")
    book.add(EntryType.ALIAS_MARKED, MODEL | {"alias": "champion"}, old="2", new="")
    assert book.state.marks == {}


def test_a_hold_is_in_force_until_its_time_or_its_release(book):
    until = START + timedelta(days=30)
    book.add(EntryType.HOLD_PLACED, MODEL | {"hold": 7}, new=until.isoformat(), envelope_digest="d" * 64)
    book.add(EntryType.HOLD_PLACED, about(1, hold=8))
    seven, eight = book.state.holds[7], book.state.holds[8]
    assert (seven.name, seven.until, eight.name, eight.until) == (version(0), until, version(1), None)
    assert seven.in_force(until - timedelta(seconds=1))
    assert not seven.in_force(until)
    assert eight.in_force(until)
    book.add(EntryType.HOLD_RELEASED, about(1, hold=8), by="dave")
    assert not eight.in_force(START)
    assert eight.released.by == "dave"


def test_the_newest_rollout_of_an_alias_stands_where_its_last_entry_says(book):
    subject = about(2, alias="champion", rollout=1)
    book.add(EntryType.ROLLOUT_STARTED, subject, old="", new="running 0.05", envelope_digest="d" * 64)
    book.add(
        EntryType.ROLLOUT_CHANGED, subject, old="running 0.05", new="running 0.5", envelope_digest="e" * 64
    )
    found = book.state.rollouts[CHAMPION]
    assert (found.number, found.version, found.state, found.share) == (1, 2, RolloutState.RUNNING, 0.5)
    assert (found.started.index, found.since.index, found.plan) == (0, 1, "d" * 64)
    book.add(EntryType.ROLLOUT_CHANGED, subject, old="running 0.5", new="stopped 0.5")
    book.add(EntryType.ROLLOUT_STARTED, about(3, alias="champion", rollout=2), old="", new="running 1")
    assert (book.state.rollouts[CHAMPION].number, book.state.rollouts[CHAMPION].version) == (2, 3)


def test_documents_come_into_force_with_their_entries(book):
    assert book.state.policy is None
    book.add(EntryType.POLICY_CHANGED, {"policy": "a" * 64}, new="a" * 64)
    book.add(EntryType.TRUST_CHANGED, new="b" * 64)
    book.add(EntryType.POLICY_CHANGED, {"policy": "c" * 64}, new="c" * 64)
    assert (book.state.policy.digest, book.state.policy.since.index) == ("c" * 64, 2)
    assert (book.state.trust.digest, book.state.size) == ("b" * 64, 3)


def test_the_time_is_that_of_the_newest_entry_also_where_clocks_went_back(book):
    book.add(EntryType.ALIAS_MOVED, about(1, alias="champion"), old="", new="1")
    newest = book.state.time
    book.index = 0
    book.state.step(
        1,
        Entry(
            event_id="x",
            type=EntryType.ACCESS_REFUSED,
            environment="prod",
            time=START - timedelta(seconds=30),
            actor=Actor("dave", "", "mtls"),
            subject={},
        ),
    )
    assert book.state.time == newest
