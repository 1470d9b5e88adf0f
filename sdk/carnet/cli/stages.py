"""``carnet stage`` and ``carnet archive``: where a version stands, by hand and by age."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, entry_of, print_table, when
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.stages import BY_HAND, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from carnet.client.results import ArchivedVersion, StageResult

_STAGES = tuple(map(str, Stage))
_BY_HAND = tuple(str(stage) for stage in Stage if any(stage in legal for legal in BY_HAND.values()))
_DAYS = click.IntRange(min=0, max=36500)


@click.command(cls=Command)
@click.argument("reference", metavar="ENV/NAMESPACE/MODEL@VERSION")
@click.argument("stage", metavar="STAGE", type=click.Choice(_BY_HAND))
@click.option("--reason", required=True, help="Why, for people.")
@click.option(
    "--expected", type=click.Choice(_STAGES), default=None, help="Only if the version stands there."
)
@pass_settings
def stage_command(settings: Settings, reference: str, stage: str, reason: str, expected: str | None) -> None:
    """Move a version to a stage: registered, candidate, approved or archived.

    A version is deployed while an alias points at it; `carnet alias` and `carnet promote` move those.

    Example:
      carnet stage staging/risk/fraud@3 candidate --reason "passed the shadow run" --as dave
    """
    with settings.client() as client:
        result = client.set_stage(reference, stage, reason, expected=expected or "")
    emit(settings, result, lambda page: _print_staged(page, result))


@click.command(cls=Command)
@click.argument("where", metavar="REF | ENV[/NAMESPACE]")
@click.option("--reason", default="", help="Why, for people; needed unless this is a dry run.")
@click.option("--undo", is_flag=True, help="Make an archived version registered again.")
@click.option("--policy", is_flag=True, help="Archive what is old and out of use in an environment.")
@click.option(
    "--older-than", type=_DAYS, default=90, show_default=True, metavar="DAYS", help="With --policy: its age."
)
@click.option(
    "--unused-for",
    type=_DAYS,
    default=30,
    show_default=True,
    metavar="DAYS",
    help="With --policy: how long it was not staged, told of by evidence, or admitted elsewhere.",
)
@click.option("--dry-run", is_flag=True, help="With --policy: name what and why, and archive nothing.")
@pass_settings
def archive(
    settings: Settings,
    where: str,
    *,
    reason: str,
    undo: bool,
    policy: bool,
    older_than: int,
    unused_for: int,
    dry_run: bool,
) -> None:
    """Archive a version, kept whole, or all that are old and out of use.

    Never archived are versions that an alias points at, or that a running promotion is about.

    Examples:
      carnet archive dev/risk/fraud@3 --reason "superseded by @5" --as dave
      carnet archive dev/risk/fraud@3 --undo --reason "needed for a comparison" --as dave
      carnet archive dev --policy --older-than 180 --dry-run --as dave
    """
    if policy and undo:
        raise click.UsageError("--undo is for one version, --policy for an environment: give one of them")
    if dry_run and not policy:
        raise click.UsageError("--dry-run belongs to --policy: one version is archived, or it is not")
    if not reason and not dry_run:
        raise click.UsageError("say why, with --reason")
    if not policy:
        with settings.client() as client:
            result = client.set_stage(
                where,
                "registered" if undo else "archived",
                reason,
                expected="archived" if undo else "",
            )
        emit(settings, result, lambda page: _print_staged(page, result))
        return
    environment, _, namespace = where.partition("/")
    with settings.client() as client:
        found = client.archive_unused(
            environment,
            min_age=timedelta(days=older_than),
            min_unused=timedelta(days=unused_for),
            namespace=namespace,
            reason=reason,
            dry_run=dry_run,
        )
    emit(
        settings,
        {"versions": found, "dry_run": dry_run},
        lambda page: _print_archived(page, found, dry_run=dry_run),
    )


def _print_staged(page: Console, result: StageResult) -> None:
    version = result.version
    page.print(f"{version.reference} is {version.stage} (log {entry_of(result.receipt)})")


def _print_archived(page: Console, found: Sequence[ArchivedVersion], *, dry_run: bool) -> None:
    if not found:
        page.print("nothing is old and out of use")
        return
    print_table(
        page,
        ("version", "would be" if dry_run else "is now", "why", "last used"),
        ((each.version.reference, "archived", each.why, when(each.last_used_at)) for each in found),
    )
    if dry_run:
        page.print("nothing was archived; run it without --dry-run to do so")
