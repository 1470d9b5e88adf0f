"""What a report is: tables with what they were derived from.

Responsible for the one form that every report has, whatever it tells, and for its JSON, which is canonical
(RFC 8785) and the authoritative form. Derives nothing and draws nothing.

Invariants: a report states its query, the range of entries of each log, the checkpoint that covers them, and
its generator, so that whoever has the logs can derive the same rows again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from carnet.translog.entry import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

REPORT_SCHEMA = "carnet.report/v1"
"""The schema that a report's JSON names."""

Cell: TypeAlias = str | int | float | bool | datetime | tuple[str, ...] | None
"""What a table's cell holds; None for what does not apply or is not known."""


class CellKind(StrEnum):
    """What a column's cells are, for whoever draws them."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    DIGEST = "digest"
    FLAG = "flag"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in JSON and CSV, in snake case.
        title: Its heading for people.
        kind: What its cells are.
    """

    name: str
    title: str
    kind: CellKind = CellKind.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """One list of a report.

    Attributes:
        name: Its name in JSON and in the names of CSV files, in kebab case.
        title: Its heading for people.
        about: What the rows are and where they come from, in a sentence or two.
        columns: The columns.
        rows: The rows in the order that the derivation gives; each has a cell for each column.
    """

    name: str
    title: str
    about: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class LogRange:
    """The part of one environment's log that a report was derived from.

    Attributes:
        environment: The environment.
        first: The index of the first entry that was read.
        count: How many entries were read.
        checkpoint: The signed note that covers them, as the verifier took it.
    """

    environment: str
    first: int
    count: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        kind: Which report it is, such as ``changes``.
        title: Its heading for people.
        query: What was asked for: every argument of the derivation, as text.
        generated_at: When it was derived, UTC.
        generator: What derived it, with its version, such as ``carnet 0.1.0``.
        logs: What it was derived from.
        completeness: Why the rows are all that there are, and what they cannot show; sentences for people.
        tables: The tables.
    """

    kind: str
    title: str
    query: Mapping[str, str]
    generated_at: datetime
    generator: str
    logs: tuple[LogRange, ...]
    completeness: tuple[str, ...]
    tables: tuple[Table, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "schema": REPORT_SCHEMA,
            "kind": self.kind,
            "title": self.title,
            "query": dict(self.query),
            "generated_at": format_time(self.generated_at),
            "generator": self.generator,
            "logs": [
                {
                    "environment": each.environment,
                    "first": each.first,
                    "count": each.count,
                    "checkpoint": each.checkpoint,
                }
                for each in self.logs
            ],
            "completeness": list(self.completeness),
            "tables": [_table_to_json(table) for table in self.tables],
        }


def _table_to_json(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "about": table.about,
        "columns": [
            {"name": each.name, "title": each.title, "kind": str(each.kind)} for each in table.columns
        ],
        "rows": [[_cell_to_json(cell) for cell in row] for row in table.rows],
    }


def _cell_to_json(cell: Cell) -> Any:
    if isinstance(cell, datetime):
        return format_time(cell)
    return list(cell) if isinstance(cell, tuple) else cell
