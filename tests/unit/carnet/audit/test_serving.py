"""What hosts run, in a log: a version begins before it ends, or it is found."""

from __future__ import annotations

import pytest

from carnet.audit.codes import Code
from carnet.audit.serving import judge_serving
from carnet.audit.statements import Record
from carnet.translog.entry import Actor, Entry, EntryType
from tests.unit.carnet.audit.conftest import START

ACTOR = Actor("spiffe://example.com/host", "", "mtls")


def log(*steps):
    """A log in short: ``champion 1 - running``: alias, version, old and new; - for nothing."""
    records = []
    for index, step in enumerate(steps):
        alias, version, old, new = step.split()
        subject = {
            "namespace": "risk",
            "model": "fraud",
            "version": int(version),
            "alias": alias,
            "bundle_digest": version * 64,
        }
        change = {"old": old.strip("-"), "new": new.strip("-")}
        entry = Entry(f"e-{index}", EntryType.SERVING_OBSERVED, "dev", START, ACTOR, subject, **change)
        records.append(Record(index, entry))
    return records


@pytest.mark.parametrize(
    "steps",
    [
        ("champion 1 - running",),
        ("champion 1 - running", "champion 1 running -", "champion 1 - running"),
        ("champion 1 - running", "champion 2 - running", "champion 1 running -"),
        ("champion 1 - running", "shadow 1 - running", "champion 1 running -", "shadow 1 running -"),
    ],
)
def test_what_begins_may_end(steps):
    assert judge_serving("dev", log(*steps)) == []


@pytest.mark.parametrize(
    ("steps", "code", "message"),
    [
        (("champion 1 running -",), Code.STATE_MISMATCH, "ends what did not run"),
        (
            ("champion 1 - running", "champion 1 - running"),
            Code.STATE_MISMATCH,
            "begins what runs already",
        ),
        (("champion 1 - running", "champion 2 running -"), Code.STATE_MISMATCH, "ends what did not run"),
        (("champion 1 - running", "shadow 1 running -"), Code.STATE_MISMATCH, "ends what did not run"),
        (("champion 1 - walking",), Code.ENTRY_INCONSISTENT, "'walking'"),
        (("champion 1 - -",), Code.ENTRY_INCONSISTENT, "begins to run, or it ends"),
        (("champion 1 running running",), Code.ENTRY_INCONSISTENT, "begins to run, or it ends"),
    ],
)
def test_what_contradicts_is_found(steps, code, message):
    (finding,) = judge_serving("dev", log(*steps))
    assert (finding.code, finding.index) == (code, len(steps) - 1)
    assert message in finding.message
