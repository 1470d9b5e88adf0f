"""The page about the command line names the commands that there are, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from carnet.cli.application import SECTIONS, build

DEFAULTS = {"break-glass": "sign"}
PAGE = Path(__file__).parents[4] / "docs" / "cli.md"


def documented() -> list[tuple[str, ...]]:
    """The commands that the page's table names, each with what it is below."""
    table = PAGE.read_text().partition("## Commands")[2].partition("\n## ")[0]
    cells = [row.split(" | ")[0] for row in re.findall(r"^\| (`.*) \|$", table, re.MULTILINE)]
    spans = [span for cell in cells for span in re.findall(r"`([^`]*)`", cell)]
    return [path for span in spans for path in paths_of(span.replace("\\|", "|").split())]


def paths_of(words: list[str]) -> list[tuple[str, ...]]:
    """Read ``alias set | ls`` and ``approve | reject PROMOTION``: names stand first, or behind a bar."""
    first, *rest = words
    if first.startswith(("[", "-")):
        return []
    below = isinstance(command_of((first,)), click.Group)
    named = [word for before, word in zip(words, rest, strict=False) if before == "|" or word is rest[0]]
    names = [word for word in named if re.fullmatch(r"[a-z][a-z-]*", word)]
    if below:
        return [(first, name) for name in names] or [(first,)]
    return [(first,), *((name,) for name in names)]


def command_of(path: tuple[str, ...]) -> click.Command | None:
    command: click.Command | None = build()
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    return command


def test_what_the_page_names_exists():
    paths = documented()
    assert len(paths) > 50
    assert [path for path in paths if command_of(path) is None] == []


@pytest.mark.parametrize("name", [name for section in SECTIONS.values() for name in section])
def test_what_exists_is_named_by_the_page(name):
    command = command_of((name,))
    wanted = {(name,)}
    if isinstance(command, click.Group):
        # What the group does where nothing below it is named goes by the group's own name.
        wanted = {(name,) if each == DEFAULTS.get(name) else (name, each) for each in command.commands}
    assert wanted <= set(documented())
