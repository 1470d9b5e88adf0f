"""The words in which every drawing says the same.

Responsible for the text of a cell, for characters that would change how their neighbours are read, and for
the facts that stand at the head of each drawing. Knows no file format.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Final

from carnet.canonical import canonical_json, sha256_hex
from carnet.signing.times import format_time

if TYPE_CHECKING:
    from carnet.audit.reports.model import Cell, LogRange, Report

LIST_SEPARATOR: Final = " | "
_KEPT: Final = frozenset("\t\n\r")
# Controls, unassigned surrogates, line separators, and the formats that turn text around (UAX #9) or hide it.
_SHOWN_AS_NUMBERS: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
"""Scripts such as Persian and Devanagari are not readable without them."""


def visible(text: str) -> str:
    """Return a text in which what cannot be seen stands as its code point, such as ``[U+202E]``.

    Tabs and line breaks stay. What an entry's writer chose can then neither end a cell early nor change the
    order in which its neighbours are read.
    """
    if text.isprintable():
        return text
    return "".join(_visible_character(each) for each in text)


def cell_text(cell: Cell, *, yes: str = "yes", no: str = "no") -> str:
    """Return a cell's text; of a number, exactly what the JSON has.

    Args:
        cell: The cell; None gives an empty text.
        yes: What true is called.
        no: What false is called.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return yes if cell else no
    if isinstance(cell, int | float):
        return number_text(cell)
    if isinstance(cell, datetime):
        return format_time(cell)
    if isinstance(cell, tuple):
        return LIST_SEPARATOR.join(visible(each) for each in cell)
    return visible(cell)


def number_text(value: float) -> str:
    """Return a number as canonical JSON writes it (RFC 8785, section 3.2.2.3)."""
    return canonical_json(value).decode()


def entries_text(log: LogRange) -> str:
    """Return which entries of a log were read, in words."""
    if not log.count:
        return "no entries"
    if log.count == 1:
        return f"1 entry, {log.first}"
    return f"{log.count} entries, {log.first} to {log.first + log.count - 1}"


def report_digest(report: Report) -> str:
    """Return the SHA-256 of the report's canonical JSON, which a drawing of it states."""
    return sha256_hex(canonical_json(report.to_json()))


def facts(report: Report) -> tuple[tuple[str, str], ...]:
    """Return what stands at the head of a drawing, as names and values."""
    return (
        ("Report", report.kind),
        ("Derived at", format_time(report.generated_at)),
        ("Derived by", report.generator),
        ("SHA-256 of its canonical JSON", report_digest(report)),
    )


AUTHORITY: Final = (
    "This is a drawing. The report itself is its JSON, of which the digest is stated here, and "
    "`carnet audit verify --report` derives its rows again from the logs."
)


def _visible_character(character: str) -> str:
    if character in _KEPT or character in _JOINERS:
        return character
    if unicodedata.category(character) in _SHOWN_AS_NUMBERS:
        return f"[U+{ord(character):04X}]"
    return character
