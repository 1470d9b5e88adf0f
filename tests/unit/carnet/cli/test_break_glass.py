"""break-glass, and its review."""

from __future__ import annotations

import click
import pytest

from carnet.cli.settings import Settings
from carnet.registry.v1 import policy_pb2
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.dsse import parse_envelope
from carnet.signing.statement import parse_statement

PROMOTION = "ab" * 16
PEOPLE = policy_pb2.RuleResult(
    rule="approvals",
    status=policy_pb2.RULE_STATUS_AWAITING,
    message="0 of 2 approvals",
    remedy="ask two approvers",
    awaits_people=True,
)
GLASS = policy_pb2.RuleResult(
    rule="break-glass",
    status=policy_pb2.RULE_STATUS_AWAITING,
    message="1 of 2 people signed to skip approvals",
    awaits_people=True,
)
PASSED = policy_pb2.RuleResult(rule="metadata", status=policy_pb2.RULE_STATUS_PASSED, message="all there")


@pytest.fixture
def waiting(federation, fraud):
    message = federation.prod.hear_of(PROMOTION, fraud, source="dev")
    message.evaluation.results.extend([PASSED, PEOPLE, GLASS])
    federation.prod.evidence[fraud.digest] = list(federation.dev.evidence[fraud.digest])
    federation.prod.issue_dossier(PROMOTION, fraud)
    return message


def _break(carnet, *more, words=("break-glass",)):
    return carnet(
        *words, PROMOTION, "--reason", "payments are down", "--target", "prod", "--as", "bob", *more
    )


def _said(waiting, kind):
    (held,) = waiting.approvals
    return kind.parse(parse_statement(parse_envelope(held.envelope)))


@pytest.mark.parametrize("words", [("break-glass",), ("break-glass", "sign")])
def test_what_stands_open_is_shown_and_signed_by_name(carnet, waiting, words):
    ran = _break(carnet, "--ticket", "INC-7", "--expires", "30m", "--yes", words=words)
    assert ran.code == 0
    for text in (
        "signed by prod",
        "0 of 2 approvals",
        "you skip: approvals",
        "break-glass, and written down",
    ):
        assert text in ran.out
    said = _said(waiting, BreakGlass)
    assert (said.skips, said.ticket, said.reason) == (("approvals",), "INC-7", "payments are down")
    assert (said.expires_at - said.signed_at).total_seconds() == 1800


def test_the_options_may_come_first(carnet, waiting):
    ran = carnet(
        "break-glass", "--ticket", "INC-7", "--reason", "down", "--target", "prod", "--yes", PROMOTION
    )
    assert ran.code == 0
    assert _said(waiting, BreakGlass).reason == "down"


def test_the_open_rules_of_a_dossier_are_what_is_signed(carnet, waiting, federation, fraud):
    shown = ({"rule": "tests", "status": "FAILED", "message": "3 of 90 failed"},)
    federation.prod.issue_dossier(PROMOTION, fraud, open_rules=shown)
    ran = _break(carnet, "--ticket", "INC-7", "--yes")
    assert "cannot be approved" in ran.out
    assert "3 of 90 failed" in ran.out
    assert _said(waiting, BreakGlass).skips == ("tests",)


def test_where_nothing_stands_open_there_is_no_glass(carnet, waiting):
    del waiting.evaluation.results[1:]
    ran = _break(carnet, "--ticket", "INC-7", "--yes")
    assert ran.code == 7
    assert "no glass to break" in ran.err
    assert list(waiting.approvals) == []


def test_nobody_to_ask_needs_yes(carnet, waiting):
    ran = _break(carnet, "--ticket", "INC-7")
    assert (ran.code, list(waiting.approvals)) == (2, [])
    assert "--yes" in ran.err


@pytest.mark.parametrize("missing", ["--ticket", "--reason"])
def test_reason_and_ticket_are_mandatory(carnet, waiting, missing):
    given = {"--ticket": "INC-7", "--reason": "down"}
    del given[missing]
    assert carnet("break-glass", PROMOTION, *next(iter(given.items())), "--yes").code == 2


@pytest.mark.parametrize(("typed", "code", "signed"), [("fraud@1", 0, 1), ("y", 130, 0)])
def test_on_a_terminal_the_version_must_be_typed(carnet, waiting, monkeypatch, typed, code, signed):
    monkeypatch.setattr(Settings, "interactive", property(lambda self: True))
    asked = []
    answers = iter([typed, PROMOTION[:8]])
    monkeypatch.setattr(click, "prompt", lambda text, **_: asked.append(text) or next(answers))
    ran = _break(carnet, "--ticket", "INC-7")
    assert asked[0] == "To break the glass as bob, type fraud@1"
    assert len(asked) == 1 + signed
    assert (ran.code, len(waiting.approvals)) == (code, signed)


def test_a_review_is_over_the_decision(carnet, federation, waiting, fraud):
    admitted = federation.prod.admit(PROMOTION, fraud)
    ran = _break(carnet, "--verdict", "rejected", "--yes", "-o", "json", words=("break-glass", "review"))
    assert ran.code == 0
    assert ran.json["review"]["meaning"] == "review-rejected"
    said = _said(admitted, BreakGlassReview)
    assert said.decision_digest == ran.json["admission"]["decision_digest"]
    assert (said.verdict, said.target) == ("rejected", "prod")


def test_what_was_not_admitted_is_not_reviewed(carnet, waiting):
    ran = _break(carnet, "--yes", words=("break-glass", "review"))
    assert (ran.code, list(waiting.approvals)) == (7, [])


def test_statements_are_shown_to_the_next_person(carnet, waiting):
    _break(carnet, "--ticket", "INC-7", "--yes")
    ran = carnet("approve", PROMOTION, "--reason", "in order", "--target", "prod", "--as", "bob", "--yes")
    assert "payments are down" in ran.out
