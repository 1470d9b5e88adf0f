"""Rollouts in a log: each change follows from what is told before it, and the aliases from it, or is found."""

from __future__ import annotations

import pytest

from carnet.audit.rollouts import judge_rollouts
from carnet.audit.statements import Record
from carnet.canonical import canonical_json, sha256_hex
from carnet.rollouts import LEGAL, RolloutState, describe_standing, parse_standing
from carnet.translog.entry import Actor, Entry, EntryType
from tests.unit.carnet.audit.conftest import START

ACTOR = Actor("urn:carnet:environment:dev", "", "local")
POLICY = "a" * 64
DECISION = "d" * 64
NAME = "namespaces/risk/models/fraud/aliases/champion/rollouts/{}"
DIGESTS = {number: f"{number}" * 64 for number in range(1, 10)}


def plan(number, **fields):
    """The document of a rollout of version 2 beside version 1, from 5 % to 50 %."""
    document = {
        "schema": "carnet.rollout-plan/v1",
        "environment": "dev",
        "rollout": NAME.format(number),
        "kind": "split",
        "champion": {"version": 1, "bundle_digest": DIGESTS[1]},
        "challenger": {"version": 2, "bundle_digest": DIGESTS[2]},
        "challenger_alias": "challenger",
        "policy_digest": POLICY,
        "steps": [{"share": 0.05}, {"share": 0.5}],
    }
    return canonical_json(document | fields)


def change(number, old, new, **fields):
    document = {"schema": "carnet.rollout-change/v1", "rollout": NAME.format(number), "old": old, "new": new}
    return canonical_json(document | fields)


class Book:
    """A log that is written in short steps, and its documents."""

    def __init__(self):
        self.records, self.documents = [], {}
        self.last_document = None
        self.add(EntryType.POLICY_CHANGED, {"policy": POLICY}, new=POLICY)

    def add(self, kind, subject, **fields):
        index = len(self.records)
        entry = Entry(f"e-{index}", kind, "dev", START, ACTOR, subject, **fields)
        self.records.append(Record(index, entry))

    def keep(self, data):
        self.last_document = sha256_hex(data)
        self.documents[self.last_document] = data
        return self.last_document

    def move(self, alias, version, *, rollout=0, document=None, promotion=""):
        subject = {"namespace": "risk", "model": "fraud", "alias": alias}
        if rollout:
            subject["rollout"] = rollout
        if promotion:
            subject["promotion"] = promotion
        kind = EntryType.ALIAS_MOVED if version else EntryType.ALIAS_REMOVED
        if version:
            subject |= {"version": version, "bundle_digest": DIGESTS[version]}
        self.add(kind, subject, old="", new=str(version or ""), envelope_digest=document)

    def rollout(self, number, old, new, *, document=None, version=2):
        subject = {
            "namespace": "risk",
            "model": "fraud",
            "alias": "champion",
            "version": version,
            "bundle_digest": DIGESTS[version],
            "rollout": number,
        }
        started = old == ""
        document = document or (plan(number) if started else change(number, old, new))
        kind = EntryType.ROLLOUT_STARTED if started else EntryType.ROLLOUT_CHANGED
        self.add(kind, subject, old=old, new=new, envelope_digest=self.keep(document))

    def play(self, *steps):
        """``move champion 1``, ``start 1``, ``change 1 running 0.05 > running 0.5``, ``own champion 2``, ``decide p``."""
        for step in steps:
            kind, *rest = step.split()
            match kind:
                case "move":
                    self.move(rest[0], int(rest[1]))
                case "own":
                    promotion = rest[2] if len(rest) > 2 else ""
                    document = DECISION if promotion else self.last_document
                    rollout = 1 if rest[0] == "champion" else 0
                    self.move(rest[0], int(rest[1]), rollout=rollout, document=document, promotion=promotion)
                case "start":
                    self.rollout(int(rest[0]), "", "running 0.05")
                    if rest[0] == "1":
                        self.move("challenger", 2, document=self.last_document)
                case "change":
                    old, new = " ".join(rest[1:]).split(" > ")
                    self.rollout(int(rest[0]), old, new)
                case "decide":
                    subject = {"namespace": "risk", "model": "fraud", "promotion": rest[0]}
                    subject |= {"version": 2, "bundle_digest": DIGESTS[2]}
                    self.add(EntryType.DECISION_MADE, subject, new="PASSED", envelope_digest=DECISION)
                case "other":
                    self.add(EntryType.ENVIRONMENT_INITIALIZED, {})
        return self

    def findings(self):
        return judge_rollouts("dev", self.records, self.documents.get)


BEGUN = ("move champion 1", "start 1")
STEPPED = (*BEGUN, "change 1 running 0.05 > running 0.5")
BAKED = (*STEPPED, "change 1 running 0.5 > baking 1", "own champion 2")
GOOD = {
    "walked to the end": (*BAKED, "other", "change 1 baking 1 > succeeded 1", "own challenger 0"),
    "rolled back at once": (*BEGUN, "change 1 running 0.05 > rolled_back 0", "own challenger 0"),
    "rolled back while it baked": (
        *(*BAKED, "change 1 baking 1 > rolled_back 0", "own champion 1", "own challenger 0"),
    ),
    "awaited, and moved by an admission": (
        *(*STEPPED, "change 1 running 0.5 > awaiting 0.5", "move champion 2"),
        "change 1 awaiting 0.5 > succeeded 1",
    ),
    "stopped because the alias was moved": (*BEGUN, "move champion 3", "change 1 running 0.05 > stopped 0"),
    "moved by a decision": (
        *("decide p", *STEPPED, "change 1 running 0.5 > succeeded 1", "own champion 2 p", "own challenger 0"),
    ),
    "another begins after the end": (
        *(*BEGUN, "change 1 running 0.05 > stopped 0", "own challenger 0", "start 2"),
    ),
    "something else moves an alias right after it": (*BEGUN, "move other 1"),
}
BAD = {
    "never begun": (("move champion 1", "change 1 running 0.05 > running 0.5"), "it has not begun"),
    "begun while another runs": ((*BEGUN, "start 2"), "rollout 1 of the alias had not ended"),
    "a number that is left out": (("move champion 1", "start 2"), "next rollout would be 1"),
    "from where it was not": ((*BEGUN, "change 1 running 0.5 > stopped 0"), "the log has it 'running 0.05'"),
    "changed after its end": (
        (*BEGUN, "change 1 running 0.05 > stopped 0", "change 1 stopped 0 > running 0.05"),
        "from stopped there are: none",
    ),
    "back from awaiting": (
        (*STEPPED, "change 1 running 0.5 > awaiting 0.5", "change 1 awaiting 0.5 > running 0.5"),
        "from awaiting there are",
    ),
    "a step that falls": ((*STEPPED, "change 1 running 0.5 > running 0.05"), "its share falls"),
    "a step that the plan has not": ((*BEGUN, "change 1 running 0.05 > running 0.4"), "no next step"),
    "a state that is none": ((*BEGUN, "change 1 running 0.05 > happy 1"), "no state: 'happy 1'"),
    "succeeded without the alias": (
        (*STEPPED, "change 1 running 0.5 > succeeded 1", "other"),
        "was not moved to version 2 right after it",
    ),
    "the alias comes too late": (
        (*STEPPED, "change 1 running 0.5 > baking 1", "other", "own champion 2"),
        "follows no entry of that rollout",
    ),
    "rolled back and not moved back": (
        (*BAKED, "change 1 baking 1 > rolled_back 0", "other"),
        "still points at version 2",
    ),
    "moved back to another": (
        (*BAKED, "change 1 baking 1 > rolled_back 0", "own champion 3"),
        "and not to 1",
    ),
    "moved to another": ((*STEPPED, "change 1 running 0.5 > baking 1", "own champion 3"), "and not to 2"),
    "an alias that is not its own": (
        (*STEPPED, "change 1 running 0.5 > stopped 0", "own other 2"),
        "is about other aliases",
    ),
    "its own alias at another version": (
        (*BEGUN, "change 1 running 0.05 > stopped 0", "own challenger 3"),
        "which it does not try",
    ),
    "a move on no decision": (
        (*STEPPED, "change 1 running 0.5 > succeeded 1", "own champion 2 p"),
        "no decision of promotion p",
    ),
    "a champion that the alias did not point at": (("move champion 3", "start 1"), "the alias pointed at 3"),
}


@pytest.mark.parametrize("steps", GOOD.values(), ids=GOOD.keys())
def test_a_rollout_that_follows_has_nothing_wrong(steps):
    assert Book().play(*steps).findings() == []


@pytest.mark.parametrize(("steps", "message"), BAD.values(), ids=BAD.keys())
def test_what_does_not_follow_is_found(steps, message):
    findings = Book().play(*steps).findings()
    assert {each.verdict for each in findings} == {"policy_violated"}
    assert any(message in each.message for each in findings), findings


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{}", "is no carnet.rollout-plan/v1"),
        (b"{ }", "is not in canonical form"),
        (b"[]", "is no carnet.rollout-plan/v1"),
        (plan(1, kind="guess"), "is no plan of a rollout"),
        (plan(1, rollout=NAME.format(2)), "its document is about"),
        (plan(1, environment="prod"), "version 2 of prod"),
        (plan(1, challenger={"version": 3, "bundle_digest": DIGESTS[3]}), "its plan is for version 3"),
        (plan(1, champion={"version": 3, "bundle_digest": DIGESTS[3]}), "its champion is version 3"),
        (plan(1, steps=[{"share": 0.5}]), "it begins as 'running 0.05', and its plan does not"),
        (plan(1, steps=[]), "it begins as 'running 0.05', and its plan does not"),
        (plan(1, policy_digest="b" * 64), "which never was in force"),
    ],
)
def test_a_plan_that_says_something_else_is_found(document, message):
    book = Book().play("move champion 1")
    book.rollout(1, "", "running 0.05", document=document)
    findings = book.findings()
    assert [each.verdict for each in findings] == ["policy_violated"]
    assert message in findings[0].message


def test_a_change_whose_document_says_something_else_is_found():
    book = Book().play(*BEGUN)
    book.rollout(1, "running 0.05", "stopped 0", document=change(1, "running 0.05", "succeeded 1"))
    (finding,) = book.findings()
    assert "its document says 'running 0.05' to 'succeeded 1'" in finding.message
    assert finding.affects == ("version risk/fraud@2", "alias champion", "rollout 1")


def test_a_shadow_moves_no_alias_when_it_succeeds():
    book = Book().play("move champion 1")
    book.rollout(1, "", "running 0.05", document=plan(1, kind="shadow", challenger_alias="shadow"))
    book.play("change 1 running 0.05 > succeeded 0")
    assert book.findings() == []


def test_an_entry_without_its_document_is_incomplete_and_one_whose_document_is_gone_is_judged_all_the_same():
    book = Book().play(*BEGUN)
    book.documents.clear()
    assert book.findings() == []
    subject = dict(book.records[2].entry.subject)
    book.add(EntryType.ROLLOUT_CHANGED, subject, old="running 0.05", new="stopped 0")
    assert [str(each.verdict) for each in book.findings()] == ["incomplete"]


def test_the_verifier_judges_rollouts(world, tmp_path):
    subject = {"namespace": "risk", "model": "fraud", "alias": "champion", "version": 1, "rollout": 1}
    subject["bundle_digest"] = world.bundle
    index = world.dev.add(
        EntryType.ROLLOUT_CHANGED,
        subject,
        change(1, "running 0.5", "stopped 0"),
        old="running 0.5",
        new="stopped 0",
    )
    findings = world.audit(tmp_path).findings
    assert {(each.environment, each.index) for each in findings} == {("dev", index)}
    assert "it has not begun" in findings[0].message


@pytest.mark.parametrize("state", RolloutState)
def test_what_has_ended_stays_and_the_rest_can_end(state):
    assert state.ended == (not LEGAL[state])
    assert state.ended or {"stopped", "rolled_back", "succeeded"} <= LEGAL[state]
    assert parse_standing(describe_standing(state, 0.05)) == (state, 0.05)


@pytest.mark.parametrize("text", [None, "", "running", "running 2", "running nan", "running 0.050", "idle 0"])
def test_what_is_no_standing_is_none(text):
    assert parse_standing(text) is None
