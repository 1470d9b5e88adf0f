"""How the clock that a promotion waits for is told."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from carnet.cli.promotion_page import earliest_opening, print_outcome
from carnet.client.messages import rules_of
from carnet.client.results import Promotion, PromotionState, RuleResult
from carnet.references import parse_reference
from carnet.registry.v1 import policy_pb2

MONDAY = datetime(2026, 1, 19, 8, tzinfo=UTC)


def rule(name: str, status: str = "AWAITING", opens_at: datetime | None = None, **fields: Any) -> RuleResult:
    given = {"message": "found", "remedy": "", "values": {}, "awaits_people": False} | fields
    return RuleResult(rule=name, status=status, opens_at=opens_at, **given)


def page_of(*rules: RuleResult, state: PromotionState = PromotionState.AWAITING) -> str:
    promotion = Promotion(
        id="1" * 32,
        state=state,
        message="waits",
        reference=parse_reference("staging/risk/fraud@3"),
        target="prod",
        alias="",
        bundle_digest="b" * 64,
        requester="ana",
        rules=rules,
        policy_digest="c" * 64,
        awaits_dossier=False,
        transferred_bytes=0,
        total_bytes=0,
        transfer="",
        error_reason="",
        sequence=0,
        created_at=None,
        updated_at=None,
        receipt=None,
    )
    page = io.StringIO()
    print_outcome(Console(file=page, width=200, markup=False, highlight=False), promotion)
    return page.getvalue()


def test_the_time_of_every_rule_and_of_the_whole_is_shown() -> None:
    later = MONDAY + timedelta(days=1)
    page = page_of(rule("window", opens_at=MONDAY), rule("soak", opens_at=later), rule("metadata", "PASSED"))
    assert "opens at" in next(line for line in page.splitlines() if "what was found" in line)
    assert "2026-01-19 08:00:00Z" in next(line for line in page.splitlines() if "window" in line)
    assert "opens at 2026-01-20 08:00:00Z at the earliest" in page


def test_nothing_is_said_of_the_clock_where_it_is_not_waited_for() -> None:
    assert "opens at" not in page_of(rule("approvals", awaits_people=True))
    assert "at the earliest" not in page_of(rule("w", opens_at=MONDAY), state=PromotionState.CANCELLED)


@pytest.mark.parametrize("rules", [[], [rule("w", "PASSED", MONDAY)], [rule("people")]])
def test_without_a_time_to_wait_for_there_is_none(rules: list[RuleResult]) -> None:
    assert earliest_opening(rules) is None


def test_a_registrys_word_about_the_clock_is_read() -> None:
    moment = Timestamp()
    moment.FromDatetime(MONDAY)
    told = policy_pb2.RuleResult(
        rule="soak", status=policy_pb2.RULE_STATUS_AWAITING, awaits_clock=True, opens_at=moment
    )
    untold = policy_pb2.RuleResult(rule="people", status=policy_pb2.RULE_STATUS_AWAITING)
    assert [(each.awaits_clock, each.opens_at) for each in rules_of([told, untold])] == [
        (True, MONDAY),
        (False, None),
    ]
