"""Comparing a column with a text or a pattern, alike on every database.

SQLite's LIKE does not tell small letters from capital ones, and PostgreSQL has no GLOB; so a pattern
is one or the other. Case counts, and order is by bytes.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from sqlalchemy import not_

from carnet.filtering.conditions import Comparator, Pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement

COMPARE: dict[Comparator, Callable[[Any, Any], Any]] = {
    Comparator.EQUAL: operator.eq,
    Comparator.UNEQUAL: operator.ne,
    Comparator.LESS: operator.lt,
    Comparator.AT_MOST: operator.le,
    Comparator.GREATER: operator.gt,
    Comparator.AT_LEAST: operator.ge,
    Comparator.HAS: operator.eq,
}
_GLOB = str.maketrans({"*": "[*]", "?": "[?]", "[": "[[]"})
_LIKE = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})
_LAST_CHARACTER = "\U0010ffff"


def compare_text(
    column: ColumnElement[Any], comparator: Comparator, pattern: Pattern, *, dialect: str
) -> ColumnElement[bool]:
    """Return the comparison of a column that is not NULL with a text or a pattern.

    Args:
        column: The column.
        comparator: How; ``:`` as ``=``.
        pattern: With what.
        dialect: The database: ``sqlite`` or ``postgresql``.
    """
    exact = pattern.exact
    if exact is not None:
        compared: ColumnElement[bool] = COMPARE[comparator](column, exact)
        return compared
    if dialect == "sqlite":
        found = column.op("GLOB", is_comparison=True)(
            "*".join(each.translate(_GLOB) for each in pattern.pieces)
        )
    else:
        found = column.like("%".join(each.translate(_LIKE) for each in pattern.pieces), escape="\\")
    return not_(found) if comparator is Comparator.UNEQUAL else found


def contains_text(column: ColumnElement[Any], pattern: Pattern, *, dialect: str) -> ColumnElement[bool]:
    """Return whether a column that is not NULL contains a text or something of a pattern."""
    around = Pattern(("", *pattern.pieces, ""))
    return compare_text(column, Comparator.EQUAL, around, dialect=dialect)


def begins_with(column: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
    """Return a range of a column, which an index finds, that has all texts with a beginning."""
    return column.between(beginning, beginning + _LAST_CHARACTER)
