"""``carnet rollback``: back to the last good version, and rehearsing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.alias_facts import moved
from carnet.cli.aliases import DEFAULT_ALIAS
from carnet.cli.durations import Duration
from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import emit, entry_of, say, when
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.client import Client
    from carnet.client.results import Alias, AliasChange, Drill, RollbackCheck

DEFAULT_SECONDS = 600.0


@click.command(cls=Command)
@click.argument("reference", metavar="ENV/NAMESPACE/MODEL[@ALIAS]")
@click.option("--reason-code", metavar="CODE", help="Why, for reports: such as metric-degradation.")
@click.option("--note", default="", help="Why, for people.")
@click.option(
    "--to",
    "version",
    type=click.IntRange(min=1),
    help="The version to go back to, which the alias pointed at before; else the last good one before this.",
)
@click.option("--to-mark", is_flag=True, help="Go back to the marked version (`carnet alias mark`).")
@click.option(
    "--without-smoke-test",
    "accept_untested",
    is_flag=True,
    help="In an emergency: accept a version without the smoke test that the policy requires.",
)
@click.option("--wait", "waits", is_flag=True, help="Wait until all serving hosts that report run it.")
@click.option(
    "--timeout",
    type=Duration(),
    default=DEFAULT_SECONDS,
    show_default="10m",
    help="How long to wait at most: 30s, 10m, 1h30m.",
)
@click.option("--drill", "drills", is_flag=True, help="Rehearse it: back and forward again, at once.")
@click.option("--yes", "confirmed", is_flag=True, help="Drill although serving hosts follow the alias.")
@click.pass_context
@pass_settings
def rollback(
    settings: Settings,
    context: click.Context,
    reference: str,
    *,
    reason_code: str | None,
    note: str,
    version: int | None,
    to_mark: bool,
    accept_untested: bool,
    waits: bool,
    timeout: float,
    drills: bool,
    confirmed: bool,
) -> None:
    """Move an alias (champion, if none is named) back to the last good version, at once.

    No policy and no other environment is waited for. The version's stored bytes are checked before, and its
    latest smoke test must not have failed. Where the policy requires a smoke test and the version holds none,
    --without-smoke-test accepts that, and the history says so. With --to-mark the alias goes back to the
    version that people marked as known-good (`carnet alias mark`). With --wait the exit code is 5 where hosts
    still run something else at the timeout; the rollback itself is made.

    Examples:
      carnet rollback prod/risk/fraud --reason-code metric-degradation --as dave
      carnet rollback prod/risk/fraud --reason-code metric-degradation --wait --timeout 2m
      carnet rollback prod/risk/fraud --reason-code metric-degradation --to-mark
      carnet rollback staging/risk/fraud --drill --note "before the release"
    """
    pointed = reference if "@" in reference else f"{reference}@{DEFAULT_ALIAS}"
    if drills:
        if version is not None or to_mark or accept_untested or waits or reason_code is not None:
            raise click.UsageError("--drill goes with --note and --yes only")
        _drill(settings, pointed, note=note, confirmed=confirmed)
        return
    if reason_code is None:
        raise click.UsageError("Missing option '--reason-code': say why, such as metric-degradation")
    if confirmed:
        raise click.UsageError("--yes goes with --drill only")
    if to_mark and version is not None:
        raise click.UsageError("--to names a version and --to-mark the marked one: give one of the two")
    with settings.client() as client:
        change = client.rollback(
            pointed,
            reason_code,
            version=version,
            note=note,
            to_mark=to_mark,
            accept_untested=accept_untested,
        )
        state = _wait(settings, client, change, timeout) if waits else None
    done = state is None or _is_served(state)
    answer = {
        "alias": state or change.alias,
        "check": change.check,
        "receipt": change.receipt,
        "rolled_back_version": change.rolled_back_version,
    }
    emit(settings, answer | ({"served": done} if waits else {}), lambda page: _show(page, change, state))
    context.exit(ExitCode.DONE if done else ExitCode.GATE)


def _drill(settings: Settings, pointed: str, *, note: str, confirmed: bool) -> None:
    with settings.client() as client:
        drill = client.drill_rollback(pointed, note=note, confirmed=confirmed)
    emit(settings, drill, lambda page: _show_drill(page, drill))


def _wait(settings: Settings, client: Client, change: AliasChange, timeout: float) -> Alias:
    say(settings, moved(change))
    return client.wait_until_served(change.alias.reference, change.alias.revision, timeout=timeout)


def _is_served(state: Alias) -> bool:
    return state.serving is None or state.serving.current_count == state.serving.instance_count


def _show(page: Console, change: AliasChange, state: Alias | None) -> None:
    if state is None:
        page.print(moved(change))
    _show_check(page, change.check)
    if state is None:
        return
    if state.serving is None:
        page.print("no serving host reports on this alias")
        return
    page.print(f"{state.serving.current_count} of {state.serving.instance_count} instances run it")
    for each in state.serving.lagging:
        page.print(f"still another: {each}")


def _show_drill(page: Console, drill: Drill) -> None:
    page.print(
        f"{drill.alias.reference} went back to version {drill.drilled_version} and forward to version "
        f"{drill.alias.version} again (log {entry_of(drill.back)}, and {entry_of(drill.forward)})"
    )
    _show_check(page, drill.check)


def _show_check(page: Console, check: RollbackCheck | None) -> None:
    if check is None:
        return
    for each in check.passed_over:
        page.print(f"passed over: version {each.version} {each.reason}")
    test = f"smoke test {check.smoke_test}" if check.smoke_test else "no smoke test is held"
    oldest = f", the oldest check {when(check.oldest_at)}" if check.oldest_at else ""
    page.print(f"{check.blob_count} blobs are whole ({check.hashed_count} hashed now{oldest}); {test}")
