"""Commands, and checks of the audit, that other packages of the distribution contribute.

Responsible for listing them without importing anything heavy, and for saying which extra brings one whose
package is not installed. They come through the entry-point groups ``carnet.commands`` and
``carnet.audit_checks``.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click

from carnet.errors import InvalidInputError

GROUP = "carnet.commands"
CHECKS_GROUP = "carnet.audit_checks"

# What help shows, and the extra that brings each: known here so that listing imports none of them.
KNOWN: dict[str, tuple[str, str]] = {
    "init": ("Make a federation: authority, keys, identities, policies.", "server"),
    "up": ("Start its registries and the promotion service.", "server,sync"),
    "down": ("Stop them.", "server,sync"),
    "status": ("Tell how they fare, and how much of each log is final.", "server,sync"),
    "demo": ("Carry a real model from dev to prod, on this machine.", "demo"),
    "identity": ("Make, list and revoke identities.", "server"),
    "migrate": ("Move metadata, log and blobs to other storage.", "server"),
    "policy": ("Check, test and explain policies.", "policies"),
    "replay": ("Replay the policies of an audit's export.", "server"),
}


# The checks of the audit, with the extra that brings each.
_CHECKS = {"tables": "server"}


def load_audit_check(name: str) -> Any:
    """Load a check that the audit makes beside those of the offline verifier.

    Args:
        name: One of those that are known.

    Returns:
        The function that makes it.

    Raises:
        InvalidInputError: It needs a package that is not installed; the message says what to install.
    """
    install = f"pip install 'carnet[{_CHECKS[name]}]'"
    point = next(iter(entry_points(group=CHECKS_GROUP, name=name)), None)
    if point is None:
        raise InvalidInputError(f"the audit's check of {name} is not installed: {install}")
    try:
        return point.load()
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"the audit's check of {name} needs the package {error.name!r}, not installed: {install}",
            metadata={"package": error.name or ""},
        ) from error


def contributed_entry_points() -> dict[str, EntryPoint]:
    """Return the entry points of installed commands, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def contributed_help() -> dict[str, str]:
    """Return one line of help for each contributed command, known or installed, by name."""
    texts = {name: text for name, (text, _) in KNOWN.items()}
    for name, point in contributed_entry_points().items():
        texts.setdefault(name, f"Contributed by {point.value.partition('.')[0]}.")
    return texts


def load_contributed(name: str) -> click.Command | None:
    """Load a contributed command.

    Args:
        name: Its name.

    Returns:
        The command; None where nothing of that name is known or installed.

    Raises:
        InvalidInputError: It needs a package that is not installed; the message says what to install.
    """
    point = contributed_entry_points().get(name)
    if point is None and name not in KNOWN:
        return None
    _, extra = KNOWN.get(name, ("", ""))
    install = f"pip install 'carnet[{extra}]'" if extra else "install the package that brings it"
    if point is None:
        raise InvalidInputError(f"`carnet {name}` is not installed: {install}")
    try:
        command = point.load()
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"`carnet {name}` needs the package {error.name!r}, which is not installed: {install}",
            metadata={"package": error.name or ""},
        ) from error
    if not isinstance(command, click.Command):
        raise InvalidInputError(f"`carnet {name}` ({point.value}) is not a command")
    return command
