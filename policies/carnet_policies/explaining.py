"""``carnet policy explain``: what a target would say of a version now, rule by rule, and from when it could.

Responsible for the page and for the JSON object; the target itself is asked, in dry runs that store nothing,
so what is shown is its own policy on its own facts. What people could skip by breaking the glass is what it
says of the same version when it is asked for as an emergency.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.canonical import DIGEST_PATTERN
from carnet.cli.output import cell, printable, short
from carnet.cli.promotion_page import earliest_opening
from carnet.signing.times import format_time
from carnet_policies import break_glass
from carnet_policies.evaluation import RuleStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from rich.console import Console

    from carnet.client.results import Promotion, RuleResult

_SIGNS = {RuleStatus.PASSED: "✓", RuleStatus.FAILED: "✗", RuleStatus.AWAITING: "…"}


@dataclass(frozen=True, slots=True)
class EmergencyTerms:
    """What people could skip of what stands open, and how.

    Attributes:
        skips: The rules that stand open, all of which can be skipped.
        people: How many different people must sign.
        max_validity: How long one signature may be good for.
        review_within: How long after the admission somebody else must have reviewed it.
        review_overdue: The promotion whose review is overdue, so that nobody can now; empty for none.
    """

    skips: tuple[str, ...]
    people: int
    max_validity: str
    review_within: str
    review_overdue: str


def outcome_of(rules: Iterable[RuleResult]) -> RuleStatus:
    """Return what the rules come to: FAILED if any failed or there is none, else AWAITING if any awaits."""
    statuses = {rule.status for rule in rules}
    if RuleStatus.FAILED in statuses or not statuses:
        return RuleStatus.FAILED
    return RuleStatus.AWAITING if RuleStatus.AWAITING in statuses else RuleStatus.PASSED


def emergency_terms(rules: Iterable[RuleResult]) -> EmergencyTerms | None:
    """Return what people could skip; None where breaking the glass would open nothing.

    Args:
        rules: What the target says of the version when it is asked for as an emergency.
    """
    asked = next(
        (each for each in rules if each.rule == break_glass.RULE and each.status == RuleStatus.AWAITING), None
    )
    if asked is None:
        return None
    values = asked.values
    needed = values.get("needed", "")
    return EmergencyTerms(
        skips=tuple(rule for rule in values.get("open", "").split(", ") if rule),
        people=int(needed) if needed.isascii() and needed.isdigit() else 0,
        max_validity=values.get("max_validity", ""),
        review_within=values.get("review_within", ""),
        review_overdue=values.get(break_glass.REVIEW_OVERDUE, ""),
    )


def explanation_of(promotion: Promotion, terms: EmergencyTerms | None) -> dict[str, Any]:
    """Return the JSON object: the outcome, the earliest time, every rule, and what people could skip."""
    return {
        "reference": str(promotion.reference),
        "target": promotion.target,
        "alias": promotion.alias,
        "bundle_digest": promotion.bundle_digest,
        "policy_digest": promotion.policy_digest,
        "outcome": str(outcome_of(promotion.rules)),
        "opens_at": _time(earliest_opening(promotion.rules)),
        "message": promotion.message,
        "rules": [
            {
                "rule": rule.rule,
                "status": rule.status,
                "message": rule.message,
                "remedy": rule.remedy,
                "values": dict(rule.values),
                "opens_at": _time(rule.opens_at),
                "awaits_people": rule.awaits_people,
                "awaits_clock": rule.awaits_clock,
            }
            for rule in promotion.rules
        ],
        "break_glass": None
        if terms is None
        else {
            "skips": list(terms.skips),
            "people": terms.people,
            "max_validity": terms.max_validity,
            "review_within": terms.review_within,
            "review_overdue": terms.review_overdue or None,
        },
    }


def print_explanation(page: Console, promotion: Promotion, terms: EmergencyTerms | None) -> None:
    """Print every rule, with what it saw and what to do, and what people could skip in an emergency."""
    alias = f" as {promotion.alias}" if promotion.alias else ""
    policy = f" (policy {short(promotion.policy_digest)})" if promotion.policy_digest else ""
    page.print(printable(f"{promotion.reference} to {promotion.target}{alias}{policy}"), soft_wrap=True)
    for rule in promotion.rules:
        _print_rule(page, rule)
    page.print()
    outcome, opens_at = outcome_of(promotion.rules), _time(earliest_opening(promotion.rules))
    match outcome:
        case RuleStatus.PASSED:
            page.print(f"{promotion.target} would admit it")
        case RuleStatus.AWAITING:
            at = f"; it could open at {opens_at} at the earliest" if opens_at else ""
            page.print(f"{promotion.target} would wait{at}")
        case RuleStatus.FAILED if promotion.rules:
            page.print(f"{promotion.target} would refuse it")
        case _:
            page.print(printable(promotion.message), soft_wrap=True)
    if promotion.rules and outcome is not RuleStatus.PASSED:
        page.print(printable(_emergency(terms)), soft_wrap=True)


def _emergency(terms: EmergencyTerms | None) -> str:
    if terms is None:
        return "in an emergency: breaking the glass would not open it, something cannot be skipped"
    people = "1 person" if terms.people == 1 else f"{terms.people} people"
    told = (
        f"in an emergency: {people} could skip {', '.join(terms.skips)}, each for {terms.max_validity} at "
        f"most, to be reviewed within {terms.review_within}"
    )
    if terms.review_overdue:
        told += f"; nobody can before the overdue review of promotion {terms.review_overdue}"
    return told


def _print_rule(page: Console, rule: RuleResult) -> None:
    page.print()
    page.print(_SIGNS.get(RuleStatus(rule.status), "?"), cell(rule.rule, "bold"), cell(rule.status))
    lines = [("", rule.message)]
    lines += [
        (f"{name} = ", short(value) if DIGEST_PATTERN.fullmatch(value) else value)
        for name, value in sorted(rule.values.items())
    ]
    if rule.opens_at is not None:
        lines.append(("could open at the earliest: ", format_time(rule.opens_at)))
    if rule.remedy:
        lines.append(("to do: ", rule.remedy))
    for label, text in lines:
        page.print(printable(f"    {label}{text}"), soft_wrap=True)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
