"""Purges and holds in a log: each follows from what is told before it, or is found."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.audit.retention import judge_retention
from carnet.audit.statements import Record
from carnet.translog.entry import Actor, Entry, EntryType
from tests.unit.carnet.audit.conftest import START

ACTOR = Actor("spiffe://example.com/dave", "", "mtls")
TYPES = {
    "arrive": EntryType.VERSION_PUBLISHED,
    "admit": EntryType.VERSION_ADMITTED,
    "stage": EntryType.VERSION_STAGE_CHANGED,
    "revoke": EntryType.VERSION_REVOKED,
    "move": EntryType.ALIAS_MOVED,
    "remove": EntryType.ALIAS_REMOVED,
    "run": EntryType.SERVING_OBSERVED,
    "purge": EntryType.VERSION_PURGED,
    "hold": EntryType.HOLD_PLACED,
    "release": EntryType.HOLD_RELEASED,
}


def log(*steps):
    """A log in short, an hour an entry: ``arrive 1``, ``stage 1 registered archived``, ``purge 1 archived``,
    ``hold 7 1``, ``hold 7 model 3h``, ``release 7 1``, ``move champion 1``, …"""
    return [record(index, *step.split()) for index, step in enumerate(steps)]


def record(index, kind, *parts):
    parts = list(parts)
    subject = {"namespace": "risk", "model": "fraud"}
    fields = {"envelope_digest": "e" * 64}
    if kind in {"move", "remove", "run"}:
        subject["alias"] = parts.pop(0)
    if kind in {"hold", "release"}:
        subject["hold"] = int(parts.pop(0))
    if kind != "remove":
        version = parts.pop(0)
        if version != "model":
            subject |= {"version": int(version), "bundle_digest": "b" * 64}
    if kind == "hold" and parts:
        hours = parts.pop(0)
        fields["new"] = (
            (START + timedelta(hours=int(hours[:-1]))).isoformat() if hours.endswith("h") else hours
        )
    if kind in {"stage", "purge", "revoke"}:
        fields |= dict(zip(("old", "new"), parts, strict=False))
    if kind == "run":
        fields = dict.fromkeys(parts, "running")
    if kind == "purge" and "undocumented" in parts:
        fields["envelope_digest"] = None
    time = START + timedelta(hours=index)
    return Record(index, Entry(f"e-{index}", TYPES[kind], "dev", time, ACTOR, subject, **fields))


OLD = ("arrive 1", "stage 1 registered archived")
GOOD = {
    "archived": (*OLD, "purge 1 archived"),
    "revoked": ("arrive 1", "revoke 1 registered revoked", "purge 1 revoked"),
    "revoked afterwards": (*OLD, "purge 1 archived", "revoke 1 archived revoked"),
    "admitted": ("admit 1", "stage 1 registered archived", "purge 1 archived"),
    "after the alias left": (
        *("arrive 1", "arrive 2", "move champion 1", "stage 1 registered deployed", "move champion 2"),
        *("stage 1 deployed archived", "stage 2 registered deployed", "purge 1 archived"),
    ),
    "after the alias was removed": (
        *("arrive 1", "move champion 1", "stage 1 registered deployed", "remove champion"),
        *("stage 1 deployed archived", "purge 1 archived"),
    ),
    "no host runs it any more": (*OLD, "run champion 1 new", "run champion 1 old", "purge 1 archived"),
    "another is held": (*OLD, "arrive 2", "hold 1 2", "purge 1 archived"),
    "a hold that was released": (
        *OLD,
        "hold 1 1",
        "hold 2 model",
        "release 1 1",
        "release 2 model",
        "purge 1 archived",
    ),
    "a hold that ended by itself": (*OLD, "hold 1 1 4h", "arrive 2", "purge 1 archived"),
    "the next number": (*OLD, "purge 1 archived", "arrive 2"),
}
BAD = {
    "not archived": (("arrive 1", "purge 1 archived"), 1, "the log has it registered"),
    "never here": (("purge 1 archived",), 0, "it never arrived"),
    "deployed": (
        ("arrive 1", "move champion 1", "stage 1 registered deployed", "purge 1 archived"),
        3,
        "the log has it deployed",
    ),
    "brought back before": (
        (*OLD, "stage 1 archived registered", "purge 1 archived"),
        3,
        "the log has it registered",
    ),
    "revoked under an alias": (
        ("arrive 1", "move champion 1", "revoke 1 registered revoked", "purge 1 revoked"),
        3,
        "the alias champion pointed at it",
    ),
    "tells another stage": (
        ("arrive 1", "revoke 1 registered revoked", "purge 1 archived"),
        2,
        "the log has it revoked",
    ),
    "run by hosts": (
        (*OLD, "run champion 1 new", "purge 1 archived"),
        3,
        "hosts of the alias champion ran it",
    ),
    "held": ((*OLD, "hold 1 1", "purge 1 archived"), 3, "hold 1 was on it, by entry 2"),
    "its model is held": ((*OLD, "hold 1 model", "purge 1 archived"), 3, "hold 1 was on it"),
    "held before it came": (
        ("arrive 2", "hold 1 model", *OLD, "purge 1 archived"),
        4,
        "hold 1 was on it",
    ),
    "held for longer": ((*OLD, "hold 1 1 9h", "purge 1 archived"), 3, "hold 1 was on it"),
    "another hold was released": (
        (*OLD, "hold 1 1", "hold 2 1", "release 2 1", "purge 1 archived"),
        5,
        "hold 1 was on it",
    ),
    "twice": ((*OLD, "purge 1 archived", "purge 1 archived"), 3, "it was purged before, by entry 2"),
    "without a document": ((*OLD, "purge 1 archived undocumented"), 2, "no document"),
    "its number again": ((*OLD, "purge 1 archived", "arrive 1"), 3, "its number was used before"),
    "admitted again": ((*OLD, "purge 1 archived", "admit 1"), 3, "its number was used before"),
    "an alias comes back": ((*OLD, "purge 1 archived", "move champion 1"), 3, "was purged before"),
    "made registered again": (
        (*OLD, "purge 1 archived", "stage 1 archived registered"),
        3,
        "its files were purged before",
    ),
    "a number twice": (("arrive 1", "hold 1 1", "hold 1 model"), 2, "was placed before, by entry 1"),
    "never placed": (("arrive 1", "release 1 1"), 1, "no hold 1 was placed on it"),
    "released elsewhere": (("arrive 1", "hold 1 1", "release 1 model"), 2, "no hold 1 was placed on it"),
    "released twice": (
        ("arrive 1", "hold 1 1", "release 1 1", "release 1 1"),
        3,
        "was released before, by entry 2",
    ),
    "ends at no time": (("arrive 1", "hold 1 1 never"), 1, "which is no time"),
}


@pytest.mark.parametrize("steps", GOOD.values(), ids=GOOD.keys())
def test_purges_and_holds_that_follow_have_nothing_wrong(steps):
    assert judge_retention("dev", log(*steps)) == []


@pytest.mark.parametrize(("steps", "index", "message"), BAD.values(), ids=BAD.keys())
def test_what_does_not_follow_is_found_at_its_entry(steps, index, message):
    findings = judge_retention("dev", log(*steps))
    assert [(each.verdict, each.environment) for each in findings[:1]] == [("policy_violated", "dev")]
    assert any(each.index == index and message in each.message for each in findings), findings


def test_the_verifier_judges_purges(world, tmp_path):
    version = {"namespace": "risk", "model": "fraud", "version": 1, "bundle_digest": world.bundle}
    index = world.dev.add(EntryType.VERSION_PURGED, version, b"{}", old="archived", new="purged")
    world.export(tmp_path)
    findings = world.audit(tmp_path).findings
    assert [(each.environment, each.index) for each in findings] == [("dev", index)]
    assert "only archived and revoked versions" in findings[0].message
