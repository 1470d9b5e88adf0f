"""``carnet purge``: taking the files of archived and revoked versions away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, print_table, size
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from carnet.client.results import PurgedVersion


@click.command(cls=Command)
@click.argument("where", metavar="ENV[/NAMESPACE[/MODEL[@VERSION]]]")
@click.option("--reason", default="", help="Why, for people; needed unless this is a dry run.")
@click.option(
    "--keep-last",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep at least so many archived versions of each model; the policy's number is never undercut.",
)
@click.option("--dry-run", is_flag=True, help="Name what would go, what is kept and why, and purge nothing.")
@pass_settings
def purge(settings: Settings, where: str, *, reason: str, keep_last: int | None, dry_run: bool) -> None:
    """Purge the files of archived and revoked versions that the policy lets go.

    Manifest, signature, evidence and history stay, and the number is never used again. Never purged is what
    an alias points at or a rollback would lead to, what is held, and what a running promotion is about.

    Examples:
      carnet purge dev --dry-run --as dave
      carnet purge dev/risk/fraud --keep-last 10 --reason "storage review" --as dave
    """
    if not reason and not dry_run:
        raise click.UsageError("say why, with --reason; or look first, with --dry-run")
    with settings.client() as client:
        found = client.purge(where, keep_last=keep_last, reason=reason, dry_run=dry_run)
    emit(
        settings,
        {"versions": found, "dry_run": dry_run},
        lambda page: _print_purged(page, found, dry_run=dry_run),
    )


def _print_purged(page: Console, found: Sequence[PurgedVersion], *, dry_run: bool) -> None:
    if not found:
        page.print("nothing is archived or revoked that has its files")
        return
    print_table(
        page,
        ("version", "would be" if dry_run else "is", "why", "freed size"),
        (
            (
                each.reference,
                "purged" if each.purged else "kept",
                each.why,
                size(each.freed_bytes) if each.purged else "",
            )
            for each in found
        ),
    )
    if dry_run:
        page.print("nothing was purged; run it without --dry-run to do so")
