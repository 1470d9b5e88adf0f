"""``carnet promote``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from carnet.cli.durations import Duration
from carnet.cli.output import emit, print_rules, say
from carnet.cli.promotion_page import (
    exit_code_of_dry_run,
    exit_code_of_end,
    headline,
    next_commands,
    print_outcome,
    updates_shown,
)
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import Promotion

DEFAULT_SECONDS = 600.0


@click.command(cls=Command)
@click.argument("reference", metavar="REF")
@click.option("--to", "target", required=True, metavar="ENV", help="The environment to bring it into.")
@click.option("--alias", default="", help="The alias to move there when it is admitted.")
@click.option(
    "--by-rollout",
    is_flag=True,
    help="Leave the alias: its admission only permits a rollout to move it.",
)
@click.option("--dry-run", is_flag=True, help="Ask what the target would say, and store nothing.")
@click.option(
    "--emergency",
    is_flag=True,
    help="Ask although rules stand open that people must break the glass for.",
)
@click.option("--wait", "waits", is_flag=True, help="Wait for the end, or for the timeout.")
@click.option("--final", is_flag=True, help="Wait until its admission is final: witnessed by a quorum.")
@click.option(
    "--timeout",
    type=Duration(),
    default=DEFAULT_SECONDS,
    show_default="10m",
    help="How long to wait at most: 30s, 10m, 1h30m.",
)
@click.pass_context
@pass_settings
def promote(
    settings: Settings,
    context: click.Context,
    *,
    reference: str,
    target: str,
    alias: str,
    by_rollout: bool,
    dry_run: bool,
    emergency: bool,
    waits: bool,
    final: bool,
    timeout: float,
) -> None:
    """Ask for the version REF to be brought into another environment, signed with your key.

    The target decides by its own policy. With --wait the exit code tells the end: 0 admitted, 5 refused or
    still waiting at the timeout. With --final it waits on, until the admission, which is in force by then, is
    witnessed by a quorum of the pinned witnesses: 5 where it is not in time. With --dry-run it is 5 where a
    rule fails, or awaits more than people.

    Examples:
      carnet promote dev/risk/fraud@3 --to staging --wait
      carnet promote staging/risk/fraud@3 --to prod --alias champion --wait --timeout 1h
      carnet promote staging/risk/fraud@3 --to prod --alias champion --by-rollout --wait
    """
    with settings.client(signs=True) as client:
        promotion = client.promote(
            reference,
            target,
            alias=alias,
            dry_run=dry_run,
            emergency=emergency,
            by_rollout=by_rollout,
        )
        if dry_run:
            emit(settings, answer_of(promotion), lambda page: _print_dry_run(page, promotion))
            context.exit(exit_code_of_dry_run(promotion.rules))
        say(settings, headline(promotion))
        if waits or final:
            with updates_shown(settings) as on_update:
                promotion = client.wait(promotion.id, timeout=timeout, on_update=on_update, final=final)
    emit(settings, answer_of(promotion), lambda page: print_outcome(page, promotion))
    if waits or final:
        context.exit(exit_code_of_end(promotion, final=final))


def answer_of(promotion: Promotion) -> dict[str, Any]:
    """Return the JSON object for a promotion: its fields, and the exact next commands."""
    from carnet.cli.json_form import as_json  # noqa: PLC0415  as in carnet.cli.output

    return {**as_json(promotion), "ended": promotion.ended, "next": next_commands(promotion)}


def _print_dry_run(page: Console, promotion: Promotion) -> None:
    page.print(f"{promotion.target} was asked about {promotion.reference}, and nothing was stored")
    print_rules(page, promotion.rules)
    if any(each.status == "FAILED" for each in promotion.rules):
        page.print(f"{promotion.target} would refuse it")
    elif any(each.status == "AWAITING" for each in promotion.rules):
        page.print(f"{promotion.target} would wait for what is awaited above")
    elif promotion.rules:
        page.print(f"{promotion.target} would admit it")
    else:
        page.print(promotion.message)
