from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carnet.errors import DocumentInvalidError
from carnet_policies import break_glass
from carnet_policies.document import load_policy
from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus
from carnet_policies.facts import Party

HEAD = """\
schema: carnet.policy/v1
environment: prod
version: 1
sources: [staging]
metadata: {required: [owner]}
evidence: [{rule: evaluation, type: evaluation, signers: [evaluator]}]
approvals: {rule: people, count: 1}
"""
PASSED, FAILED, AWAITING = RuleStatus.PASSED, RuleStatus.FAILED, RuleStatus.AWAITING


def policy(skips: str = "[evaluation, people]", more: str = ""):
    return load_policy(f"{HEAD}break_glass: {{skips: {skips}, count: 2{more}}}\n".encode()).document


def evaluation(**statuses: RuleStatus) -> Evaluation:
    return Evaluation("a" * 64, tuple(RuleResult(rule, each, "found") for rule, each in statuses.items()))


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("{skips: [signature], count: 1}", "8:23: break_glass.skips[0]", "'signature' can never be skipped"),
        ("{skips: [source], count: 1}", "8:23: break_glass.skips[0]", "can never be skipped"),
        ("{skips: [scope], count: 1}", "8:23: break_glass.skips[0]", "can never be skipped"),
        ("{skips: [revocation], count: 1}", "8:23: break_glass.skips[0]", "can never be skipped"),
        ("{skips: [metadata], count: 1}", "8:23: break_glass.skips[0]", "can never be skipped"),
        (
            "{skips: [evalution], count: 1}",
            "8:23: break_glass.skips[0]",
            "is no rule of this policy; did you mean 'evaluation'?",
        ),
        ("{skips: [people, people], count: 1}", "8:31: break_glass.skips[1]", "the same rule twice"),
        ("{skips: [], count: 1}", "break_glass.skips: ", "at least one is needed"),
        ("{skips: [people]}", "break_glass.count", ""),
        ("{skips: [people], count: 0}", "8:32: break_glass.count", "greater than or equal to 1"),
        ("{skips: [people], count: 1, max_validity: soon}", "break_glass.max_validity", "is not a duration"),
        ("{skips: [people], count: 1, any: true}", "break_glass.any", ""),
    ],
)
def test_terms_that_can_not_be_meant_are_found(text: str, place: str, says: str) -> None:
    with pytest.raises(DocumentInvalidError) as caught:
        load_policy(f"{HEAD}break_glass: {text}\n".encode(), name="p.yaml")
    assert place in caught.value.message
    assert says in caught.value.message


def test_the_name_of_the_registrys_own_rule_is_taken() -> None:
    with pytest.raises(DocumentInvalidError, match="id of another rule"):
        load_policy(HEAD.replace("rule: people", "rule: break-glass").encode())


def test_where_only_publications_come_in_there_is_no_glass() -> None:
    head = HEAD.replace("sources: [staging]", "publishing: true").replace(
        "approvals: {rule: people, count: 1}\n", ""
    )
    with pytest.raises(DocumentInvalidError, match="a publication has no dossier"):
        load_policy(f"{head}break_glass: {{skips: [evaluation], count: 1}}\n".encode())


def test_the_terms_have_defaults() -> None:
    terms = policy().break_glass
    assert terms is not None
    assert (terms.max_validity.total_seconds(), terms.review_within.days) == (3600, 3)


@pytest.mark.parametrize(
    ("statuses", "can"),
    [
        ({"evaluation": AWAITING}, True),
        ({"evaluation": FAILED}, True),
        ({"evaluation": FAILED, "people": AWAITING}, True),
        ({"people": FAILED}, False),  # somebody rejected
        ({"evaluation": AWAITING, "metadata": FAILED}, False),
        ({"evaluation": AWAITING, "revocation": FAILED}, False),
        ({"evaluation": PASSED}, False),  # nothing stands open
    ],
)
def test_one_rule_that_is_kept_shut_keeps_everything_shut(statuses, can) -> None:
    assert break_glass.can_be_skipped(policy(), evaluation(**statuses)) is can


def test_without_terms_nothing_can_be_skipped() -> None:
    document = load_policy(HEAD.encode()).document
    assert not break_glass.can_be_skipped(document, evaluation(evaluation=AWAITING))


def test_what_is_held_open_waits_for_people_and_names_what_for() -> None:
    terms = policy(more=", max_validity: 2h").break_glass
    assert terms is not None
    held = break_glass.hold_open(evaluation(evaluation=FAILED, people=AWAITING), ["bob"], terms)
    assert held.outcome is AWAITING
    assert [each.status for each in held.results] == [FAILED, AWAITING, AWAITING]
    asked = held.results[-1]
    assert (asked.rule, asked.awaits_people) == ("break-glass", True)
    assert asked.message == "1 of 2 people (bob) signed to skip evaluation, people"
    assert not held.skipped
    assert asked.values == {
        "signed": "1",
        "needed": "2",
        "open": "evaluation, people",
        "max_validity": "2h",
        "review_within": "3d",
    }
    named = break_glass.name_overdue(held, "1" * 32)
    assert named.results[:-1] == held.results[:-1]
    assert named.results[-1].values["review_overdue"] == "1" * 32
    assert named.results[-1].message.endswith(f"nobody can before the overdue review of promotion {'1' * 32}")


def test_an_overdue_review_is_named_where_the_glass_is_asked_for_only() -> None:
    for found in (
        evaluation(evaluation=FAILED),
        break_glass.skip_open(evaluation(people=AWAITING), ["b"], 1, "T"),
    ):
        assert break_glass.name_overdue(found, "1" * 32) == found


NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
ANA, BEN, NOBODY = Party("ana", "ana"), Party("ben", "ben"), Party("bot", None)


def said(person: str | None = "cleo", **changes: Any) -> break_glass.Breaking:
    given = {
        "skips": frozenset({"evaluation", "people"}),
        "ticket": "INC-7",
        "time": NOW,
        "expires": NOW + timedelta(hours=1),
    }
    return break_glass.Breaking(person, **{**given, **changes})


@pytest.mark.parametrize(
    ("count", "statements", "publisher", "requester", "breaks"),
    [
        (1, [said()], ANA, BEN, True),
        (1, [], ANA, BEN, False),
        (1, [said("ana")], ANA, BEN, False),
        (1, [said("ben")], ANA, BEN, False),
        (2, [said("ben"), said()], ANA, BEN, True),
        (2, [said("ana"), said()], ANA, BEN, False),
        (2, [said(), said()], ANA, BEN, False),
        (1, [said(None)], ANA, BEN, False),
        (1, [said()], NOBODY, BEN, False),
        (1, [said()], ANA, NOBODY, False),
        (2, [said(), said("dan")], ANA, NOBODY, True),
        (1, [said()], ANA, None, False),
        (1, [said(expires=NOW)], ANA, BEN, False),
        (1, [said(skips=frozenset({"people"}))], ANA, BEN, False),
        (1, [said(skips=frozenset({"evaluation", "people", "other"}))], ANA, BEN, False),
        (1, [said(expires=NOW + timedelta(hours=3))], ANA, BEN, False),
    ],
)
def test_the_glass_is_broken_by_enough_people_who_may(
    count: int,
    statements: list[break_glass.Breaking],
    publisher: Party,
    requester: Party | None,
    breaks: bool,
) -> None:
    document = load_policy(
        f"{HEAD}break_glass: {{skips: [evaluation, people], count: {count}}}\n".encode()
    ).document
    found = break_glass.with_statements(
        evaluation(evaluation=FAILED, people=AWAITING),
        document,
        statements,
        publisher=publisher,
        requester=requester,
        emergency=True,
        now=NOW,
    )
    assert found.skipped == (("evaluation", "people") if breaks else ())
    assert found.outcome is (PASSED if breaks else AWAITING)


def test_what_failed_is_shown_to_people_in_an_emergency_only() -> None:
    def asked(found: Evaluation) -> Evaluation:
        return break_glass.with_statements(
            found, policy(), [said(), said("dan")], publisher=ANA, requester=BEN, emergency=False, now=NOW
        )

    assert asked(evaluation(evaluation=FAILED)).outcome is FAILED
    people = Evaluation("a" * 64, (RuleResult("people", AWAITING, "found", awaits_people=True),))
    assert asked(people).skipped == ("people",)


def test_what_is_skipped_says_so_beside_what_it_was() -> None:
    before = evaluation(evaluation=FAILED, signature=PASSED)
    after = break_glass.skip_open(before, ["bob", "dave"], 2, "INC-7")
    assert (after.outcome, after.skipped) == (PASSED, ("evaluation",))
    assert after.results[0].status is FAILED
    assert after.results[0].message == "skipped, the glass was broken: found"
    assert not after.results[1].skipped
    assert "INC-7" in after.results[-1].message
    assert break_glass.open_rules(after) == (after.results[0],)
