"""A checked filter as a condition of SQL.

Responsible for where each field is kept. Every comparison is true or false and never NULL, so that a filter's
``NOT`` and SQL's mean the same; every value is a bound parameter. What is in an index table is found by a
subquery that the database can begin with.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Double,
    String,
    and_,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlmodel import SQLModel

from carnet.filtering.conditions import Comparator, Comparison, Mention, Pattern
from carnet.filtering.fields import Kind, Shape
from carnet.filtering.syntax import And, Not, Or
from carnet.stages import Stage
from carnet_server.aliases.tables import AliasRow
from carnet_server.evidence.queries import EVIDENCE
from carnet_server.models.queries import FILES, VERSIONS
from carnet_server.search.index import TERMS
from carnet_server.search.terms import HEAD_LENGTH, term_name, time_number
from carnet_server.search.texts import COMPARE, begins_with, compare_text, contains_text

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause, Select

    from carnet.filtering.conditions import Conditions

ALIASES = SQLModel.metadata.tables[str(AliasRow.__tablename__)]

COLUMNS: dict[str, ColumnElement[Any]] = {
    **{
        name: VERSIONS.c[name]
        for name in (
            *("namespace", "model", "home", "bundle_digest", "publisher", "source", "promotion", "owner"),
            *("description", "version", "size_bytes", "file_count", "log_index"),
        )
    },
    "semantic_version": func.coalesce(VERSIONS.c.semantic_version, ""),
    "stage": type_coerce(VERSIONS.c.stage, String),
    "create_time": VERSIONS.c.created_at,
}
"""The fields that are columns of a version."""

_MENTIONED = tuple(COLUMNS[name] for name in ("namespace", "model", "owner", "description"))
_ELSEWHERE: dict[str, ColumnElement[Any]] = {
    "aliases": ALIASES.c.alias,
    "files.path": FILES.c.path,
    "files.digest": FILES.c.digest,
}
_EVIDENCE: dict[str, ColumnElement[Any]] = {
    "evidence.predicate_type": EVIDENCE.c.predicate_type,
    "evidence.suite": EVIDENCE.c.suite,
    "evidence.signer": EVIDENCE.c.signer,
    "evidence.result": EVIDENCE.c.result,
    "results": EVIDENCE.c.result,
}
_MIRRORED = {
    Comparator.LESS: Comparator.GREATER,
    Comparator.AT_MOST: Comparator.AT_LEAST,
    Comparator.GREATER: Comparator.LESS,
    Comparator.AT_LEAST: Comparator.AT_MOST,
}


def compile_conditions(conditions: Conditions, *, dialect: str, now: datetime) -> ColumnElement[bool]:
    """Return the condition of SQL that a filter is of the rows of ``versions``.

    Args:
        conditions: The filter, checked.
        dialect: The database: ``sqlite`` or ``postgresql``.
        now: What ages are counted to.
    """
    if isinstance(conditions, And):
        return and_(*(compile_conditions(each, dialect=dialect, now=now) for each in conditions.operands))
    if isinstance(conditions, Or):
        return or_(*(compile_conditions(each, dialect=dialect, now=now) for each in conditions.operands))
    if isinstance(conditions, Not):
        return not_(compile_conditions(conditions.operand, dialect=dialect, now=now))
    if isinstance(conditions, Mention):
        found = (contains_text(column, conditions.pattern, dialect=dialect) for column in _MENTIONED)
        return or_(*found)
    return _compare(conditions, dialect, now)


def _compare(asked: Comparison, dialect: str, now: datetime) -> ColumnElement[bool]:
    name = asked.field.name
    if name in COLUMNS:
        return _compare_column(asked, COLUMNS[name], dialect)
    if name == "revoked":
        is_revoked = COLUMNS["stage"] == str(Stage.REVOKED)
        return true() if asked.value is None else is_revoked if _agrees(asked) else not_(is_revoked)
    if name == "age":
        assert isinstance(asked.value, timedelta)
        compared: ColumnElement[bool] = COMPARE[_MIRRORED[asked.comparator]](
            VERSIONS.c.created_at, now - asked.value
        )
        return compared
    if name in _ELSEWHERE:
        column = _ELSEWHERE[name]
        return _is_among(column.table, _compare_value(asked, column, dialect))
    if name in _EVIDENCE:
        return _has_evidence(asked, _EVIDENCE[name], dialect)
    return _has_term(asked, dialect)


def _agrees(asked: Comparison) -> bool:
    return (asked.comparator is not Comparator.UNEQUAL) is asked.value


def _compare_column(asked: Comparison, column: ColumnElement[Any], dialect: str) -> ColumnElement[bool]:
    is_there = column != "" if asked.field.kind is Kind.TEXT else true()
    if asked.value is None:
        return is_there
    if isinstance(asked.value, Pattern) and asked.field.kind is Kind.TEXT:
        if asked.comparator is Comparator.HAS:
            return contains_text(column, asked.value, dialect=dialect)
        return and_(is_there, compare_text(column, asked.comparator, asked.value, dialect=dialect))
    if isinstance(asked.value, float):
        return _compare_integer(asked.comparator, column, asked.value)
    return _compare_value(asked, column, dialect)


def _compare_integer(comparator: Comparator, column: ColumnElement[Any], value: float) -> ColumnElement[bool]:
    """Compare a column of integers; a parameter of the column's own type would be rounded, or not fit."""
    whole = value.is_integer() and abs(value) < 2**53
    compared: ColumnElement[bool] = COMPARE[comparator](
        column, literal(int(value), BigInteger) if whole else literal(value, Double)
    )
    return compared


def _compare_value(asked: Comparison, column: ColumnElement[Any], dialect: str) -> ColumnElement[bool]:
    if asked.value is None:
        return true()
    if isinstance(asked.value, Pattern):
        return compare_text(column, asked.comparator, asked.value, dialect=dialect)
    compared: ColumnElement[bool] = COMPARE[asked.comparator](column, asked.value)
    return compared


def _is_among(table: FromClause, *wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether a version is one of those that rows of another table are of."""
    names = ("namespace", "model", "version")
    found: Select[Any] = select(*(table.c[name] for name in names)).where(*wanted)
    return tuple_(*(VERSIONS.c[name] for name in names)).in_(found)


def _has_evidence(asked: Comparison, column: ColumnElement[Any], dialect: str) -> ColumnElement[bool]:
    wanted = [
        EVIDENCE.c.namespace == VERSIONS.c.namespace,
        EVIDENCE.c.bundle_digest == VERSIONS.c.bundle_digest,
        column != "",
        _compare_value(asked, column, dialect),
    ]
    if asked.key:
        wanted.append(EVIDENCE.c.suite == asked.key)
    return exists().where(*wanted)


def _has_term(asked: Comparison, dialect: str) -> ColumnElement[bool]:
    field = asked.field
    if field.shape is Shape.MAP and not asked.key:
        return _is_among(TERMS, begins_with(TERMS.c.term, f"{field.name}."))
    return _is_among(TERMS, TERMS.c.term == term_name(field.name, asked.key), *_compare_term(asked, dialect))


def _compare_term(asked: Comparison, dialect: str) -> list[ColumnElement[bool]]:
    value = asked.value
    if value is None:
        return []
    if not isinstance(value, Pattern):
        figure = time_number(value) if isinstance(value, datetime) else value
        return [TERMS.c.number.is_not(None), COMPARE[asked.comparator](TERMS.c.number, figure)]
    has_text = TERMS.c.text.is_not(None)
    if asked.comparator is Comparator.HAS and asked.field.shape is Shape.ONE:
        return [has_text, contains_text(TERMS.c.text, value, dialect=dialect)]
    compared = [has_text, compare_text(TERMS.c.text, asked.comparator, value, dialect=dialect)]
    if asked.comparator in {Comparator.EQUAL, Comparator.HAS} and value.pieces[0]:
        beginning = value.pieces[0][:HEAD_LENGTH]
        compared.append(
            begins_with(TERMS.c.head, beginning) if value.exact is None else TERMS.c.head == beginning
        )
    return compared
