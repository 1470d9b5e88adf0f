"""How a report is shown to people, and written to files.

Responsible for the tables on a terminal, for the four formats and where they go, and for the verdict on a
report. Makes no calls.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from carnet.audit.reports.model import CellKind
from carnet.cli.files import write_whole
from carnet.cli.output import print_fields, print_table, printable, short, when
from carnet.errors import FileUnreadableError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import Console

    from carnet.audit.reports.compare import ReportVerdict
    from carnet.audit.reports.model import Cell, Column, Report
    from carnet.client.results.reports import ReportResult

FORMATS: Final = ("json", "csv", "html", "pdf")
_RENDERING = "carnet.audit.reports.rendering"


def print_report(page: Console, report: Report) -> None:
    """Print every table of a report; a column in which nothing stands is left out."""
    page.print(printable(report.title), style="bold")
    for table in report.tables:
        page.print(printable(f"\n{table.title}"), style="bold")
        shown = [
            [_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)]
            for row in table.rows
        ]
        used = [index for index in range(len(table.columns)) if any(row[index] for row in shown)]
        if not shown:
            page.print("  none")
            continue
        titles = [
            table.columns[index].title + ("#" if table.columns[index].kind is CellKind.NUMBER else "")
            for index in used
        ]
        print_table(page, titles, ([row[index] for index in used] for row in shown))
    page.print()
    for sentence in report.completeness:
        page.print(printable(sentence), soft_wrap=True)
    ranges = ", ".join(f"{each.environment} {each.count}" for each in report.logs)
    page.print(printable(f"derived from verified logs, of so many entries: {ranges}"), soft_wrap=True)


def _cell(cell: Cell, column: Column) -> str:
    if cell is None:
        return ""
    if isinstance(cell, tuple):
        return "\n".join(cell)
    if isinstance(cell, bool):
        return "yes" if cell else ""
    if column.kind is CellKind.TIME and not isinstance(cell, str | int | float):
        return when(cell)
    return short(str(cell)) if column.kind is CellKind.DIGEST else str(cell)


def format_of(form: str | None, out: Path | None) -> str:
    """Return the format that is wanted: the one named, else that of the file's name, else JSON.

    Args:
        form: The format named; None for none.
        out: Where it goes; None for stdout.
    """
    if form:
        return form
    ending = out.suffix.removeprefix(".").lower() if out else ""
    return ending if ending in FORMATS else "json"


def write_report(result: ReportResult, form: str, out: Path | None) -> list[Path]:
    """Write a report in a format.

    Args:
        result: The report.
        form: ``json``, ``csv``, ``html`` or ``pdf``.
        out: The file; for CSV the folder, which gets a file for each table; None for stdout.

    Returns:
        The files that were written.

    Raises:
        InvalidInputError: The format needs a package that is not installed, or cannot go to stdout.
        FileUnreadableError: A file cannot be written.
    """
    assert result.report is not None
    files: Mapping[str, bytes]
    if form == "json":
        files = {"": result.data}
    elif form == "csv":
        files = _renderer("render_csv")(result.report)
    else:
        files = {"": _renderer(f"render_{form}")(result.report)}
    if out is None:
        return _to_stdout(files, form)
    if form != "csv":
        write_whole(out, files[""], what="the report")
        return [out]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnreadableError(f"the report cannot be written to {out}: {error.strerror}") from error
    for name, data in files.items():
        write_whole(out / name, data, what="the report")
    return [out / name for name in files]


def _to_stdout(files: Mapping[str, bytes], form: str) -> list[Path]:
    if len(files) != 1:
        raise InvalidInputError("a report in CSV is a file for each table: name a folder with --out DIR")
    if form == "pdf" and sys.stdout.isatty():
        raise InvalidInputError("a PDF is nothing for a terminal: name a file with --out FILE")
    click.echo(next(iter(files.values())), nl=False)
    return []


def _renderer(name: str) -> Callable[[Report], Any]:
    try:
        return getattr(import_module(_RENDERING), name)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        raise InvalidInputError(
            f"this format needs the package {error.name!r}, which is not installed: "
            "pip install 'carnet[reports]', or take --format json",
            metadata={"package": error.name or ""},
        ) from error


def print_verdict(page: Console, verdict: ReportVerdict) -> None:
    """Print what came of verifying a report; what was found in the logs is printed by the caller."""
    print_fields(
        page,
        (
            ("report", verdict.kind),
            ("made at", verdict.generated_at),
            ("made by", verdict.generator),
            ("signed by", verdict.signer or "NOBODY: who made it, and when, is not shown"),
            ("derived again", f"{verdict.rows} rows"),
            ("not derived", ", ".join(verdict.observed)),
        ),
    )
    if verdict.differences:
        page.print("THE REPORT DIFFERS FROM THE LOGS", style="bold red")
        print_table(
            page,
            ("table", "row#", "what differs"),
            ((each.table or "report", each.row or "", each.message) for each in verdict.differences),
        )
    if verdict.erased:
        page.print(
            "ERASED SINCE: what these rows say of it rests on the signature alone", style="bold yellow"
        )
        print_table(
            page, ("table", "row#", "what"), ((each.table, each.row, each.message) for each in verdict.erased)
        )
    if verdict.ok:
        page.print("the report says what the logs say, row by row")
    elif not verdict.differences and not verdict.audit.ok:
        page.print("the report says what the logs say, and the logs do not verify")
    else:
        page.print("the report is not what the logs say: do not rely on it")
