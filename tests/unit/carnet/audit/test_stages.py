"""Stages in a log: each change follows from what is told before it, or is found."""

from __future__ import annotations

import pytest

from carnet.audit.stages import judge_stages
from carnet.audit.statements import Record
from carnet.translog.entry import Actor, Entry, EntryType
from tests.unit.carnet.audit.conftest import START

ACTOR = Actor("spiffe://example.com/dave", "", "mtls")
DECISION = "d" * 64
TYPES = {
    "arrive": EntryType.VERSION_PUBLISHED,
    "admit": EntryType.VERSION_ADMITTED,
    "stage": EntryType.VERSION_STAGE_CHANGED,
    "move": EntryType.ALIAS_MOVED,
    "remove": EntryType.ALIAS_REMOVED,
    "revoke": EntryType.VERSION_REVOKED,
    "decide": EntryType.DECISION_MADE,
}


def log(*steps):
    """A log in short: ``arrive 1``, ``stage 1 registered candidate``, ``move champion 1``, ``decide 1 p``, …"""
    records = []
    for index, step in enumerate(steps):
        kind, *parts = step.split()
        subject = {"namespace": "risk", "model": "fraud"}
        if kind in {"move", "remove"}:
            subject["alias"] = parts.pop(0)
        fields = {}
        if kind != "remove":
            subject |= {"version": int(parts.pop(0)), "bundle_digest": "b" * 64}
        if kind in {"stage", "revoke"}:
            fields = dict(zip(("old", "new"), parts, strict=False))
            parts = parts[2:]
        if kind == "decide":
            fields = {"new": "PASSED", "envelope_digest": DECISION}
        if parts:
            subject["promotion"] = parts[0]
            fields.setdefault("envelope_digest", parts[1] if len(parts) > 1 else DECISION)
        records.append(
            Record(index, Entry(f"e-{index}", TYPES[kind], "dev", START, ACTOR, subject, **fields))
        )
    return records


TWO = ("arrive 1", "arrive 2")
ON = (*TWO, "stage 2 registered candidate", "stage 2 candidate registered")
GOOD = {
    "by hand": (
        *TWO,
        "stage 1 registered candidate",
        "stage 1 candidate approved",
        "stage 1 approved archived",
    ),
    "taken back": (*TWO, "stage 1 registered archived", "stage 1 archived registered"),
    "deployed and replaced": (
        *TWO,
        "move champion 1",
        "stage 1 registered deployed",
        "move champion 2",
        "stage 1 deployed archived",
        "stage 2 registered deployed",
        "remove champion",
        "stage 2 deployed archived",
    ),
    "rolled back to": (
        *TWO,
        *("move champion 1", "stage 1 registered deployed", "move champion 2", "stage 1 deployed archived"),
        *("stage 2 registered deployed", "move champion 1"),
        *("stage 2 deployed archived", "stage 1 archived deployed"),
    ),
    "another alias stays": (
        *TWO,
        *("move champion 1", "stage 1 registered deployed", "move shadow 1", "move champion 2"),
        *("stage 2 registered deployed", "move shadow 2", "stage 1 deployed archived"),
    ),
    "revoked while it was live": (
        *TWO,
        *("move champion 1", "stage 1 registered deployed", "revoke 1 deployed revoked", "move champion 2"),
        "stage 2 registered deployed",
    ),
    "approved by an admission": ("decide 1 p", "admit 1 p", "stage 1 registered approved p"),
    "an archived one is admitted again": (
        *("arrive 1", "stage 1 registered archived", "decide 1 p", "stage 1 archived approved p"),
    ),
    "no stages were kept": (*TWO, "move champion 1", "move champion 2", "revoke 1 registered revoked"),
    "stages begin with a move": (
        *(*TWO, "move champion 1", "move champion 2", "move champion 1"),
        *("stage 2 deployed archived", "stage 1 registered deployed"),
    ),
    "stages begin by hand, after moves": (
        *(*TWO, "move champion 1", "move champion 2", "stage 1 registered archived"),
        *("remove champion", "stage 2 deployed archived"),
    ),
    "an alias is set to what it points at": (
        *TWO,
        "move champion 1",
        "stage 1 registered deployed",
        "move champion 1",
    ),
}
BAD = {
    "a stage that it had not": ((*TWO, "stage 1 candidate approved"), 2, "the log has it registered"),
    "a way that there is not": (
        (*TWO, "stage 1 registered archived", "stage 1 archived approved"),
        3,
        "by hand: registered",
    ),
    "deployed by hand": ((*TWO, "stage 1 registered deployed"), 2, "no alias was moved to it"),
    "revoked by a mere change": ((*TWO, "stage 1 registered revoked"), 2, "an entry of its own"),
    "after its revocation": (
        (*TWO, "revoke 1 registered revoked", "stage 1 revoked registered"),
        3,
        "by hand: none",
    ),
    "archived though an alias points at it": (
        (*TWO, "move champion 1", "stage 1 registered deployed", "stage 1 deployed archived"),
        4,
        "by hand: none",
    ),
    "a move that deploys nothing": (
        (*ON, "move champion 1"),
        4,
        "version 1 of risk/fraud was not made deployed",
    ),
    "a move that archives nothing": (
        (
            *TWO,
            "move champion 1",
            "stage 1 registered deployed",
            "move champion 2",
            "stage 2 registered deployed",
        ),
        4,
        "version 1 of risk/fraud was not made archived",
    ),
    "a removal that archives nothing": (
        (*TWO, "move champion 1", "stage 1 registered deployed", "remove champion", "arrive 3"),
        4,
        "was not made archived",
    ),
    "something else after a move": (
        (*ON, "move champion 1", "stage 1 registered archived"),
        4,
        "was not made deployed",
    ),
    "approved by no decision": (("arrive 1", "stage 1 registered approved p"), 1, "no decision"),
    "approved by another's decision": (
        ("decide 1 q", "arrive 1", "stage 1 registered approved p"),
        2,
        "no decision",
    ),
    "approved on another document": (
        ("decide 1 p", "arrive 1", f"stage 1 registered approved p {'e' * 64}"),
        2,
        "another document",
    ),
    "archived by a promotion": (
        ("decide 1 p", "arrive 1", "stage 1 registered archived p"),
        2,
        "approved, and nothing else",
    ),
    "never arrived": (("arrive 1", "stage 2 registered candidate"), 1, "never arrived"),
    "no change": (("arrive 1", "stage 1 registered registered"), 1, "no two stages"),
    "a stage that is none": (("arrive 1", "stage 1 registered live"), 1, "no two stages"),
    "a revocation that tells another stage": (
        (*ON, "revoke 2 approved revoked"),
        4,
        "the log has it registered",
    ),
}


@pytest.mark.parametrize("steps", GOOD.values(), ids=GOOD.keys())
def test_a_history_of_stages_that_follows_has_nothing_wrong(steps):
    assert judge_stages("dev", log(*steps)) == []


@pytest.mark.parametrize(("steps", "index", "message"), BAD.values(), ids=BAD.keys())
def test_a_stage_that_does_not_follow_is_found_at_its_entry(steps, index, message):
    findings = judge_stages("dev", log(*steps))
    assert [(each.verdict, each.environment) for each in findings[:1]] == [("policy_violated", "dev")]
    assert any(each.index == index and message in each.message for each in findings), findings


def test_the_verifier_judges_stages(world, tmp_path):
    version = {"namespace": "risk", "model": "fraud", "version": 1, "bundle_digest": world.bundle}
    index = world.dev.add(EntryType.VERSION_STAGE_CHANGED, version, old="registered", new="deployed")
    world.export(tmp_path)
    findings = world.audit(tmp_path).findings
    assert [(each.environment, each.index) for each in findings] == [("dev", index)]
    assert "no alias was moved to it" in findings[0].message
