"""``carnet revoke``."""

from __future__ import annotations

import click

from carnet.cli.output import emit, entry_of
from carnet.cli.settings import Command, Settings, pass_settings


@click.command(cls=Command)
@click.argument("reference", metavar="ENV/NAMESPACE/MODEL@VERSION")
@click.option("--reason", required=True, help="Why, for people.")
@pass_settings
def revoke(settings: Settings, reference: str, reason: str) -> None:
    """Withdraw a version for good: nothing admits it any more, and no alias may be moved to it.

    Aliases that point at it stay where they are; `carnet rollback` moves them.

    Example:
      carnet revoke prod/risk/fraud@3 --reason "trained on leaked labels" --as dave
    """
    with settings.client() as client:
        result = client.revoke(reference, reason)
    emit(
        settings,
        result,
        lambda page: page.print(f"{result.version.reference} is revoked (log {entry_of(result.receipt)})"),
    )
