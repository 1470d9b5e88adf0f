"""``carnet policy replay``: which past decisions would have come out differently under another policy.

Responsible for the page and for the JSON object. What was decided, and what would be, is the environment's
own answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.cli.json_form import as_json
from carnet.cli.output import print_table, printable, when

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from carnet.client.results import ReplayedDecision


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """Past decisions under another policy, each in one of three groups.

    Attributes:
        environment: The environment that decided.
        differing: Those that would come out differently, the newest first.
        same: How many would not.
        unknown: Those that could not be replayed.
    """

    environment: str
    differing: tuple[ReplayedDecision, ...]
    same: int
    unknown: tuple[ReplayedDecision, ...]


def summary_of(environment: str, decisions: Iterable[ReplayedDecision]) -> ReplaySummary:
    """Return past decisions in their groups.

    Args:
        environment: The environment that decided.
        decisions: The decisions, the newest first.
    """
    found = tuple(decisions)
    differing = tuple(each for each in found if each.differs)
    unknown = tuple(each for each in found if each.problem)
    return ReplaySummary(environment, differing, len(found) - len(differing) - len(unknown), unknown)


def first_open_rule(decision: ReplayedDecision) -> str:
    """Return the first rule that is why a decision would not be PASSED; empty where it would."""
    if decision.replayed == "PASSED":
        return ""
    return next((each.rule for each in decision.rules if each.status == decision.replayed), "")


def replay_to_json(summary: ReplaySummary) -> dict[str, Any]:
    """Return the JSON object: the counts, and every decision that differs or could not be replayed."""
    return {
        "environment": summary.environment,
        "same": summary.same,
        "different": len(summary.differing),
        "not_replayed": len(summary.unknown),
        "decisions": [
            {**as_json(each), "first_open_rule": first_open_rule(each)} for each in summary.differing
        ],
        "problems": [as_json(each) for each in summary.unknown],
    }


def print_replay(page: Console, summary: ReplaySummary) -> None:
    """Print the decisions that would differ, why some could not be replayed, and how many are the same."""
    if summary.differing:
        print_table(
            page,
            ("version", "promotion", "when", "decided", "would be", "rule"),
            (
                (
                    each.reference,
                    each.promotion or "(published)",
                    when(each.decided_at),
                    each.decided,
                    each.replayed,
                    first_open_rule(each),
                )
                for each in summary.differing
            ),
        )
    for each in summary.unknown:
        told = f"not replayed: {each.reference} ({each.decided}, log entry {each.log_index}): {each.problem}"
        page.print(printable(told), soft_wrap=True)
    page.print(
        f"of {summary.environment}'s decisions, {len(summary.differing)} would be different and "
        f"{summary.same} the same; {len(summary.unknown)} could not be replayed",
        soft_wrap=True,
    )
