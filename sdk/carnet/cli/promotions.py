"""``carnet promotions``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.durations import Duration
from carnet.cli.output import emit, say
from carnet.cli.promote import answer_of
from carnet.cli.promotion_page import (
    exit_code_of_end,
    headline,
    outcome,
    print_outcome,
    print_promotion,
    print_promotions,
    updates_shown,
)
from carnet.cli.settings import Group, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

_A_YEAR_SECONDS = 365 * 86400.0


@click.group(cls=Group)
def promotions() -> None:
    """List, show, watch, cancel or retry promotions.

    Example:
      carnet promotions ls --active
    """


@promotions.command("ls")
@click.option("--active", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@pass_settings
def list_promotions(settings: Settings, active: bool, limit: int) -> None:
    """List promotions, the newest first.

    Example:
      carnet promotions ls --active
    """
    with settings.client() as client:
        found = client.promotions(active_only=active, limit=limit)

    def show(page: Console) -> None:
        if found:
            print_promotions(page, found)
        else:
            page.print("no promotions here; `carnet promote` asks for one")

    emit(settings, {"promotions": found}, show)


@promotions.command("show")
@click.argument("promotion")
@pass_settings
def show_promotion(settings: Settings, promotion: str) -> None:
    """Show one promotion: every event, every rule's result, and what to do next.

    Example:
      carnet promotions show 0123456789abcdef0123456789abcdef
    """
    with settings.client() as client:
        found = client.promotion(promotion)
    emit(settings, answer_of(found), lambda page: print_promotion(page, found, events=True))


@promotions.command("watch")
@click.argument("promotion")
@click.option("--timeout", type=Duration(), help="How long at most: 30s, 10m, 1h30m; else to the end.")
@click.pass_context
@pass_settings
def watch(settings: Settings, context: click.Context, promotion: str, timeout: float | None) -> None:
    """Follow a promotion to its end; the exit code tells it, as that of `carnet promote --wait` does.

    Example:
      carnet promotions watch 0123456789abcdef0123456789abcdef --timeout 1h
    """
    with settings.client() as client:
        say(settings, headline(client.promotion(promotion)))
        with updates_shown(settings) as on_update:
            found = client.wait(promotion, timeout=timeout or _A_YEAR_SECONDS, on_update=on_update)
    emit(settings, answer_of(found), lambda page: print_outcome(page, found))
    context.exit(exit_code_of_end(found))


@promotions.command("cancel")
@click.argument("promotion")
@click.option("--reason", required=True, help="Why, for people.")
@pass_settings
def cancel(settings: Settings, promotion: str, reason: str) -> None:
    """End a promotion at your signed word; its target refuses it from then on.

    Example:
      carnet promotions cancel 0123456789abcdef0123456789abcdef --reason "wrong version"
    """
    with settings.client(signs=True) as client:
        found = client.cancel(promotion, reason)
    emit(settings, answer_of(found), lambda page: page.print(f"{headline(found)}: {outcome(found)}"))


@promotions.command("retry")
@click.argument("promotion")
@pass_settings
def retry(settings: Settings, promotion: str) -> None:
    """Try a failed promotion again, from where it stood.

    Example:
      carnet promotions retry 0123456789abcdef0123456789abcdef
    """
    with settings.client() as client:
        found = client.retry(promotion)
    emit(settings, answer_of(found), lambda page: print_outcome(page, found))
