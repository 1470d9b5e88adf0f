"""``carnet break-glass``, and its review.

Responsible for showing what is signed before it is signed, as for approvals, for asking the signer to type
what it is about, since nobody is to break the glass with a reflex, and for authenticating the signer again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from carnet.cli.approvals import must_be_asked
from carnet.cli.dossier_page import print_admission
from carnet.cli.durations import Duration
from carnet.cli.output import console, emit, entry_of, print_rules, printable
from carnet.cli.reauthentication import reauthenticate
from carnet.cli.settings import Command, Group, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import Admission, ApprovalResult
    from carnet.signing.break_glass import Verdict

_DEFAULT = "sign"
_HOUR = 3600.0
_PROMOTION = click.argument("promotion")
_REASON = click.option("--reason", required=True, help="Why, in your words; it is signed and kept.")
_TARGET = click.option(
    "--target", metavar="ENV", help="The environment that decides; else the promotion service is asked."
)
_YES = click.option("--yes", is_flag=True, help="Sign without asking; a key's passphrase is asked for.")


class _SignsByDefault(Group):
    """A group whose first argument may be a promotion: then that is signed for."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.ignore_unknown_options = True

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command for the arguments of signing."""
        if args and args[0] not in self.commands:
            args = [_DEFAULT, *args]
        return super().resolve_command(ctx, args)


@click.group("break-glass", cls=_SignsByDefault, subcommand_metavar="PROMOTION | review PROMOTION")
def break_glass() -> None:
    """Skip rules in an emergency, and review it afterwards.

    `carnet break-glass PROMOTION` is short for `carnet break-glass sign PROMOTION`.

    Example:
      carnet break-glass 0123456789abcdef0123456789abcdef --reason "payments down" --ticket INC-7 --as dave
    """


@break_glass.command(_DEFAULT, cls=Command)
@_PROMOTION
@_REASON
@click.option("--ticket", required=True, help="The incident or change that it belongs to.")
@click.option(
    "--expires",
    type=Duration(),
    default=_HOUR,
    show_default="1h",
    help="How long your signature is to count: 30m, 1h. The target's policy has a limit.",
)
@_TARGET
@_YES
@pass_settings
def sign(
    settings: Settings,
    *,
    promotion: str,
    reason: str,
    ticket: str,
    expires: float,
    target: str | None,
    yes: bool,
) -> None:
    """Sign that an emergency outweighs the rules that stand open for PROMOTION.

    What stands open is shown first, and named in what you sign. The target's policy says which rules can be
    skipped and how many people must sign. Somebody else must review it afterwards.

    Example:
      carnet break-glass sign 0123456789abcdef0123456789abcdef --reason "payments are down" --ticket INC-7
    """
    from carnet.client.approvals import open_dossier  # noqa: PLC0415  loads gRPC: only where it is needed
    from carnet.client.break_glass import open_rules_of  # noqa: PLC0415  as above

    must_be_asked(settings, "break-glass", yes=yes)
    with settings.client() as client:
        shown = client.admission(promotion, target=target)
        if not settings.json:
            page = console()
            print_admission(page, shown)
            page.print(printable(f"you skip: {', '.join(open_rules_of(shown))}"))
        open_dossier(shown, datetime.now(UTC))
        if not yes:
            _typed(shown, f"break the glass as {client.identity.name}")
        with reauthenticate(
            settings, client.identity, shown.promotion, deed="break-glass", yes=yes
        ) as signing:
            result = signing.break_glass(shown, reason, ticket, valid_for=timedelta(seconds=expires))
    emit(settings, {"break_glass": result, "admission": shown}, lambda page: _print_result(page, result))


@break_glass.command("review", cls=Command)
@_PROMOTION
@_REASON
@click.option(
    "--verdict",
    type=click.Choice(["accepted", "rejected"]),
    default="accepted",
    show_default=True,
    help="Whether it should have been.",
)
@_TARGET
@_YES
@pass_settings
def review(
    settings: Settings, *, promotion: str, reason: str, verdict: Verdict, target: str | None, yes: bool
) -> None:
    """Review an admission for which the glass was broken; you had no part in it.

    A review that is overdue stops the next break-glass in that environment.

    Example:
      carnet break-glass review 0123456789abcdef0123456789abcdef --reason "tests added since" --as carol
    """
    must_be_asked(settings, "review", yes=yes)
    with settings.client() as client:
        shown = client.admission(promotion, target=target)
        if not settings.json:
            print_admission(console(), shown)
        if not shown.decision_digest:
            client.review_break_glass(shown, reason, verdict=verdict)  # says why there is nothing to review
        if not yes:
            _typed(shown, f"sign this review ({verdict}) as {client.identity.name}")
        with reauthenticate(settings, client.identity, shown.promotion, deed="review", yes=yes) as signing:
            result = signing.review_break_glass(shown, reason, verdict=verdict)
    emit(settings, {"review": result, "admission": shown}, lambda page: _print_result(page, result))


def _typed(shown: Admission, deed: str) -> None:
    """Insist that the signer types the version that it is about."""
    wanted = f"{shown.reference.model}@{shown.reference.version}"
    if click.prompt(f"To {deed}, type {wanted}", err=True) != wanted:
        raise click.Abort


def _print_result(page: Console, result: ApprovalResult) -> None:
    page.print(
        printable(f"{result.meaning}, and written down by {result.target} (log {entry_of(result.receipt)})")
    )
    if result.meaning == "break-glass":
        print_rules(page, [each for each in result.rules if each.status != "PASSED"])
        page.print(f"next: carnet promotions watch {result.promotion}", soft_wrap=True)
