"""What is wrong with a filter, and where.

Responsible for the one form of such an error: line, column and offset, and the line itself with a caret below
the place. Does not know the grammar.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN_BEFORE = 60
_SHOWN_AFTER = 40


def problem(text: str, offset: int, message: str, *, what: str = "filter") -> InvalidInputError:
    """Return the error of a filter that is wrong at a place.

    Args:
        text: The filter.
        offset: Where, in characters; at the filter's length for its end.
        message: What is wrong, and what to do.
        what: The request's field that the text is.

    Returns:
        The error; its metadata has ``field``, ``line``, ``column`` (both from 1) and ``offset`` (from 0).
    """
    begin = text.rfind("\n", 0, offset) + 1
    line, column = text.count("\n", 0, begin) + 1, offset - begin + 1
    end = text.find("\n", begin)
    shown_from = max(begin, offset - _SHOWN_BEFORE)
    shown = text[shown_from : min(len(text) if end < 0 else end, offset + _SHOWN_AFTER)]
    shown = "".join(each if each.isprintable() else " " for each in shown)
    caret = " " * (offset - shown_from) + "^"
    return InvalidInputError(
        f"{what}:{line}:{column}: {message}\n  {shown}\n  {caret}",
        metadata={"field": what, "line": str(line), "column": str(column), "offset": str(offset)},
    )


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'labels'?)`` where a known name is close to the word; nothing where none is."""
    close = difflib.get_close_matches(word[:80], list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
