"""The options that every command has, and what they open.

Responsible for ``--dir``, ``--as``, ``--output`` and ``--verbose``, which are taken before the command and
behind it alike, and for the client that a command works with.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from carnet.client.client import Client
    from carnet.client.federation import Federation, Identity


@dataclass
class Settings:
    """What the options say; one object for the whole command line, at ``context.obj``."""

    directory: str | None = None
    identity: str | None = None
    output: str = "text"
    verbose: bool = False

    @property
    def json(self) -> bool:
        """Whether one JSON object is wanted on stdout."""
        return self.output == "json"

    @property
    def interactive(self) -> bool:
        """Whether somebody can be asked."""
        return not self.json and sys.stdin.isatty() and sys.stderr.isatty()

    def client(self, *, signs: bool = False) -> Client:
        """Return a client of the federation; a context manager.

        Args:
            signs: Whether the command is about to sign: a key with a passphrase is then asked for at once, on
                this thread, where an interrupt is heard.
        """
        identity = self.federation().identity(self.identity)
        if signs and identity.key_reference.exists:
            from carnet.cli.reauthentication import asker  # noqa: PLC0415  only where something is signed

            identity = identity.holding(identity.signing_key(asker()))
        return self.client_as(identity)

    def client_as(self, identity: Identity) -> Client:
        """Return a client of the federation that acts as an identity; a context manager."""
        from carnet.client.async_client import AsyncClient  # noqa: PLC0415  loads gRPC: only where it is needed
        from carnet.client.client import Client  # noqa: PLC0415  as above

        return Client(AsyncClient(self.federation(), identity))

    def federation(self) -> Federation:
        """Return the federation, without dialling anybody."""
        from carnet.client.federation import Federation  # noqa: PLC0415  loads the keys' packages

        return Federation.load(self.directory)


pass_settings = click.make_pass_decorator(Settings, ensure=True)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value not in (None, False) and parameter.name:
        setattr(context.ensure_object(Settings), parameter.name.removeprefix("global_"), value)


def global_options(*, hidden: bool) -> list[click.Option]:
    """Return fresh copies of the options.

    Args:
        hidden: Whether help is to leave them out, as it does behind a command.
    """
    shared: dict[str, Any] = {"expose_value": False, "callback": _remember, "hidden": hidden}
    return [
        click.Option(
            ["--dir", "global_directory"],
            metavar="DIR",
            help="The federation's folder; else CARNET_DIR, else .carnet.",
            **shared,
        ),
        click.Option(
            ["--as", "global_identity"],
            metavar="IDENTITY",
            help="Who to act as; else CARNET_IDENTITY, else the federation's choice.",
            **shared,
        ),
        click.Option(
            ["-o", "--output", "global_output"],
            type=click.Choice(["text", "json"]),
            help="text for people (the default); json for one object on stdout.",
            **shared,
        ),
        click.Option(
            ["--verbose", "global_verbose"],
            is_flag=True,
            help="Show a traceback where something fails.",
            **shared,
        ),
    ]


def _examples_kept(text: str | None) -> str | None:
    r"""Mark the paragraphs of examples so that click leaves their lines alone (its ``\b``)."""
    return None if text is None else re.sub(r"\n\n(?=Examples?:\n)", "\n\n\b\n", inspect.cleandoc(text))


class Command(click.Command):
    """A command that takes the global options behind its name too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _examples_kept(self.help)
        self.params.extend(global_options(hidden=True))


class Group(click.Group):
    """A group of such commands."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _examples_kept(self.help)
        self.params.extend(global_options(hidden=True))
