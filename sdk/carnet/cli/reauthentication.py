"""Who sits there: asking for a passphrase, and asking again right before a signature that counts.

Responsible for what is typed at a terminal and for saying so plainly where nobody is asked. A passphrase is
read without an echo and never kept; a key at a KMS or in an HSM is its service's affair.
"""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

import click

from carnet.cli.output import printable
from carnet.errors import InvalidInputError, UnauthenticatedError
from carnet.signing.passphrase import (
    PASSPHRASE_FILE_VARIABLE,
    Passphrase,
    check_new_passphrase,
    passphrase_file_is_named,
    read_passphrase_file,
)

if TYPE_CHECKING:
    from carnet.cli.settings import Settings
    from carnet.client.client import Client
    from carnet.client.federation import Identity
    from carnet.signing.passphrase import AskPassphrase

SHOWN_ID = 8
_PROTECT = "give people keys with a passphrase: carnet identity create NAME --kind person --passphrase …"


def can_ask_secrets() -> bool:
    """Tell whether there is a terminal to type a passphrase at."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_secret(what: str, attempt: int = 1) -> str:
    """Ask for a passphrase or PIN without showing it.

    Args:
        what: What it is of: ``passphrase of identities/bob/signing-key.pem``.
        attempt: The number of the try.

    Raises:
        click.Abort: Whoever sits there does not want to.
    """
    again = "" if attempt == 1 else "that was not it; "
    try:
        return getpass.getpass(printable(f"{again}{what}: "), stream=sys.stderr)
    except (EOFError, KeyboardInterrupt) as error:
        raise click.Abort from error


def asker() -> AskPassphrase | None:
    """Return what asks for a passphrase; None where a file has it, or where there is no terminal."""
    return ask_secret if can_ask_secrets() and not passphrase_file_is_named() else None


def new_passphrase(what: str) -> Passphrase:
    """Ask twice for the passphrase of a new key, or take that of ``CARNET_KEY_PASSPHRASE_FILE``.

    Args:
        what: Whose key it is.

    Raises:
        InvalidInputError: It is too short, or the two differ.
        FileUnreadableError: The file cannot be read.
        UnauthenticatedError: There is neither a file nor a terminal.
    """
    found = read_passphrase_file()
    if found is not None:
        return check_new_passphrase(found)
    if not can_ask_secrets():
        raise UnauthenticatedError(
            f"nobody can be asked for the new passphrase of {what}: name a file that has it with "
            f"{PASSPHRASE_FILE_VARIABLE}"
        )
    first = check_new_passphrase(Passphrase(ask_secret(f"new passphrase of {what}"), typed=True))
    if ask_secret("the same again") != first.text:
        raise InvalidInputError("the two passphrases differ: nothing was made")
    return first


def reauthenticate(settings: Settings, identity: Identity, promotion: str, *, deed: str, yes: bool) -> Client:
    """Make sure who sits there, right before a signature, and return a client that signs once with the key.

    A passphrase is asked for each time. A key without one is said to have none; then the first characters of
    the promotion's id must be typed, or ``yes`` given.

    Args:
        settings: The global options.
        identity: Who is to sign.
        promotion: The promotion's id.
        deed: What is about to be signed, for the question: ``approval``.
        yes: Whether it was said that nobody need be asked.

    Raises:
        click.Abort: The answer was no.
        UnauthenticatedError: The passphrase was not given, or not rightly.
        CarnetError: The key cannot be opened; the class says how.
    """
    use_file = passphrase_file_is_named() and (yes or not settings.interactive)
    key = identity.signing_key(ask_secret if can_ask_secrets() and not use_file else None)
    if key.authentication == "none":
        _nobody_was_asked(identity, promotion, deed=deed, yes=yes, by_file=use_file)
    elif key.authentication == "service" and not yes:
        click.confirm(f"Sign this {deed} as {identity.name}, with {key!r}?", abort=True, err=True)
    return settings.client_as(identity.holding(key))


def _nobody_was_asked(identity: Identity, promotion: str, *, deed: str, yes: bool, by_file: bool) -> None:
    name = printable(str(identity.key_reference))
    if by_file:
        click.echo(f"the passphrase of {name} is out of a file: nobody was asked who they are", err=True)
    else:
        click.echo(f"{name} has no passphrase: nobody was asked who they are; {_PROTECT}", err=True)
    if yes:
        return
    wanted = promotion[:SHOWN_ID]
    typed = click.prompt(
        f"To sign this {deed} as {identity.name}, type the first {SHOWN_ID} characters of the promotion's id",
        err=True,
    )
    if len(typed) < SHOWN_ID or not promotion.startswith(typed):
        click.echo(f"that is not {wanted}: nothing was signed", err=True)
        raise click.Abort
