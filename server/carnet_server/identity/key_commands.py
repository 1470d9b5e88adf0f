"""``carnet identity uses`` and ``authority``: what rests on keys, and who certifies the keys of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.canonical import DIGEST_PATTERN
from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import emit
from carnet.cli.settings import Command, Settings, pass_settings
from carnet_server.identity.authorities import ShownAuthority, renew_authority, show_authority
from carnet_server.identity.households import read_facts
from carnet_server.identity.revoking import SUBJECTS
from carnet_server.identity.uses_page import compromised, print_uses, summary

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command)
@click.argument("who", metavar="KEY_ID|SUBJECT|IDENTITY")
@click.option("--environment", required=True, help="The environment whose registry is asked.")
@click.option("--since-compromise", is_flag=True, help="Only what arrived after the key was compromised.")
@pass_settings
@click.pass_context
def uses(
    context: click.Context, settings: Settings, *, who: str, environment: str, since_compromise: bool
) -> None:
    """List what rests on a key, or on all keys of a subject, and what of it is live.

    Exits with 5 where a live version rests on something that was signed since the key was compromised, which
    `since` in `revoked` of trust.yaml tells. Needs the role auditor or admin in all namespaces.

    Examples:
      carnet identity uses ci --environment prod --as dave
      carnet identity uses ci --environment prod --since-compromise -o json --as dave
    """
    key_id = who if DIGEST_PATTERN.fullmatch(who) else ""
    subject = "" if key_id else _subject_of(settings, who)
    with settings.client() as client:
        found = client.key_uses(environment, key_id=key_id, subject=subject)
    if since_compromise:
        found = tuple(each for each in found if each.since_compromise)
    emit(
        settings,
        {"uses": found, "summary": summary(found)},
        lambda page: print_uses(page, found, environment=environment),
    )
    context.exit(ExitCode.GATE if compromised(found) else ExitCode.DONE)


@click.command(cls=Command)
@click.option("--environment", required=True, help="The environment whose signing authority it is.")
@click.option("--renew", is_flag=True, help="Give it another year; what it certified stays certified.")
@pass_settings
def authority(settings: Settings, *, environment: str, renew: bool) -> None:
    """Print the lines that let a trust.yaml believe certificates of an environment's signing authority.

    The signer in them is an example: put in the issuer and the claims of your jobs.

    Examples:
      carnet identity authority --environment dev
      carnet identity authority --environment dev --renew
    """
    folder = settings.federation().directory
    shown = renew_authority(folder, environment) if renew else show_authority(folder, environment)
    emit(settings, shown, lambda page: _print_authority(page, shown, renewed=renew))


def _print_authority(page: Console, shown: ShownAuthority, *, renewed: bool) -> None:
    if renewed:
        page.print(f"Renewed: replace the certificate wherever {shown.environment}'s authority is named.")
    page.print(
        f"The signing authority of {shown.environment}, valid until {shown.valid_until:%Y-%m-%d %H:%M} UTC."
    )
    page.print("Add to trust.yaml with the claims of your jobs, and raise its version:\n")
    page.print(shown.trust_lines, markup=False, highlight=False, soft_wrap=True)


def _subject_of(settings: Settings, who: str) -> str:
    """Return a subject as it is, and the subject of an identity of the federation by its certificate."""
    if who.startswith(SUBJECTS):
        return who
    return read_facts(settings.federation().identity(who).certificate).subject
