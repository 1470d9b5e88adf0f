"""Writing the files of a federation: never over one that is there, and secrets for their owner only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import yaml

from carnet.errors import AlreadyExistsError, FileUnreadableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_new_file(path: Path, data: bytes, *, secret: bool = False) -> None:
    """Write a file that must not be there yet, with its folders.

    Args:
        path: The file.
        data: Its bytes.
        secret: Whether only its owner may read it.

    Raises:
        AlreadyExistsError: It is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    except FileExistsError as error:
        raise AlreadyExistsError(f"{path} exists already: it is kept as it is") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def write_yaml(path: Path, value: dict[str, Any], *, comment: str) -> None:
    """Write a new YAML document with a comment above it.

    Args:
        path: The file.
        value: The document.
        comment: What it is, for whoever opens it.

    Raises:
        AlreadyExistsError: The file is there.
    """
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    heading = "".join(f"# {line}\n" for line in comment.splitlines())
    write_new_file(path, (heading + text).encode())


def write_variables(path: Path, variables: Mapping[str, str]) -> None:
    """Write a new file of environment variables, for its owner only.

    Args:
        path: The file.
        variables: Their values, of one line each.

    Raises:
        AlreadyExistsError: The file is there.
    """
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    write_new_file(path, lines.encode(), secret=True)


def read_variables(path: Path) -> dict[str, str]:
    """Read a file of environment variables: a ``NAME=VALUE`` on each line.

    Args:
        path: The file; one that is not there has none.

    Raises:
        FileUnreadableError: It cannot be read.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FileUnreadableError(f"{path} cannot be read: {error}") from error
    return {
        name.strip(): value
        for name, equals, value in (line.partition("=") for line in lines)
        if equals and not name.startswith("#")
    }
