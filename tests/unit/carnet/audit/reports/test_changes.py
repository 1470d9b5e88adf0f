"""The change population: every entry that changed anything, what it rests on, and that the list is complete."""

from __future__ import annotations

from datetime import timedelta

from carnet.canonical import sha256_hex
from carnet.translog.entry import EntryType
from tests.unit.carnet.audit.conftest import PROMOTION

MODEL = {"namespace": "risk", "model": "fraud"}
ALICE = "spiffe://example.com/alice"


def test_each_change_is_a_row_with_who_what_and_what_it_rests_on(world, derive, rows):
    world.promote()
    report = derive("changes", environments=("prod",))
    trust = f"roles in trust {sha256_hex(b'the trust of prod')}, entry 2"
    policy = f"policy {world.policies['prod']}, entry 1"
    about = f"risk/fraud@1 promotion {PROMOTION}"
    own = "unsigned; the environment's own files"
    assert rows(report, "changes", "entry", "type", "by", "subject", "new", "authorisation") == [
        (0, "environment.initialized", "alice", "", None, "the environment's beginning"),
        (1, "policy.changed", "alice", "", world.policies["prod"], own),
        (2, "trust.changed", "alice", "", sha256_hex(b"the trust of prod"), own),
        (3, "promotion.requested", "bob", about, None, "signature of bob"),
        (4, "evidence.added", "evaluator", about, None, "signature of evaluator"),
        (5, "dossier.issued", "alice", about, None, policy),
        (6, "approval.recorded", "carol", about, "approved", "signature of carol"),
        (7, "approval.recorded", "dave", about, "approved", "signature of dave"),
        (8, "decision.made", "alice", about, "PASSED", policy),
        (9, "version.admitted", "alice", about, None, f"decision of promotion {PROMOTION}, entry 8"),
        (10, "alias.moved", "alice", "risk/fraud@1 alias champion", "1", trust),
    ]
    assert rows(report, "coverage") == [("prod", 11, 0, 10, 11, 11, 0, ())]
    assert sum(count for _, _, count in rows(report, "counts")) == 11


def test_what_changes_nothing_is_counted_and_no_row(world, derive, rows):
    world.dev.add(
        EntryType.SERVING_DRIFTED,
        MODEL | {"alias": "champion", "bundle_digest": "7" * 64},
        old="0" * 64,
        new="host-1",
    )
    report = derive("changes", environments=("dev",))
    assert len(rows(report, "changes")) == 5
    assert rows(report, "coverage") == [("dev", 6, 0, 5, 6, 5, 1, ("serving.drifted x1",))]
    assert "entries 0 to 5 were read, which are all 6 of the tree" in report.completeness[0]
    assert "Of the 6 entries of the period 5 are changes" in report.completeness[0]


def test_a_period_is_told_from_its_first_entry_to_the_one_before_its_end(world, derive, rows):
    world.promote()
    all_times = [time for (time,) in rows(derive("changes", environments=("dev",)), "changes", "time")]
    report = derive("changes", environments=("dev",), since=all_times[2], until=all_times[4])
    assert rows(report, "changes", "entry") == [(2,), (3,)]
    assert rows(report, "coverage") == [("dev", 6, 2, 3, 2, 2, 0, ())]
    empty = derive("changes", environments=("dev",), since=all_times[-1] + timedelta(days=1))
    assert rows(empty, "changes") == []
    assert rows(empty, "coverage") == [("dev", 6, None, None, 0, 0, 0, ())]


def test_a_stage_that_an_alias_changed_rests_on_the_move_and_one_by_hand_on_roles(world, derive, rows):
    version = MODEL | {"version": 1, "bundle_digest": world.bundle}
    moved = world.dev.add(EntryType.ALIAS_MOVED, version | {"alias": "newest"}, old="", new="1")
    world.dev.add(EntryType.VERSION_STAGE_CHANGED, version, old="registered", new="deployed")
    world.dev.add(EntryType.ALIAS_REMOVED, MODEL | {"alias": "newest"}, old="1", new="")
    world.dev.add(EntryType.VERSION_STAGE_CHANGED, version, old="deployed", new="archived")
    world.dev.add(EntryType.VERSION_STAGE_CHANGED, version, b"{}", old="archived", new="registered")
    found = rows(derive("changes", environments=("dev",)), "changes", "type", "authorisation")
    stages = [rests for kind, rests in found if kind == "version.stage-changed"]
    trust = f"roles in trust {sha256_hex(b'the trust of dev')}, entry 2"
    assert stages == [f"follows entry {moved}", f"follows entry {moved + 2}", trust]
