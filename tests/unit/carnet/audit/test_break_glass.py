from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from carnet.audit.glass_terms import GlassTerms, read_terms
from carnet.audit.report import Verdict
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.evidence_set import evidence_set_digest
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from pathlib import Path

VIOLATED = Verdict.POLICY_VIOLATED
POLICY = """schema: carnet.policy/v1
environment: prod
break_glass: {skips: [approvals, tests], count: 2, max_validity: 2h, review_within: 1d}
"""
PROMOTION = "ab" * 16
NAME = "dev/risk/fraud@1"


class Story:
    """A promotion to prod for which the glass is broken, to be told wrongly in one way at a time."""

    def __init__(self, world: Any, keys: Any, policy: str = POLICY, **dossier: Any) -> None:
        self.world, self.keys = world, keys
        world.prod.change_policy(policy)
        self.dossier = world.ask(dossier=world.dossier(**dossier))
        self.signed: list[Any] = []

    def sign(self, person: str, *, key: Any = None, logged: str | None = None, **changes: Any) -> Any:
        now = self.world.now
        values = {
            "promotion": PROMOTION,
            "dossier_digest": self.dossier.digest,
            "source": "dev",
            "target": "prod",
            "policy_digest": self.world.policies["prod"],
            "evidence_set_digest": evidence_set_digest([self.world.evidence.digest]),
            "skips": ("approvals",),
            "reason": "payments are down",
            "ticket": "INC-7",
            "signed_at": now,
            "expires_at": now + timedelta(hours=1),
            "nonce": "cd" * 16,
        } | changes
        said = BreakGlass(**values).sign(NAME, self.world.bundle, key or self.keys[person])
        new = ",".join(values["skips"]) if logged is None else logged
        self.world.prod.add(EntryType.BREAK_GLASS_RECORDED, self.world.prod_subject(), said, new=new)
        self.signed.append(said)
        return said

    def decide(self, *, skipped: str = "approvals", is_logged: bool = True, **changes: Any) -> Any:
        rules = [{"rule": each, "status": "SKIPPED", "message": ""} for each in skipped.split(",")]
        values = {"inputs": tuple(self.signed), "rules": rules} | changes
        self.decision = self.world.decide(self.world.decision(**values))
        if is_logged:
            self.world.prod.add(
                EntryType.BREAK_GLASS_USED, self.world.prod_subject(), self.decision, new=skipped
            )
        return self.decision

    def review(self, person: str, verdict: str = "accepted", **changes: Any) -> None:
        said = BreakGlassReview(
            **{
                "promotion": PROMOTION,
                "target": "prod",
                "decision_digest": self.decision.digest,
                "verdict": verdict,
                "reason": "it was one",
                "signed_at": self.world.now,
                "nonce": "ef" * 16,
            }
            | changes
        ).sign(NAME, self.world.bundle, self.keys[person])
        self.world.prod.add(EntryType.BREAK_GLASS_REVIEWED, self.world.prod_subject(), said, new=verdict)


@pytest.fixture
def story(world: Any, keys: Any) -> Story:
    return Story(world, keys)


def test_a_broken_glass_is_listed_and_is_no_finding(tmp_path: Path, story: Story) -> None:
    story.sign("carol")
    story.sign("dave")
    story.decide()
    story.world.admit()
    report = story.world.audit(tmp_path)
    assert report.ok
    (use,) = report.broken_glass
    assert (use.environment, use.skipped, use.review) == ("prod", ("approvals",), "")
    assert use.due_at == use.decided_at + timedelta(days=1)
    assert [each.person for each in use.statements] == ["carol", "dave"]
    told = report.to_json()["broken_glass"][0]
    assert told["statements"][0] == {"person": "carol", "ticket": "INC-7", "reason": "payments are down"}
    assert (told["review"], told["reviewed_by"]) == (None, None)


def test_a_review_closes_it(tmp_path: Path, story: Story, keys: Any) -> None:
    story.sign("bob")  # the requester, beside somebody else
    story.sign("dave")
    story.decide()
    story.review("carol", "rejected")
    report = story.world.audit(tmp_path)
    assert report.ok
    assert (report.broken_glass[0].review, report.broken_glass[0].reviewed_by) == ("rejected", "carol")


WRONG = {
    "one person only": (lambda s: (s.sign("carol"), s.decide()), "1 of 2 people"),
    "one person twice": (
        lambda s: (s.sign("carol"), s.sign("dave"), s.sign("carol", nonce="ef" * 16), s.decide()),
        "carol is counted twice",
    ),
    "the publisher": (
        lambda s: (s.sign("carol"), s.sign("alice"), s.decide()),
        "alice broke the glass as its publisher",
    ),
    "statements that are not named": (
        lambda s: (s.sign("carol"), s.sign("dave"), s.decide(inputs=())),
        "0 of 2 people",
    ),
    "an expired statement": (
        lambda s: (
            s.sign("carol"),
            s.sign("dave", expires_at=s.world.now + timedelta(seconds=1)),
            s.world.tick(),
            s.world.tick(),
            s.decide(),
        ),
        "had expired",
    ),
    "a statement that is good for too long": (
        lambda s: (
            s.sign("carol"),
            s.sign("dave", expires_at=s.world.now + timedelta(hours=3)),
            s.decide(),
        ),
        "good for longer",
    ),
    "a statement over another dossier": (
        lambda s: (s.sign("carol"), s.sign("dave", dossier_digest="a" * 64), s.decide()),
        "another dossier",
    ),
    "a statement over other evidence": (
        lambda s: (s.sign("carol"), s.sign("dave", evidence_set_digest="a" * 64), s.decide()),
        "another source, policy or set of evidence",
    ),
    "a statement for another rule": (
        lambda s: (s.sign("carol"), s.sign("dave", skips=("tests",)), s.decide()),
        "does not name approvals",
    ),
    "no entry that says so": (
        lambda s: (s.sign("carol"), s.sign("dave"), s.decide(is_logged=False)),
        "no entry says that the glass was broken",
    ),
    "an entry that says so of nothing": (
        lambda s: (
            s.sign("carol"),
            s.sign("dave"),
            s.world.prod.add(
                EntryType.BREAK_GLASS_USED,
                s.world.prod_subject(),
                s.world.decide(),
                new="",
            ),
        ),
        "no decision that skips rules",
    ),
    "an entry that tells of other rules": (
        lambda s: (s.sign("carol"), s.sign("dave", logged="tests"), s.decide()),
        "the signer signed 'approvals'",
    ),
    "a rule that failed all the same": (
        lambda s: s.decide(rules=[{"rule": "tests", "status": "FAILED", "message": ""}], is_logged=False),
        "says PASSED, and that tests did not",
    ),
    "a review by who broke it": (
        lambda s: (s.sign("carol"), s.sign("dave"), s.decide(), s.review("dave")),
        "dave reviewed what they had a part in",
    ),
    "a second review": (
        lambda s: (s.sign("bob"), s.sign("dave"), s.decide(), s.review("carol"), s.review("carol")),
        "reviewed before",
    ),
    "a review of another decision": (
        lambda s: (
            s.sign("carol"),
            s.sign("dave"),
            s.decide(),
            s.review("bob", decision_digest="a" * 64),
        ),
        "reviews a decision that skips nothing",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_was_told_wrongly_is_found(tmp_path: Path, story: Story, only: Any, name: str) -> None:
    tell, said = WRONG[name]
    tell(story)
    finding = only(story.world.audit(tmp_path))
    assert finding.verdict is VIOLATED
    assert said in finding.message


def test_a_rule_that_the_policy_keeps_shut_is_not_skipped(tmp_path: Path, story: Story, only: Any) -> None:
    for person in ("carol", "dave"):
        story.sign(person, skips=("signature",))
    story.decide(skipped="signature")
    assert (
        "signature, which the policy in force lets nobody skip" in only(story.world.audit(tmp_path)).message
    )


def test_a_policy_without_terms_lets_nobody(tmp_path: Path, world: Any, keys: Any, only: Any) -> None:
    story = Story(world, keys, policy="schema: carnet.policy/v1\n")
    story.sign("carol")
    story.sign("dave")
    story.decide()
    assert "lets nobody skip any" in only(world.audit(tmp_path)).message


def test_what_the_dossier_does_not_show_is_not_skipped(
    tmp_path: Path, world: Any, keys: Any, only: Any
) -> None:
    shown = ({"rule": "tests", "status": "AWAITING", "message": "none"},)
    story = Story(world, keys, open_rules=shown)
    story.sign("carol")
    story.sign("dave")
    story.decide()
    assert "its dossier does not show" in only(world.audit(tmp_path)).message


def test_where_one_is_enough_it_is_not_the_requester(
    tmp_path: Path, world: Any, keys: Any, only: Any
) -> None:
    story = Story(world, keys, policy=POLICY.replace("count: 2", "count: 1"))
    story.sign("bob")
    story.decide()
    assert "bob broke the glass as its requester" in only(world.audit(tmp_path)).message


def test_a_signer_that_is_not_pinned_cannot_be_judged(
    tmp_path: Path, story: Story, only: Any, stranger: Any
) -> None:
    story.sign("carol")
    story.sign("dave")
    story.sign("nobody", key=stranger)
    story.decide()
    assert only(story.world.audit(tmp_path)).verdict is Verdict.CANNOT_VERIFY


def test_breaking_it_again_while_a_review_is_overdue_is_found(
    tmp_path: Path, world: Any, keys: Any, only: Any
) -> None:
    story = Story(world, keys)
    story.sign("carol")
    story.sign("dave")
    story.decide()
    world.now += timedelta(days=2)
    second = {**world.prod_subject(), "promotion": "cd" * 16}
    world.prod_subject = lambda: second
    world.prod.add(EntryType.PROMOTION_REQUESTED, second, world.request(promotion="cd" * 16))
    story.dossier = world.dossier(promotion="cd" * 16)
    world.prod.add(EntryType.DOSSIER_ISSUED, second, story.dossier)
    story.signed = []
    for person in ("carol", "dave"):
        story.sign(person, promotion="cd" * 16)
    decision = world.decision(
        promotion="cd" * 16,
        inputs=tuple(story.signed),
        rules=[{"rule": "approvals", "status": "SKIPPED", "message": ""}],
    )
    world.prod.add(EntryType.DECISION_MADE, second, decision, new="PASSED")
    world.prod.add(EntryType.BREAK_GLASS_USED, second, decision, new="approvals")
    messages = [each.message for each in world.audit(tmp_path).findings]
    assert len(messages) == 2
    assert all("while the review of entry" in each for each in messages)


@pytest.mark.parametrize(
    ("policy", "terms"),
    [
        (
            POLICY,
            GlassTerms(frozenset({"approvals", "tests"}), 2, timedelta(hours=2), timedelta(days=1)),
        ),
        ("break_glass: {skips: [a], count: 1}", GlassTerms(frozenset({"a"}), 1)),
        ("no policy at all", None),
        ("break_glass: [a]", None),
        ("break_glass: {skips: a, count: 1}", None),
        ("break_glass: {skips: [a], count: 0}", None),
        ("break_glass: {skips: [a], count: true}", None),
        ("break_glass: {skips: [a], count: 1, review_within: soon}", None),
        ("{", None),
    ],
)
def test_terms_are_read_out_of_a_policy(policy: str, terms: GlassTerms | None) -> None:
    assert read_terms(policy.encode()) == terms
