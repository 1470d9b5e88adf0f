"""Reading a report's JSON back.

Responsible for taking exactly what ``Report.to_json`` writes and for saying which field is wrong: a report
that was kept is judged and drawn years later, by whoever has the file. Believes none of it: whether the rows
are the logs', and who signed them, is not asked here.

Invariants: ``parse_report(report.to_json()) == report``, and ``parse_report(value).to_json() == value`` for
all that is accepted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from carnet.audit.reports.model import REPORT_SCHEMA, CellKind, Column, LogRange, Report, Table
from carnet.errors import InvalidInputError
from carnet.signing.strict_json import MAX_SAFE_INTEGER, parse_json_object
from carnet.signing.times import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from carnet.audit.reports.model import Cell

REPORT_MAX_BYTES: Final = 512 * 1024 * 1024
"""The size of a report's JSON that is read at most."""

_KIND = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", re.ASCII)
_COLUMN_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", re.ASCII)
_REPORT_KEYS = frozenset(
    {"schema", "kind", "title", "query", "generated_at", "generator", "logs", "completeness", "tables"}
)


def parse_report_bytes(data: bytes) -> Report:
    """Read a report from the bytes of its JSON; they need not be canonical.

    Args:
        data: The bytes, UTF-8.

    Returns:
        The report.

    Raises:
        InvalidInputError: They are not one JSON object, or not a report's; ``metadata["field"]`` names the
            field where there is one.
    """
    value = parse_json_object(data, what="the report", max_bytes=REPORT_MAX_BYTES, error=InvalidInputError)
    return parse_report(value)


def parse_report(value: Any) -> Report:
    """Read a report from its parsed JSON.

    Args:
        value: What ``Report.to_json`` gave.

    Returns:
        The report.

    Raises:
        InvalidInputError: It is something else; ``metadata["field"]`` names the field, such as
            ``tables[2].rows[17][3]``.
    """
    document = _object(value, "report", _REPORT_KEYS)
    if document["schema"] != REPORT_SCHEMA:
        raise _wrong("schema", document["schema"], f"{REPORT_SCHEMA!r}, the only one that is known here")
    query = document["query"]
    if not isinstance(query, dict):
        raise _wrong("query", query, "an object of texts")
    tables = _each(document["tables"], "tables", _table)
    _once([table.name for table in tables], "tables", "name")
    logs = _each(document["logs"], "logs", _log)
    _once([log.environment for log in logs], "logs", "environment")
    return Report(
        kind=_name(document["kind"], "kind", _KIND),
        title=_text(document["title"], "title"),
        query={key: _text(each, f"query.{key}") for key, each in query.items()},
        generated_at=_time(document["generated_at"], "generated_at"),
        generator=_text(document["generator"], "generator"),
        logs=logs,
        completeness=_each(document["completeness"], "completeness", _text),
        tables=tables,
    )


def _log(value: Any, field: str) -> LogRange:
    document = _object(value, field, frozenset({"environment", "first", "count", "checkpoint"}))
    return LogRange(
        environment=_text(document["environment"], f"{field}.environment"),
        first=_natural(document["first"], f"{field}.first"),
        count=_natural(document["count"], f"{field}.count"),
        checkpoint=_text(document["checkpoint"], f"{field}.checkpoint"),
    )


def _table(value: Any, field: str) -> Table:
    document = _object(value, field, frozenset({"name", "title", "about", "columns", "rows"}))
    columns = _each(document["columns"], f"{field}.columns", _column)
    _once([column.name for column in columns], f"{field}.columns", "name")

    def row(cells: Any, place: str) -> tuple[Cell, ...]:
        if not isinstance(cells, list) or len(cells) != len(columns):
            raise _wrong(place, cells, f"a list of {len(columns)} cells, one for each column")
        return tuple(
            _cell(cell, f"{place}[{number}]", column.kind)
            for number, (cell, column) in enumerate(zip(cells, columns, strict=True))
        )

    return Table(
        name=_name(document["name"], f"{field}.name", _KIND),
        title=_text(document["title"], f"{field}.title"),
        about=_text(document["about"], f"{field}.about"),
        columns=columns,
        rows=_each(document["rows"], f"{field}.rows", row),
    )


def _column(value: Any, field: str) -> Column:
    document = _object(value, field, frozenset({"name", "title", "kind"}))
    try:
        kind = CellKind(document["kind"])
    except ValueError as error:
        wanted = "one of " + ", ".join(sorted(CellKind))
        raise _wrong(f"{field}.kind", document["kind"], wanted) from error
    return Column(
        name=_name(document["name"], f"{field}.name", _COLUMN_NAME),
        title=_text(document["title"], f"{field}.title"),
        kind=kind,
    )


def _cell(value: Any, field: str, kind: CellKind) -> Cell:
    if value is None:
        return None
    if kind is CellKind.NUMBER:
        return _number(value, field)
    if kind is CellKind.FLAG:
        if not isinstance(value, bool):
            raise _wrong(field, value, "true, false or null")
        return value
    if kind is CellKind.TIME:
        return _time(value, field)
    if kind is CellKind.LIST:
        return _each(value, field, _text)
    return _text(value, field)


def _each(value: Any, field: str, read: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(field, value, "a list")
    return tuple(read(item, f"{field}[{number}]") for number, item in enumerate(value))


def _object(value: Any, field: str, keys: frozenset[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(field, value, "an object")
    missing, unknown = sorted(keys - value.keys()), sorted(value.keys() - keys)
    if missing or unknown:
        raise InvalidInputError(
            f"report: {field}: missing fields {missing}, unknown fields {[key[:40] for key in unknown]}",
            metadata={"field": field},
        )
    return value


def _once(names: list[str], field: str, key: str) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            raise _wrong(f"{field}[{number}].{key}", name, "a name that is not taken by an earlier one")
        seen.add(name)


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise _wrong(field, value, "a text")
    return value


def _name(value: Any, field: str, form: re.Pattern[str]) -> str:
    """Read a name that files are called by, so that none leads anywhere else."""
    if not isinstance(value, str) or not form.fullmatch(value) or len(value) > 64:
        raise _wrong(field, value, "a name of lower-case letters, digits and single separators, at most 64")
    return value


def _natural(value: Any, field: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SAFE_INTEGER:
        raise _wrong(field, value, "a number from 0 on")
    return value


def _number(value: Any, field: str) -> int | float:
    if type(value) not in {int, float}:
        raise _wrong(field, value, "a number or null")
    return value  # type: ignore[no-any-return]


def _time(value: Any, field: str) -> datetime:
    text = _text(value, field)
    try:
        moment = parse_time(text)
        if format_time(moment) == text:
            return moment
    except InvalidInputError as error:
        raise _wrong(field, value, "a time like 2026-03-01T12:30:00Z (RFC 3339, in UTC)") from error
    raise _wrong(field, value, f"the one form of this time, {format_time(moment)}")


def _wrong(field: str, value: Any, wanted: str) -> InvalidInputError:
    return InvalidInputError(
        f"report: {field}: {str(value)[:80]!r} is not {wanted}", metadata={"field": field}
    )
