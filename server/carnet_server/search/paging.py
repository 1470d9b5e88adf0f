"""The order of what is found, and where a page goes on.

Responsible for one total order on every database: by the keys that were asked for, those without a value last
whichever way, and at the end by the log index of the arrival, the newest first. A page goes on behind the
values of the last row of the one before.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import and_, false, func, or_

from carnet.errors import CarnetError, InvalidInputError
from carnet.filtering.fields import FIELDS, Kind
from carnet.filtering.ordering import OrderKey
from carnet.serving.paging import decode_page_token, encode_page_token
from carnet.signing.times import format_time, parse_time
from carnet_server.models.queries import VERSIONS
from carnet_server.search.conditions import COLUMNS
from carnet_server.search.index import TERMS
from carnet_server.search.terms import term_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, FromClause

SortValue: TypeAlias = str | float | datetime | None

_TIE = OrderKey(FIELDS["log_index"], "", descending=True)
_MAY_BE_EMPTY = frozenset({"source", "promotion", "owner", "description"})
_INTEGER_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class SortColumn:
    """One part of the order.

    Attributes:
        value: The value; NULL where there is none.
        descending: Whether the largest comes first.
        nullable: Whether it may be NULL.
        types: What a value is in Python.
    """

    value: ColumnElement[Any]
    descending: bool
    nullable: bool
    types: tuple[type, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """The whole order.

    Attributes:
        source: The table, with what the order needs joined to it.
        columns: The parts; the last one differs for every version.
    """

    source: FromClause
    columns: tuple[SortColumn, ...]

    @classmethod
    def of(cls, keys: Sequence[OrderKey]) -> Order:
        """Return the order by some keys."""
        source: FromClause = VERSIONS
        columns: list[SortColumn] = []
        for number, key in enumerate(keys):
            name = key.field.name
            if name == "age":
                columns.append(
                    SortColumn(VERSIONS.c.created_at, not key.descending, nullable=False, types=(datetime,))
                )
            elif name in COLUMNS:
                columns.append(_column(key))
            else:
                terms = TERMS.alias(f"sorted_by_{number}")
                source = source.outerjoin(
                    terms,
                    and_(
                        *(terms.c[each] == VERSIONS.c[each] for each in ("namespace", "model", "version")),
                        terms.c.term == term_name(name, key.key),
                        terms.c.ordinal == 0,
                    ),
                )
                is_text = key.field.kind is Kind.TEXT
                columns.append(
                    SortColumn(
                        terms.c.text if is_text else terms.c.number,
                        key.descending,
                        nullable=True,
                        types=(str,) if is_text else (float, int),
                    )
                )
        return cls(source, (*columns, _column(_TIE)))

    def clauses(self) -> list[ColumnElement[Any]]:
        """Return what rows are ordered by."""
        clauses: list[ColumnElement[Any]] = []
        for column in self.columns:
            if column.nullable:
                clauses.append(column.value.is_(None))
            clauses.append(column.value.desc() if column.descending else column.value.asc())
        return clauses

    def behind(self, position: Sequence[SortValue]) -> ColumnElement[bool]:
        """Return the condition of the rows behind a position.

        Args:
            position: The values of a row, for each column.
        """
        ways = []
        equal: list[ColumnElement[bool]] = []
        for column, value in zip(self.columns, position, strict=True):
            ways.append(and_(*equal, _later(column, value)))
            equal.append(column.value.is_(None) if value is None else column.value == value)
        first, value = self.columns[0], position[0]
        # Says nothing new, but is a range that an index can begin at.
        bound = [] if value is None or first.nullable else [or_(_later(first, value), first.value == value)]
        return and_(*bound, or_(*ways))


def _column(key: OrderKey) -> SortColumn:
    name = key.field.name
    nullable = name in _MAY_BE_EMPTY
    kind = key.field.kind
    types = {Kind.NUMBER: (int,), Kind.TIME: (datetime,)}.get(kind, (str,))
    value = func.nullif(COLUMNS[name], "") if nullable else COLUMNS[name]
    return SortColumn(value, key.descending, nullable, types)


def _later(column: SortColumn, value: SortValue) -> ColumnElement[bool]:
    if value is None:
        return false()
    beyond = column.value < value if column.descending else column.value > value
    return or_(beyond, column.value.is_(None)) if column.nullable else beyond


def encode_position(query: str, position: Sequence[SortValue]) -> str:
    """Return the token of the page behind a position.

    Args:
        query: A text that names the query, page size aside.
        position: The values of the page's last row.
    """
    plain = [format_time(each) if isinstance(each, datetime) else each for each in position]
    return encode_page_token(query, (json.dumps(plain),))


def decode_position(token: str, query: str, order: Order) -> list[SortValue] | None:
    """Return the position that a token stands for; None for the first page.

    Args:
        token: The token as received; empty for the first page.
        query: The text that it was encoded with.
        order: The order of the query.

    Raises:
        InvalidInputError: The token is not one of ours, or is another query's.
    """
    held = decode_page_token(token, query, str)
    if held is None:
        return None
    try:
        values = json.loads(held[0])
        return [_value(column, each) for column, each in zip(order.columns, values, strict=True)]
    except (ValueError, TypeError, RecursionError, CarnetError) as error:
        raise InvalidInputError(
            "page_token: not a token of this query; start again without one", metadata={"field": "page_token"}
        ) from error


def _value(column: SortColumn, value: Any) -> SortValue:
    if value is None and column.nullable:
        return None
    if column.types == (datetime,):
        return parse_time(value)
    fits = type(value) in column.types and (
        isinstance(value, str) or (math.isfinite(value) and abs(value) < _INTEGER_LIMIT)
    )
    if not fits:
        raise TypeError(f"{value!r} is no value of the column")
    found: SortValue = value
    return found
