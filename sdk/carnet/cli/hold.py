"""``carnet hold``: keeping versions from being purged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, entry_of, print_table, when
from carnet.cli.settings import Group, Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from carnet.client.results import Hold

_HELD = "ENV/NAMESPACE/MODEL[@VERSION]"
_TIME = click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"))


@click.group(cls=Group)
def hold() -> None:
    """Hold versions, or whole models, so that nothing of them is purged; list and release holds.

    Example:
      carnet hold set prod/risk/fraud@3 --reason "case 2031-7" --as erin
    """


@hold.command("set")
@click.argument("reference", metavar=_HELD)
@click.option("--reason", required=True, help="Why, for people, such as the number of a case.")
@click.option("--until", type=_TIME, metavar="DATE", help="When it ends by itself (UTC); never if left out.")
@click.option("--request-id", default="", help="Makes a repeated request the same request.")
@pass_settings
def set_hold(
    settings: Settings, reference: str, *, reason: str, until: datetime | None, request_id: str
) -> None:
    """Hold a version, or a model with all of its versions, those to come too.

    Examples:
      carnet hold set prod/risk/fraud@3 --reason "case 2031-7" --as erin
      carnet hold set prod/risk/fraud --reason "audit of 2031" --until 2032-01-01 --as erin
    """
    expires_at = until.replace(tzinfo=UTC) if until is not None else None
    with settings.client() as client:
        result = client.place_hold(reference, reason, expires_at=expires_at, request_id=request_id)
    held = result.hold
    end = f" until {when(held.expires_at)}" if held.expires_at else ""
    emit(
        settings,
        result,
        lambda page: page.print(
            f"{held.reference} is held{end} by hold {held.hold} (log {entry_of(result.receipt)})"
        ),
    )


@hold.command("release")
@click.argument("reference", metavar=_HELD)
@click.option("--hold", "number", type=click.IntRange(min=1), required=True, help="The hold's number.")
@click.option("--reason", required=True, help="Why, for people.")
@pass_settings
def release_hold(settings: Settings, reference: str, number: int, reason: str) -> None:
    """End a hold. What else holds it stays in force.

    Example:
      carnet hold release prod/risk/fraud@3 --hold 7 --reason "case closed" --as erin
    """
    with settings.client() as client:
        result = client.release_hold(reference, number, reason)
    emit(
        settings,
        result,
        lambda page: page.print(
            f"hold {number} on {result.hold.reference} is released (log {entry_of(result.receipt)})"
        ),
    )


@hold.command("ls")
@click.argument("where", metavar="ENV[/NAMESPACE[/MODEL]]")
@click.option("--all", "include_ended", is_flag=True, help="Also those that were released or have ended.")
@pass_settings
def list_holds(settings: Settings, where: str, *, include_ended: bool) -> None:
    """List holds, the newest first.

    Example:
      carnet hold ls prod
    """
    with settings.client() as client:
        found = client.holds(where, include_ended=include_ended)
    emit(settings, {"holds": found}, lambda page: print_holds(page, found))


def print_holds(page: Console, holds: Iterable[Hold]) -> None:
    """Print a list of holds."""
    rows = [
        (
            each.hold,
            each.reference,
            each.reason,
            each.actor,
            when(each.created_at),
            f"released {when(each.released_at)}" if each.released_at else when(each.expires_at),
        )
        for each in holds
    ]
    if not rows:
        page.print("nothing is held")
        return
    print_table(page, ("hold#", "on", "why", "placed by", "placed", "ends"), rows)
