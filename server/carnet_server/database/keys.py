"""Reading rows by their keys, where a key is of several columns.

For ``(a, b) IN (VALUES …)`` SQLite reads the whole table; for ``a = ? AND b = ? OR …`` it looks up each.
Such a condition must not be a thousand terms deep there, so that many keys are looked up in portions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, or_

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement

KEYS_AT_ONCE = 200


def has_key(columns: Sequence[ColumnElement[Any]], count: int) -> ColumnElement[bool]:
    """Return the condition that a row has one of so many keys.

    Args:
        columns: The columns of the key.
        count: How many keys; ``parameters_of`` makes the parameters for as many.
    """
    return or_(
        *(
            and_(*(column == bindparam(_name(number, place)) for place, column in enumerate(columns)))
            for number in range(count)
        )
    )


def parameters_of(keys: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return the parameters of ``has_key`` for just these keys."""
    return {_name(number, place): value for number, key in enumerate(keys) for place, value in enumerate(key)}


def in_portions(keys: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    """Yield keys ``KEYS_AT_ONCE`` at a time."""
    for first in range(0, len(keys), KEYS_AT_ONCE):
        yield keys[first : first + KEYS_AT_ONCE]


def _name(number: int, place: int) -> str:
    return f"key_{number}_{place}"
