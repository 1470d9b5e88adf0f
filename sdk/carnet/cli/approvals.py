"""``carnet approve``, ``carnet reject`` and ``carnet withdraw``.

Responsible for showing what is signed before it is signed: the dossier that is shown is the dossier whose
digest is signed, whatever happens in between. Between the two, whoever sits there is authenticated again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from carnet.cli.dossier_page import print_admission
from carnet.cli.output import console, emit, entry_of, print_rules, printable
from carnet.cli.reauthentication import reauthenticate
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from carnet.client.client import Client
    from carnet.client.results import Admission, ApprovalResult

    Sign = Callable[[Client, Admission], ApprovalResult]

_PROMOTION = click.argument("promotion")
_REASON = click.option("--reason", required=True, help="Why, in your words; it is signed and kept.")
_TARGET = click.option(
    "--target", metavar="ENV", help="The environment that decides; else the promotion service is asked."
)
_YES = click.option("--yes", is_flag=True, help="Sign without asking; a key's passphrase is asked for.")


@click.command(cls=Command)
@_PROMOTION
@_REASON
@_TARGET
@_YES
@click.option("--reviewed", is_flag=True, help="Say that you looked, and no more: it counts for no approval.")
@pass_settings
def approve(
    settings: Settings, *, promotion: str, reason: str, target: str | None, yes: bool, reviewed: bool
) -> None:
    """Sign an approval of PROMOTION with your key, after seeing what it is.

    The dossier comes from the target environment itself; its signature, the evidence and the manifest are
    verified here first. Approvers are other people than the publisher and the requester.

    Example:
      carnet approve 0123456789abcdef0123456789abcdef --reason "reviewed the evaluation" --as bob
    """
    _sign(
        settings,
        promotion,
        target,
        word="review" if reviewed else "approval",
        yes=yes,
        sign=lambda client, shown: client.approve(
            shown, reason, meaning="reviewed" if reviewed else "approved"
        ),
    )


@click.command(cls=Command)
@_PROMOTION
@_REASON
@_TARGET
@_YES
@pass_settings
def reject(settings: Settings, promotion: str, reason: str, target: str | None, yes: bool) -> None:
    """Sign a rejection of PROMOTION with your key: the target refuses it.

    Example:
      carnet reject 0123456789abcdef0123456789abcdef --reason "drift on new customers" --as carol
    """
    _sign(
        settings,
        promotion,
        target,
        word="rejection",
        yes=yes,
        sign=lambda client, shown: client.reject(shown, reason),
    )


@click.command(cls=Command)
@_PROMOTION
@_REASON
@_TARGET
@_YES
@pass_settings
def withdraw(settings: Settings, promotion: str, reason: str, target: str | None, yes: bool) -> None:
    """Take back what you said of PROMOTION, as long as it is not admitted.

    Example:
      carnet withdraw 0123456789abcdef0123456789abcdef --reason "looked at the wrong one" --as bob
    """
    _sign(
        settings,
        promotion,
        target,
        word="withdrawal",
        yes=yes,
        sign=lambda client, shown: client.withdraw(shown, reason),
    )


def must_be_asked(settings: Settings, word: str, *, yes: bool) -> None:
    """Insist that somebody can be asked before a signature, or said that nobody need be.

    Raises:
        click.UsageError: Neither is so.
    """
    if not yes and not settings.interactive:
        raise click.UsageError(f"nobody can be asked here: add --yes to sign the {word} without asking")


def _sign(
    settings: Settings, promotion: str, target: str | None, *, word: str, yes: bool, sign: Sign
) -> None:
    from carnet.client.approvals import open_dossier  # noqa: PLC0415  loads gRPC: only where it is needed

    must_be_asked(settings, word, yes=yes)
    with settings.client() as client:
        shown = client.admission(promotion, target=target)
        if not settings.json:
            print_admission(console(), shown)
        open_dossier(shown, datetime.now(UTC))
        with reauthenticate(settings, client.identity, shown.promotion, deed=word, yes=yes) as signing:
            result = sign(signing, shown)
    emit(settings, {"approval": result, "admission": shown}, lambda page: _print_result(page, result))


def _print_result(page: Console, result: ApprovalResult) -> None:
    page.print(
        printable(f"{result.meaning}, and written down by {result.target} (log {entry_of(result.receipt)})")
    )
    if result.meaning == "approved" and not result.counts:
        page.print(f"it counts for nothing: {result.target} knows no person behind this identity")
    awaited = [each for each in result.rules if each.status != "PASSED"]
    if awaited:
        print_rules(page, awaited)
