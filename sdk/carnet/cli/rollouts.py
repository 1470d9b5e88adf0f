"""``carnet rollout``: a challenger beside a champion, until it is proven or sent back."""

from __future__ import annotations

from datetime import timedelta

import click

from carnet.cli.durations import Duration, Share, Step
from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import emit
from carnet.cli.rollout_page import (
    print_changed,
    print_figures,
    print_rollout,
    print_rollouts,
    print_started,
    updates_shown,
)
from carnet.cli.rollout_reports import REFERENCE, alias_meant, metrics, number_option, traffic
from carnet.cli.settings import Group, Settings, pass_settings
from carnet.rollouts import RolloutState

DEFAULT_SECONDS = 600.0


@click.group(cls=Group)
def rollout() -> None:
    """Start, watch, report, stop or complete rollouts: a challenger beside a champion, under guardrails.

    Example:
      carnet rollout status prod/risk/fraud
    """


@rollout.command("start")
@click.argument("reference", metavar=REFERENCE)
@click.option("--challenger", type=click.IntRange(min=1), help="The version to try; else its alias's.")
@click.option(
    "--challenger-alias", default="", help="The alias that points at it meanwhile; else challenger or shadow."
)
@click.option("--shadow", is_flag=True, help="Mirror requests to it, and throw its answers away.")
@click.option(
    "--step", "steps", type=Step(), multiple=True, help="A step of the plan: 5%:30m. Give it for each."
)
@click.option("--share", type=Share(), help="Instead of steps, one share: 10%.")
@click.option("--for", "seconds", type=Duration(), default=0.0, help="For how long at least, with --share.")
@click.option(
    "--on-success",
    type=click.Choice(["hold", "move"]),
    default="hold",
    show_default=True,
    help="Once the plan is passed: wait for somebody, or move the alias.",
)
@click.option("--bake", type=Duration(), default=0.0, help="How long a breach still moves the alias back.")
@click.option("--note", default="", help="Why, for people.")
@click.option("--dry-run", is_flag=True, help="Check all, and begin nothing.")
@pass_settings
def start(
    settings: Settings,
    reference: str,
    *,
    challenger: int | None,
    challenger_alias: str,
    shadow: bool,
    steps: tuple[tuple[float, timedelta], ...],
    share: float | None,
    seconds: float,
    on_success: str,
    bake: float,
    note: str,
    dry_run: bool,
) -> None:
    """Try a version beside the one that an alias (champion, if none is named) points at.

    The policy's guardrails judge it. A breach, or metrics that stop, give the champion all traffic at once.

    Examples:
      carnet rollout start prod/risk/fraud --challenger 4 --step 5%:30m --step 50%:2h --on-success move
      carnet rollout start prod/risk/fraud --challenger 4 --shadow --for 24h --dry-run
    """
    if steps and (share is not None or seconds):
        raise click.UsageError("--step has its own share and time: --share and --for go without it")
    if not steps and share is None and not shadow:
        raise click.UsageError("say which share the challenger gets, with --step or --share")
    with settings.client() as client:
        change = client.start_rollout(
            alias_meant(reference),
            challenger=challenger,
            challenger_alias=challenger_alias,
            kind="shadow" if shadow else "split",
            steps=steps,
            share=share,
            min_duration=timedelta(seconds=seconds),
            on_success=on_success,
            bake=timedelta(seconds=bake),
            note=note,
            dry_run=dry_run,
        )
    emit(settings, change, lambda page: print_started(page, change))


@rollout.command("status")
@click.argument("reference", metavar=REFERENCE)
@number_option
@click.option("--wait", "waits", is_flag=True, help="Wait for the end, or for the timeout.")
@click.option(
    "--timeout",
    type=Duration(),
    default=DEFAULT_SECONDS,
    show_default="10m",
    help="How long to wait at most: 30s, 10m, 1h30m.",
)
@click.pass_context
@pass_settings
def status(
    settings: Settings,
    context: click.Context,
    reference: str,
    *,
    number: int | None,
    waits: bool,
    timeout: float,
) -> None:
    """Show where a rollout stands, and what each guardrail says, with its figures.

    With --wait the exit code tells the end: 0 succeeded, 5 rolled back, stopped, or still on at the timeout.

    Examples:
      carnet rollout status prod/risk/fraud
      carnet rollout status prod/risk/fraud --wait --timeout 2h
    """
    pointed = alias_meant(reference)
    with settings.client() as client:
        if waits:
            with updates_shown(settings) as on_update:
                found = client.wait_for_rollout(pointed, number, timeout=timeout, on_update=on_update)
        else:
            found = client.rollout(pointed, number)
    emit(settings, {"rollout": found, "ended": found.ended}, lambda page: print_rollout(page, found))
    if waits and found.state is not RolloutState.SUCCEEDED:
        context.exit(ExitCode.GATE)


@rollout.command("report")
@click.argument("reference", metavar=REFERENCE)
@number_option
@pass_settings
def report(settings: Settings, reference: str, number: int | None) -> None:
    """Compare all that was measured of the two versions, side by side.

    Example:
      carnet rollout report prod/risk/fraud --number 3 -o json
    """
    with settings.client() as client:
        found = client.rollout(alias_meant(reference), number)
    emit(settings, {"rollout": found}, lambda page: print_figures(page, found))


@rollout.command("stop")
@click.argument("reference", metavar=REFERENCE)
@number_option
@click.option("--reason-code", required=True, metavar="CODE", help="Why, for reports: such as wrong-version.")
@click.option("--note", default="", help="Why, for people.")
@pass_settings
def stop(settings: Settings, reference: str, *, number: int | None, reason_code: str, note: str) -> None:
    """End a rollout: the champion has all traffic. Once the alias was moved, only the watching ends.

    Example:
      carnet rollout stop prod/risk/fraud --reason-code wrong-version --as dave
    """
    with settings.client() as client:
        change = client.stop_rollout(alias_meant(reference), reason_code, number=number, note=note)
    emit(settings, change, lambda page: print_changed(page, change))


@rollout.command("complete")
@click.argument("reference", metavar=REFERENCE)
@number_option
@click.option("--note", default="", help="Why, for people.")
@pass_settings
def complete(settings: Settings, reference: str, *, number: int | None, note: str) -> None:
    """Move the alias to the challenger of a rollout that has passed its plan and waits for that.

    Example:
      carnet rollout complete dev/risk/fraud --as dave
    """
    with settings.client() as client:
        change = client.complete_rollout(alias_meant(reference), number=number, note=note)
    emit(settings, change, lambda page: print_changed(page, change))


@rollout.command("ls")
@click.argument("place", metavar="ENV[/NAMESPACE[/MODEL[@ALIAS]]]")
@click.option("--active", is_flag=True, help="Only those that have not ended.")
@pass_settings
def list_rollouts(settings: Settings, place: str, active: bool) -> None:
    """List rollouts, an alias's newest first.

    Example:
      carnet rollout ls prod/risk --active
    """
    with settings.client() as client:
        found = client.rollouts(place, active=active)
    emit(settings, {"rollouts": found}, lambda page: print_rollouts(page, found))


rollout.add_command(traffic)
rollout.add_command(metrics)
