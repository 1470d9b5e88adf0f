"""Columns of reports, by their names; a heading is the name in words unless another is given."""

from __future__ import annotations

from carnet.audit.reports.model import CellKind, Column


def text(name: str, title: str = "") -> Column:
    """Return a column of text."""
    return _column(name, title, CellKind.TEXT)


def number(name: str, title: str = "") -> Column:
    """Return a column of numbers."""
    return _column(name, title, CellKind.NUMBER)


def moment(name: str, title: str = "") -> Column:
    """Return a column of times."""
    return _column(name, title, CellKind.TIME)


def digest(name: str, title: str = "") -> Column:
    """Return a column of SHA-256 digests."""
    return _column(name, title, CellKind.DIGEST)


def flag(name: str, title: str = "") -> Column:
    """Return a column of yes and no."""
    return _column(name, title, CellKind.FLAG)


def texts(name: str, title: str = "") -> Column:
    """Return a column of lists of text."""
    return _column(name, title, CellKind.LIST)


def _column(name: str, title: str, kind: CellKind) -> Column:
    return Column(name, title or name.replace("_", " ").capitalize(), kind)


ENTRY = (text("environment"), number("entry"), moment("time"))
"""Where a row comes from: the log, the index of the entry, and when it was written."""
