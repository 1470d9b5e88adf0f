"""What commands print.

Responsible for the two forms of every answer, a page for people and one JSON object, and for keeping text
that came from elsewhere from acting on a terminal. stdout has the answer; stderr has everything else.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

import click

from carnet.canonical import DIGEST_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from rich.console import Console
    from rich.text import Text

    from carnet.cli.settings import Settings
    from carnet.client.results import RuleResult, VerifiedReceipt
    from carnet.translog.finality import Finality

_WIDTH_OF_FILES = 200
_SHOWN_DIGEST = 12
# Bytes that a script gets with `carnet pull` or `carnet audit export`, and not inside a JSON object.
_BULKY = frozenset({"envelope", "signature"})
_STYLES = {
    "PASSED": "green",
    "SUCCEEDED": "green",
    "FAILED": "bold red",
    "REJECTED": "bold red",
    "AWAITING": "yellow",
    "WARNED": "yellow",
    "CANCELLED": "yellow",
    "revoked": "bold red",
    "improved": "green",
    "regressed": "bold red",
    "succeeded": "green",
    "rolled_back": "bold red",
    "stopped": "yellow",
    "holding": "green",
    "breached": "bold red",
    "collecting": "yellow",
}


def console(stream: TextIO | None = None) -> Console:
    """Return a console that prints text as it is; lines are not broken where nobody looks at a terminal."""
    from rich.console import Console  # noqa: PLC0415  a quick `--help` needs none of it

    file = stream or sys.stdout
    return Console(
        file=file,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if file.isatty() else _WIDTH_OF_FILES,
    )


def emit(settings: Settings, answer: Any, show: Callable[[Console], None]) -> None:
    """Print an answer in the form that is wanted.

    Args:
        settings: The global options.
        answer: The value, for JSON; a mapping or a value of ``carnet.client.results``.
        show: Prints the page for people.
    """
    if settings.json:
        from carnet.cli.json_form import as_json  # noqa: PLC0415  loads the packages of what it knows

        click.echo(json.dumps(as_json(answer, leave_out=_BULKY), ensure_ascii=False, sort_keys=True))
    else:
        show(console())


def say(settings: Settings, text: str) -> None:
    """Print a line for people: on stdout, or on stderr where stdout has the JSON object."""
    click.echo(printable(text), err=settings.json)


def printable(value: object) -> str:
    """Return text without what a terminal would obey."""
    return "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in str(value)
    )


def cell(value: object, style: str = "") -> Text:
    """Return text for a table; a word that is an outcome gets its colour."""
    from rich.text import Text  # noqa: PLC0415  see above

    text = printable(value)
    return Text(text, style=style or _STYLES.get(text, ""))


def print_table(page: Console, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table.

    Args:
        page: Where to.
        columns: The titles; one that ends in ``#``, or is about an amount, is set to the right.
        rows: A value for each column.
    """
    from rich import box  # noqa: PLC0415  see above
    from rich.table import Table  # noqa: PLC0415  see above

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.endswith(("#", "size", "entries"))
        table.add_column(column.removesuffix("#"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(each) for each in row))
    page.print(table)


def print_fields(page: Console, fields: Iterable[tuple[str, object]]) -> None:
    """Print names and values, one a line, without those that are empty."""
    from rich.table import Table  # noqa: PLC0415  see above

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        if value not in ("", None):
            table.add_row(name, cell(value))
    page.print(table)


def print_rules(page: Console, rules: Iterable[RuleResult]) -> None:
    """Print every rule's result, with the values that it saw (digests shortened) and what to do."""
    titles = ("rule", "result", "what was found", "values", "opens at", "what to do")
    rows = [
        (each.rule, each.status, each.message, _values(each), when(each.opens_at), each.remedy)
        for each in rules
    ]
    used = [index for index in range(len(titles)) if any(row[index] for row in rows)]
    print_table(page, [titles[index] for index in used], ([row[index] for index in used] for row in rows))


def _values(rule: RuleResult) -> str:
    return "\n".join(
        f"{name}={short(value) if DIGEST_PATTERN.fullmatch(value) else value}"
        for name, value in sorted(rule.values.items())
    )


def short(digest: str) -> str:
    """Return the beginning of a digest, enough to tell it from others."""
    return digest[:_SHOWN_DIGEST]


def entry_of(receipt: VerifiedReceipt) -> str:
    """Return which entry of a log a receipt proves, and whether it is final: ``entry 7, verified, final``."""
    return ", ".join((f"entry {receipt.receipt.index}", "verified", *filter(None, [firm(receipt.finality)])))


def firm(finality: Finality | None) -> str:
    """Return whether something is final; empty where no quorum of witnesses is asked, or nobody told."""
    return "" if finality in {None, "unspecified"} else str(finality)


def when(moment: datetime | None) -> str:
    """Return a moment to the second, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else ""


def size(count: int) -> str:
    """Return a number of bytes in a unit that fits."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def number(value: float) -> str:
    """Return a figure with as many digits as tell something."""
    return f"{value:.6g}"
