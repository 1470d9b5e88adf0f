"""Aliases that promotions move: each move rests on a decision for just that, or is found."""

from __future__ import annotations

from datetime import timedelta

import pytest

from carnet.audit.moves import judge_moves
from carnet.audit.report import Verdict
from carnet.audit.statements import Record
from carnet.signing.decision import Decision, verifier_id, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import Actor, Entry, EntryType
from tests.unit.carnet.audit.conftest import PROMOTION, START, VERSION

ACTOR = Actor("spiffe://example.com/dave", "", "mtls")
ALIAS = {"namespace": "risk", "model": "fraud", "alias": "champion"}
PROMOTED = VERSION | {"promotion": PROMOTION, "alias": "champion"}
DECISION, OTHER = "d" * 64, "e" * 64
DAY = timedelta(days=1)


class Log:
    """A log in the making, a minute from entry to entry."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(self, kind, subject, *, predicate=None, after=None, **fields) -> Log:
        index = len(self.records)
        time = START + timedelta(minutes=index) + (after or timedelta())
        entry = Entry(f"e-{index}", kind, "prod", time, ACTOR, subject, **fields)
        self.records.append(Record(index, entry, None, predicate))
        return self

    def asked(self, **said) -> Log:
        values = {
            "promotion": PROMOTION,
            "source": "dev",
            "target": "prod",
            "namespace": "risk",
            "model": "fraud",
            "version": 1,
            "alias": "champion",
        }
        request = PromotionRequest(**values, requested_at=START, **said)
        dossier = Dossier(
            **values,
            policy_digest="c" * 64,
            evidence=(),
            evidence_set_digest=evidence_set_digest(()),
            requester="spiffe://example.com/bob",
            publisher="spiffe://example.com/alice",
            issued_at=START,
            expires_at=START + DAY,
            **said,
        )
        self.add(EntryType.PROMOTION_REQUESTED, PROMOTED, predicate=request)
        return self.add(EntryType.DOSSIER_ISSUED, PROMOTED, predicate=dossier)

    def decided(self, subject=PROMOTED, result="PASSED", **said) -> Log:
        permit = {"permit_expires_at": START + DAY} if said.get("by_rollout") and result == "PASSED" else {}
        values = {
            "verifier": {"id": verifier_id("prod")},
            "time_verified": START,
            "resource_uri": version_uri("prod", "risk", "fraud", 1),
            "policy": {"uri": "p", "digest": {"sha256": "c" * 64}},
            "verification_result": result,
            "verified_levels": (),
            "promotion": PROMOTION,
            "alias": "champion",
        }
        predicate = Decision(**values | permit | said)
        return self.add(
            EntryType.DECISION_MADE, subject, predicate=predicate, new=result, envelope_digest=DECISION
        )

    def admitted(self) -> Log:
        return self.add(EntryType.VERSION_ADMITTED, PROMOTED, envelope_digest=DECISION)

    def moved(self, digest=DECISION, after=None, **subject) -> Log:
        return self.add(
            EntryType.ALIAS_MOVED,
            PROMOTED | subject,
            old="2",
            new="1",
            envelope_digest=digest,
            after=after,
        )

    def rollout_began(self, **subject) -> Log:
        return self.add(EntryType.ROLLOUT_STARTED, ALIAS | {"rollout": 1} | subject, new="running")

    def something_else(self, kind=EntryType.EVIDENCE_ADDED) -> Log:
        return self.add(kind, VERSION)


def by_rollout() -> Log:
    return Log().asked(by_rollout=True).decided(by_rollout=True).admitted()


GOOD = {
    "with its admission": Log().asked().decided().admitted().moved(),
    "of a version that was there": Log().asked().decided().moved(),
    "by a rollout": by_rollout().something_else().rollout_began().something_else().moved(rollout=1),
    "by a rollout that began before it was permitted": Log()
    .rollout_began()
    .asked(by_rollout=True)
    .decided(by_rollout=True)
    .moved(rollout=1),
    "permitted and never moved": by_rollout(),
    "by rollout and refused": Log().asked(by_rollout=True).decided(by_rollout=True, result="FAILED"),
    "moved without a promotion": Log().add(EntryType.ALIAS_MOVED, ALIAS | VERSION, old="", new="1"),
}
BAD = {
    "without a decision": (Log().asked().moved(), 2, "no decision with the result PASSED"),
    "on a refusal": (Log().asked().decided(result="FAILED").moved(), 3, "no decision with the result PASSED"),
    "to another bundle": (
        Log().asked().decided().moved(bundle_digest="f" * 64),
        3,
        "no decision with the result PASSED",
    ),
    "in another promotion's name": (
        Log().asked().decided().moved(promotion="cd" * 16),
        3,
        "no decision with the result PASSED",
    ),
    "on another document": (Log().asked().decided().moved(OTHER), 3, "rests on another document"),
    "on no document": (Log().asked().decided().moved(None), 3, "rests on another document"),
    "twice on one decision": (Log().asked().decided().moved().moved(), 4, "used before, by entry 3"),
    "of another model": (Log().asked().decided().moved(model="churn"), 3, "another model or version"),
    "to another version": (Log().asked().decided().moved(version=2), 3, "another model or version"),
    "another alias": (Log().asked().decided().moved(alias="shadow"), 3, "is for the alias 'champion'"),
    "later than its admission": (
        Log().asked().decided().admitted().something_else().moved(),
        5,
        "did not move with its admission, and its decision is not by rollout",
    ),
    "by a rollout on a decision for none": (
        Log().asked().decided().admitted().rollout_began().moved(rollout=1),
        5,
        "did not move with its admission, and its decision is not by rollout",
    ),
    "permitted only": (by_rollout().moved(), 4, "names no rollout of the alias"),
    "beside a rollout": (by_rollout().rollout_began().moved(), 5, "names no rollout of the alias"),
    "by a rollout that never began": (
        by_rollout().rollout_began().moved(rollout=2),
        5,
        "names no rollout of the alias",
    ),
    "by another alias's rollout": (
        by_rollout().rollout_began(alias="shadow").moved(rollout=1),
        5,
        "names no rollout of the alias",
    ),
    "after the permit ended": (
        by_rollout().rollout_began().moved(after=DAY, rollout=1),
        5,
        "permitted it until 2026-03-02T12:00:00Z",
    ),
    "twice on one permit": (
        by_rollout().rollout_began().moved(rollout=1).moved(rollout=1),
        6,
        "used before, by entry 5",
    ),
    "to a revoked bundle": (
        by_rollout().rollout_began().something_else(EntryType.VERSION_REVOKED).moved(rollout=1),
        6,
        "revoked before, by entry 5",
    ),
    "on a refusal that its entry calls a yes": (
        Log()
        .rollout_began()
        .add(
            EntryType.DECISION_MADE,
            PROMOTED,
            predicate=Log().decided(by_rollout=True, result="FAILED").records[0].predicate,
            new="PASSED",
            envelope_digest=DECISION,
        )
        .moved(rollout=1),
        2,
        "permits no move",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_rests_on_its_decision_is_no_finding(name):
    assert judge_moves("prod", GOOD[name].records) == []


@pytest.mark.parametrize("name", BAD)
def test_a_move_that_no_decision_makes_right_is_found(name):
    log, index, words = BAD[name]
    (finding,) = judge_moves("prod", log.records)
    assert (finding.verdict, finding.environment, finding.index) == (Verdict.POLICY_VIOLATED, "prod", index)
    assert words in finding.message


@pytest.mark.parametrize(
    ("asked", "decided", "words"),
    [
        ({"by_rollout": True}, {}, "decides for the alias 'champion', and entry 0 is about the alias"),
        ({}, {"by_rollout": True}, "decides for the alias 'champion' by rollout, and entry 0"),
        ({}, {"alias": ""}, "it is for the alias 'champion', the decision for no alias"),
    ],
)
def test_a_decision_about_another_move_than_was_asked_for_and_shown_is_found(asked, decided, words):
    found = [each.message for each in judge_moves("prod", Log().asked(**asked).decided(**decided).records)]
    assert words in found[0]
    assert "entry 1 is about" in found[-1]


def test_a_decision_that_did_not_verify_is_judged_no_further():
    log = Log().add(EntryType.DECISION_MADE, PROMOTED, new="PASSED", envelope_digest=DECISION).moved()
    assert judge_moves("prod", log.records) == []


def test_an_audit_judges_moves(tmp_path, world, only):
    world.ask(world.request(alias="champion"), world.dossier(alias="champion"))
    decision = world.decision(alias="champion")
    world.prod.add(EntryType.DECISION_MADE, PROMOTED, decision, new="PASSED")
    world.prod.add(EntryType.VERSION_ADMITTED, PROMOTED, decision)
    world.prod.add(EntryType.ALIAS_MOVED, PROMOTED, decision, old="", new="1")
    assert world.audit(tmp_path / "right").ok
    index = world.prod.add(EntryType.ALIAS_MOVED, PROMOTED, decision, old="2", new="1")
    finding = only(world.audit(tmp_path / "wrong"))
    assert finding.index == index
    assert "used before" in finding.message
    assert set(finding.affects) == {"version risk/fraud@1", f"promotion {PROMOTION}", "alias champion"}
