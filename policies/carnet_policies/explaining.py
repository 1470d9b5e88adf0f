"""``carnet policy explain``: what a target would say of a version now, rule by rule, and from when it could.

Responsible for the page and for the JSON object; the target itself is asked, in a dry run that stores
nothing, so what is shown is its own policy on its own facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.canonical import DIGEST_PATTERN
from carnet.cli.output import cell, printable, short
from carnet_policies.evaluation import OPENS_AT, RuleStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from carnet.client.results import Promotion, RuleResult

_SIGNS = {RuleStatus.PASSED: "✓", RuleStatus.FAILED: "✗", RuleStatus.AWAITING: "…"}


def outcome_of(rules: Iterable[RuleResult]) -> RuleStatus:
    """Return what the rules come to: FAILED if any failed or there is none, else AWAITING if any awaits."""
    statuses = {rule.status for rule in rules}
    if RuleStatus.FAILED in statuses or not statuses:
        return RuleStatus.FAILED
    return RuleStatus.AWAITING if RuleStatus.AWAITING in statuses else RuleStatus.PASSED


def earliest_opening(rules: Iterable[RuleResult]) -> str:
    """Return the earliest time at which everything could pass, as far as rules know; empty for none."""
    return max(
        (each.values[OPENS_AT] for each in rules if each.status == "AWAITING" and OPENS_AT in each.values),
        default="",
    )


def explanation_of(promotion: Promotion) -> dict[str, Any]:
    """Return the JSON object: the outcome, the earliest time, and every rule with the values it saw."""
    return {
        "reference": str(promotion.reference),
        "target": promotion.target,
        "alias": promotion.alias,
        "bundle_digest": promotion.bundle_digest,
        "policy_digest": promotion.policy_digest,
        "outcome": str(outcome_of(promotion.rules)),
        "opens_at": earliest_opening(promotion.rules) or None,
        "message": promotion.message,
        "rules": [
            {
                "rule": rule.rule,
                "status": rule.status,
                "message": rule.message,
                "remedy": rule.remedy,
                "values": dict(rule.values),
                "opens_at": rule.values.get(OPENS_AT) if rule.status == "AWAITING" else None,
                "awaits_people": rule.awaits_people,
            }
            for rule in promotion.rules
        ],
    }


def print_explanation(page: Console, promotion: Promotion) -> None:
    """Print every rule: its result, what it found, the values it saw, when it could pass, and what to do."""
    alias = f" as {promotion.alias}" if promotion.alias else ""
    policy = f" (policy {short(promotion.policy_digest)})" if promotion.policy_digest else ""
    page.print(printable(f"{promotion.reference} to {promotion.target}{alias}{policy}"), soft_wrap=True)
    for rule in promotion.rules:
        _print_rule(page, rule)
    page.print()
    opens = earliest_opening(promotion.rules)
    match outcome_of(promotion.rules):
        case RuleStatus.PASSED:
            page.print(f"{promotion.target} would admit it")
        case RuleStatus.AWAITING:
            when = f"; it could open at {opens} at the earliest" if opens else ""
            page.print(f"{promotion.target} would wait{when}")
        case RuleStatus.FAILED if promotion.rules:
            page.print(f"{promotion.target} would refuse it")
        case _:
            page.print(printable(promotion.message), soft_wrap=True)


def _print_rule(page: Console, rule: RuleResult) -> None:
    page.print()
    page.print(_SIGNS.get(RuleStatus(rule.status), "?"), cell(rule.rule, "bold"), cell(rule.status))
    lines = [("", rule.message)]
    lines += [
        (f"{name} = ", short(value) if DIGEST_PATTERN.fullmatch(value) else value)
        for name, value in sorted(rule.values.items())
        if name != OPENS_AT
    ]
    if rule.status == "AWAITING" and OPENS_AT in rule.values:
        lines.append(("could open at the earliest: ", rule.values[OPENS_AT]))
    if rule.remedy:
        lines.append(("to do: ", rule.remedy))
    for label, text in lines:
        page.print(printable(f"    {label}{text}"), soft_wrap=True)
