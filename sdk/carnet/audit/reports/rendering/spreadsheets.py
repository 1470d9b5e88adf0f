"""A report as CSV files (RFC 4180), for spreadsheets.

Responsible for one file a table and one that states what they were derived from. The files begin with a
byte-order mark, because spreadsheets take them for another encoding without it; read them as ``utf-8-sig``.

Invariants: no cell can act as a formula. Text that begins as one gets an apostrophe before it, as OWASP says
("CSV Injection"), and all text is quoted; numbers stay numbers, and no other cell begins with a sign.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from carnet.audit.reports.model import REPORT_SCHEMA
from carnet.audit.reports.rendering.words import cell_text, report_digest, visible
from carnet.signing.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carnet.audit.reports.model import Cell, Report, Table

# Spreadsheets in East Asia take the full-width forms for the same signs.
_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001  these are the full-width forms


def render_csv(report: Report) -> dict[str, bytes]:
    """Draw a report as CSV files.

    Args:
        report: The report.

    Returns:
        The bytes of each file by its name: ``KIND.csv`` states the query, the range, count and checkpoint of
        each log, the generator and the completeness; ``KIND-TABLE.csv`` has the rows of one table, under the
        names of its columns.
    """
    files = {f"{report.kind}.csv": _file(("subject", "name", "value"), _statement(report))}
    for table in report.tables:
        header = tuple(column.name for column in table.columns)
        files[_file_name(report, table)] = _file(header, table.rows)
    return files


def _statement(report: Report) -> Iterable[tuple[Cell, ...]]:
    yield "report", "schema", REPORT_SCHEMA
    yield "report", "kind", report.kind
    yield "report", "title", report.title
    yield "report", "generated_at", format_time(report.generated_at)
    yield "report", "generator", report.generator
    yield "report", "json_sha256", report_digest(report)
    for name, value in report.query.items():
        yield "query", name, value
    for log in report.logs:
        yield "log", f"{log.environment}.first", log.first
        yield "log", f"{log.environment}.count", log.count
        yield "log", f"{log.environment}.checkpoint", log.checkpoint
    for number, sentence in enumerate(report.completeness, 1):
        yield "completeness", str(number), sentence
    for table in report.tables:
        yield "table", f"{table.name}.file", _file_name(report, table)
        yield "table", f"{table.name}.rows", len(table.rows)


def _file_name(report: Report, table: Table) -> str:
    return f"{report.kind}-{table.name}.csv"


def _file(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    lines = [",".join(header)]
    lines += [",".join(_field(cell) for cell in row) for row in rows]
    return codecs.BOM_UTF8 + "".join(f"{line}\r\n" for line in lines).encode()


def _field(cell: Cell) -> str:
    if cell is None:
        return ""
    text = cell_text(cell, yes="true", no="false")
    if isinstance(cell, int | float):
        return text
    return '"' + guarded(text).replace('"', '""') + '"'


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; see the module."""
    shown = visible(text)
    return f"'{shown}" if shown[:1] in _FORMULA_STARTS else shown
