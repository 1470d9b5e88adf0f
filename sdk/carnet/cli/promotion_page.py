"""How a promotion is told to people, and what its end means to a script.

Responsible for the words of events, for the table of rules, for the exact next command, and for the exit
code. Makes no calls.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from carnet.cli.exit_codes import ExitCode, exit_code_of_reason
from carnet.cli.output import (
    entry_of,
    print_fields,
    print_rules,
    print_table,
    printable,
    say,
    short,
    size,
    when,
)
from carnet.cli.progress_bars import progress_shown
from carnet.client.results import PromotionState
from carnet.translog.finality import Finality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from rich.console import Console

    from carnet.cli.settings import Settings
    from carnet.client.results import Promotion, PromotionUpdate, RuleResult


@contextlib.contextmanager
def updates_shown(settings: Settings) -> Iterator[Callable[[PromotionUpdate], None]]:
    """Tell each step of a promotion in plain words, and how far its transfer is, while a block runs.

    Yields:
        What is to be told of every update.
    """
    with progress_shown(settings) as progress:

        def tell(update: PromotionUpdate) -> None:
            promotion, event = update.promotion, update.event
            if event is not None:
                time = f"{event.happened_at:%H:%M:%S}" if event.happened_at else " " * 8
                say(settings, f"  {time}  {event.state:<12}  {event.message}")
            if promotion.state is PromotionState.TRANSFERRING and promotion.total_bytes:
                progress("transferring", promotion.transferred_bytes, promotion.total_bytes)

        yield tell


def alias_of(promotion: Promotion) -> str:
    """Return the alias that a promotion is for, and how it is to move; empty for none."""
    return f"{promotion.alias}, by rollout" if promotion.by_rollout else promotion.alias


def headline(promotion: Promotion) -> str:
    """Return what a promotion is, in a line."""
    alias = f" as {alias_of(promotion)}" if promotion.alias else ""
    return f"promotion {promotion.id}: {promotion.reference} to {promotion.target}{alias}"


def outcome(promotion: Promotion) -> str:
    """Return how a promotion stands, in a line."""
    where = f"{promotion.target}/{promotion.reference.namespace}/{promotion.reference.model}"
    match promotion.state:
        case PromotionState.SUCCEEDED:
            logged = f" (log {entry_of(promotion.receipt)})" if promotion.receipt else ""
            return f"admitted: {where}@{promotion.reference.version}{_moved(promotion)}{logged}"
        case PromotionState.REJECTED:
            return f"rejected by {promotion.target}'s policy: {promotion.message}"
        case PromotionState.FAILED:
            return f"failed: {promotion.message}"
        case PromotionState.CANCELLED:
            return f"cancelled: {promotion.message}"
    return f"{promotion.state.lower()}: {promotion.message}"


def next_commands(promotion: Promotion) -> list[str]:
    """Return the commands that would bring a promotion further, the first the most useful."""
    awaited = [each for each in promotion.rules if each.status == "AWAITING"]
    commands = []
    if promotion.state is PromotionState.FAILED:
        return [f"carnet promotions retry {promotion.id}"]
    if promotion.ended:
        return []
    if awaited and all(each.awaits_people for each in awaited):
        commands.append(f'carnet approve {promotion.id} --reason "…" --as APPROVER')
    commands.append(f"carnet promotions watch {promotion.id}")
    return commands


def print_promotion(page: Console, promotion: Promotion, *, events: bool = False) -> None:
    """Print a promotion: what it is, every rule's result, and what to do next."""
    page.print(headline(promotion))
    print_fields(
        page,
        (
            ("state", promotion.state),
            ("message", promotion.message),
            ("bundle", promotion.bundle_digest),
            ("requested by", promotion.requester),
            ("moved", _transfer(promotion)),
            ("created", when(promotion.created_at)),
            ("changed", when(promotion.updated_at)),
        ),
    )
    if events:
        print_table(
            page,
            ("#", "when", "state", "what happened"),
            ((each.sequence, when(each.happened_at), each.state, each.message) for each in promotion.events),
        )
    print_outcome(page, promotion)


def earliest_opening(rules: Iterable[RuleResult]) -> datetime | None:
    """Return the earliest time at which everything could pass, as far as rules know; None for none."""
    return max((each.opens_at for each in rules if each.status == "AWAITING" and each.opens_at), default=None)


def print_outcome(page: Console, promotion: Promotion) -> None:
    """Print every rule's result, how the promotion stands, and the exact next commands."""
    if promotion.rules:
        print_rules(page, promotion.rules)
    page.print(printable(outcome(promotion)))
    opens_at = None if promotion.ended else earliest_opening(promotion.rules)
    if opens_at:
        page.print(f"opens at {when(opens_at)} at the earliest")
    for command in next_commands(promotion):
        page.print(f"next: {command}", soft_wrap=True)


def print_promotions(page: Console, promotions: Iterable[Promotion]) -> None:
    """Print a list of promotions."""
    print_table(
        page,
        ("promotion", "version", "to", "alias", "state", "message", "bundle", "changed"),
        (
            (
                each.id,
                each.reference,
                each.target,
                alias_of(each),
                each.state,
                each.message,
                short(each.bundle_digest),
                when(each.updated_at),
            )
            for each in promotions
        ),
    )


def exit_code_of_end(promotion: Promotion, *, final: bool = False) -> ExitCode:
    """Return what a promotion's state means to a script that waited for it, or for it to be final."""
    match promotion.state:
        case PromotionState.SUCCEEDED:
            is_final = promotion.receipt is not None and promotion.receipt.finality is Finality.FINAL
            return ExitCode.GATE if final and not is_final else ExitCode.DONE
        case PromotionState.FAILED:
            return exit_code_of_reason(promotion.error_reason)
    return ExitCode.GATE


def exit_code_of_dry_run(rules: Iterable[RuleResult]) -> ExitCode:
    """Return what a dry run's answer means: a gate's no, unless everything passes or awaits people only."""
    stopped = any(
        each.status == "FAILED" or (each.status == "AWAITING" and not each.awaits_people) for each in rules
    )
    return ExitCode.GATE if stopped else ExitCode.DONE


def _moved(promotion: Promotion) -> str:
    if promotion.by_rollout:
        return f", and {promotion.alias} is permitted to move to it: `carnet rollout start` does that"
    return f", and {promotion.alias} points at it" if promotion.alias else ""


def _transfer(promotion: Promotion) -> str:
    if not promotion.total_bytes:
        return ""
    done, total = size(promotion.transferred_bytes), size(promotion.total_bytes)
    return f"{done} of {total} by {promotion.transfer}"
