"""In which order found versions come: ``metrics.roc_auc desc, create_time``.

Reference: AIP-132, ``order_by``.
"""

from __future__ import annotations

from dataclasses import dataclass

from carnet.filtering.check import find_field
from carnet.filtering.fields import FIELDS, Field, Shape
from carnet.filtering.lexer import TokenKind
from carnet.filtering.parser import Reader
from carnet.filtering.problems import problem

MAX_KEYS = 8

_WHAT = "order_by"


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One field to order by.

    Versions without a value come last, whichever way.

    Attributes:
        field: The field.
        key: For a map, the key.
        descending: Whether the largest comes first.
    """

    field: Field
    key: str
    descending: bool


NEWEST_FIRST = (OrderKey(FIELDS["create_time"], "", descending=True),)


def read_order(text: str) -> tuple[OrderKey, ...]:
    """Read an order and check it.

    Args:
        text: Fields with commas between, each with ``desc`` behind it or not.

    Returns:
        The fields; ``NEWEST_FIRST`` for an empty text.

    Raises:
        InvalidInputError: It is no order, or one by fields that there are not, or that have several values;
            the message says where.
    """
    reader = Reader(text, what=_WHAT)
    if reader.token.ends:
        return NEWEST_FIRST
    keys: list[OrderKey] = []
    while True:
        keys.append(_key(reader, text, keys))
        if reader.token.ends:
            return tuple(keys)
        if not reader.token.says(","):
            raise reader.unexpected("asc, desc, a comma or the end is wanted here")
        reader.advance()


def _key(reader: Reader, text: str, before: list[OrderKey]) -> OrderKey:
    begin = reader.token.offset
    if reader.token.kind not in {TokenKind.WORD, TokenKind.QUOTED}:
        raise reader.unexpected("a field such as create_time is wanted here")
    field, key = find_field(text, reader.member(), what=_WHAT)
    if not field.sortable or (field.shape is Shape.MAP and not key):
        sortable = ", ".join(
            f"{name}.KEY" if each.shape is Shape.MAP else name
            for name, each in sorted(FIELDS.items())
            if each.sortable
        )
        raise problem(text, begin, f"{field.name} gives no order; these do: {sortable}", what=_WHAT)
    if any((each.field, each.key) == (field, key) for each in before):
        raise problem(text, begin, "this field stands twice", what=_WHAT)
    if len(before) == MAX_KEYS:
        raise problem(text, begin, f"more than {MAX_KEYS} fields", what=_WHAT)
    descending = reader.token.says("desc")
    if descending or reader.token.says("asc"):
        reader.advance()
    return OrderKey(field, key, descending)
