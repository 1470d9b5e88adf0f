"""Reports and what a log forgets: what was erased is told as such, and an older report still verifies."""

from __future__ import annotations

import json

import pytest

from carnet.audit.reports.compare import verify_report
from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.query import ReportKind, ReportQuery
from carnet.audit.reports.sealing import REPORT_PAYLOAD_TYPE, seal_report
from carnet.canonical import canonical_json, sha256_hex
from carnet.signing.dsse import sign_payload
from carnet.translog.entry import EntryType
from tests.unit.carnet.audit.conftest import KEYS, PROMOTION, START, VERSION
from tests.unit.carnet.audit.test_erasures import SAID_OF, erase, promoted

NOTE = canonical_json(
    {"salt": "00", "note": "Jane Doe asked", "accepted_untested": True, "reason_code": "slow"}
)
ALIAS = VERSION | {"alias": "champion"}


@pytest.fixture
def story(world, tmp_path):
    """Prod admitted a version by two approvals, and moved an alias with a note; nothing is erased yet."""
    words = promoted(world, "carol", "dave")
    world.prod.add(EntryType.ALIAS_MOVED, ALIAS, NOTE, old="1", new="1")
    world.export(tmp_path)

    def make(kind, **more):
        query = ReportQuery(ReportKind(kind), **more)
        return derive_report(tmp_path, world.pins(), query, generated_at=START).report

    def forget():
        erase(world.prod, words[0].to_bytes(), SAID_OF, new="person-request")
        erase(world.prod, NOTE, new="person-request")
        world.export(tmp_path)

    story.make, story.forget = make, forget
    story.verify = lambda data: verify_report(data, tmp_path, world.pins())
    return story


KINDS = [
    ("dossier", {"promotion": PROMOTION}, [("approvals", 1)]),
    ("duties", {}, []),
    ("exceptions", {}, [("untested-rollbacks", 1)]),
    ("changes", {}, []),
    ("health", {}, []),
]


@pytest.mark.parametrize(("kind", "query", "rows"), KINDS)
def test_an_older_report_verifies_and_the_rows_that_say_more_are_named(story, kind, query, rows):
    sealed = seal_report(story.make(kind, **query), KEYS["dave"])
    story.forget()
    found = story.verify(sealed)
    assert found.ok, found.differences
    assert [(each.table, each.row) for each in found.erased] == rows


def test_what_nobody_signed_does_not_vouch_for_what_was_erased(story):
    sealed = seal_report(story.make("dossier", promotion=PROMOTION), None)
    story.forget()
    found = story.verify(sealed)
    assert not found.ok
    assert [(each.table, each.row) for each in found.differences] == [("approvals", 1)]


def test_a_row_that_contradicts_what_is_left_is_a_difference(story):
    value = json.loads(seal_report(story.make("dossier", promotion=PROMOTION), None))
    (table,) = [each for each in value["tables"] if each["name"] == "approvals"]
    table["rows"][0][1] = "mallory"
    table["rows"][1][3] = "another reason"
    story.forget()
    found = story.verify(sign_payload(canonical_json(value), REPORT_PAYLOAD_TYPE, KEYS["dave"]).to_bytes())
    assert not found.ok
    assert {each.row for each in found.differences} == {1, 2, None}


def test_nothing_is_explained_by_an_erasure_in_another_log(world, story, tmp_path):
    value = json.loads(seal_report(story.make("dossier", promotion=PROMOTION), None))
    (table,) = [each for each in value["tables"] if each["name"] == "rules"]
    table["rows"][0][4] = "a rule that was never asked"
    found = story.verify(sign_payload(canonical_json(value), REPORT_PAYLOAD_TYPE, KEYS["dave"]).to_bytes())
    assert not found.ok
    assert found.erased == ()


def test_a_report_made_afterwards_tells_who_what_and_when_and_no_text(story, rows):
    story.forget()
    dossier = story.make("dossier", promotion=PROMOTION)
    assert rows(dossier, "approvals", "person", "meaning", "reason", "counted") == [
        ("carol", "approved", None, True),
        ("dave", "approved", "the figures are right", True),
    ]
    assert [row[0] for row in rows(story.make("duties"), "duties", "person", "approved") if row[1]] == [
        "carol",
        "dave",
    ]
    changes = rows(story.make("changes"), "changes", "type", "by", "authorisation")
    assert ("approval.recorded", "carol", "signature of carol") in changes
    found = rows(story.make("health"), "erasures", "environment", "document", "by", "reason_code")
    assert found[1] == ("prod", sha256_hex(NOTE), "alice", "person-request")
    assert len(found) == 2
