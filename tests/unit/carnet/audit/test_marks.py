"""Marks in a log: only what an alias pointed at before is marked for it, or it is found."""

from __future__ import annotations

import pytest

from carnet.audit.marks import judge_marks
from carnet.audit.statements import Record
from carnet.translog.entry import Actor, Entry, EntryType
from tests.unit.carnet.audit.conftest import START

ACTOR = Actor("spiffe://example.com/dave", "", "mtls")


def log(*steps):
    """A log in short: ``move champion 1``, ``remove champion``, ``mark champion OLD NEW``, ``revoke 1``; - for none."""
    records = []
    for index, step in enumerate(steps):
        kind, *parts = step.split()
        subject = {"namespace": "risk", "model": "fraud"}
        change = {}
        if kind != "revoke":
            subject["alias"] = parts.pop(0)
        if kind == "mark":
            old, new, *digest = parts
            change = {"old": old.strip("-"), "new": new.strip("-")}
            parts = [new, *digest] if new != "-" else []
        elif kind == "move":
            change = {"new": parts[0]}
        if parts:
            number, *digest = parts
            subject |= {"version": int(number), "bundle_digest": (digest or [number])[0] * 64}
        kinds = {
            "move": EntryType.ALIAS_MOVED,
            "remove": EntryType.ALIAS_REMOVED,
            "mark": EntryType.ALIAS_MARKED,
            "revoke": EntryType.VERSION_REVOKED,
        }
        records.append(
            Record(index, Entry(f"e-{index}", kinds[kind], "dev", START, ACTOR, subject, **change))
        )
    return records


GOOD = {
    "the present one": ("move champion 1", "mark champion - 1"),
    "an earlier one": ("move champion 1", "move champion 2", "mark champion - 1"),
    "another instead": ("move champion 1", "move champion 2", "mark champion - 1", "mark champion 1 2"),
    "the same again": ("move champion 1", "mark champion - 1", "mark champion 1 1"),
    "taken away": ("move champion 1", "mark champion - 1", "mark champion 1 -", "mark champion - 1"),
    "of a removed alias": ("move champion 1", "remove champion", "mark champion - 1"),
    "each alias its own": (
        *("move champion 1", "move shadow 2", "mark champion - 1", "mark shadow - 2", "mark champion 1 -"),
    ),
    "revoked afterwards": ("move champion 1", "mark champion - 1", "revoke 1", "mark champion 1 -"),
}
BAD = {
    "never live": (("move champion 1", "mark champion - 2"), 1, "never pointed at version 2 before"),
    "live only later": (("mark champion - 1", "move champion 1"), 0, "never pointed at version 1 before"),
    "live under another alias": (
        ("move shadow 1", "move champion 2", "mark champion - 1"),
        2,
        "never pointed at version 1 before",
    ),
    "another bundle": (("move champion 1", "mark champion - 1 f"), 1, "had another digest"),
    "revoked before": (("move champion 1", "revoke 1", "mark champion - 1"), 2, "was revoked before"),
    "another old one": (
        ("move champion 1", "mark champion 2 1"),
        1,
        "says that version 2 was marked, and the log has no version",
    ),
    "no old one": (
        ("move champion 1", "mark champion - 1", "mark champion - 1"),
        2,
        "says that no version was marked, and the log has version 1",
    ),
    "nothing to take away": (("move champion 1", "mark champion - -"), 1, "a mark that there was not"),
}


@pytest.mark.parametrize("steps", GOOD.values(), ids=GOOD.keys())
def test_marks_of_what_was_live_have_nothing_wrong(steps):
    assert judge_marks("dev", log(*steps)) == []


@pytest.mark.parametrize(("steps", "index", "message"), BAD.values(), ids=BAD.keys())
def test_a_mark_that_does_not_follow_is_found_at_its_entry(steps, index, message):
    (finding,) = judge_marks("dev", log(*steps))
    assert (finding.verdict, finding.environment, finding.index) == ("policy_violated", "dev", index)
    assert message in finding.message


def test_a_mark_about_another_version_than_it_marks_is_found():
    records = log("move champion 1", "move champion 2", "mark champion - 2")
    entry = records[-1].entry
    records[-1] = Record(
        2, Entry("e-2", entry.type, "dev", START, ACTOR, entry.subject | {"version": 1}, new="2")
    )
    (finding,) = judge_marks("dev", records)
    assert "it marks version 2, and is about 1" in finding.message


def test_the_verifier_judges_marks(world, tmp_path):
    version = {"namespace": "risk", "model": "fraud", "alias": "champion", "version": 1}
    index = world.dev.add(EntryType.ALIAS_MARKED, version | {"bundle_digest": world.bundle}, old="", new="1")
    world.export(tmp_path)
    findings = world.audit(tmp_path).findings
    assert [(each.environment, each.index) for each in findings] == [("dev", index)]
    assert "never pointed at version 1 before" in findings[0].message
