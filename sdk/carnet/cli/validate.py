"""``carnet validate``: data against a feature schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from carnet.cli.exit_codes import ExitCode
from carnet.cli.feature_sources import features_of, find_schema
from carnet.cli.output import emit, print_table, printable
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.features.report import ValidationReport

FORMATS = ("csv", "json", "jsonl", "parquet", "arrow")


@click.command(cls=Command)
@click.argument("source", metavar="REF|FILE")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The data to check."
)
@click.option("--format", "kind", type=click.Choice(FORMATS), help="The data's format; else by its suffix.")
@click.option("--outputs", is_flag=True, help="Check against the outputs, and not the inputs.")
@click.option("--allow-extra", is_flag=True, help="Leave columns alone that the schema does not name.")
@click.pass_context
@pass_settings
def validate(
    settings: Settings,
    context: click.Context,
    *,
    source: str,
    data: Path,
    kind: str | None,
    outputs: bool,
    allow_extra: bool,
) -> None:
    """Check data against the feature schema of a version, or of a file such as carnet.yaml.

    Every violation is named, with how many rows have it and the first of them. Exit code 5 when there is one.

    Examples:
      carnet validate prod/risk/fraud@champion --data batch.parquet
      carnet validate carnet.yaml --data rows.csv -o json
    """
    from carnet.features.files import read_data  # noqa: PLC0415  a quick `--help` needs none of it
    from carnet.features.validator import Validator  # noqa: PLC0415  as above

    schema = find_schema(settings, source)
    features = features_of(schema, source, outputs=outputs)
    table = read_data(data, kind=kind or "", features=features)
    side: Literal["inputs", "outputs"] = "outputs" if outputs else "inputs"
    report = Validator(schema, side=side, allow_extra=allow_extra).validate(table)
    emit(settings, report, lambda page: _print(page, report, data))
    if not report.valid:
        context.exit(ExitCode.GATE)


def _print(page: Console, report: ValidationReport, data: Path) -> None:
    rows = f"{report.total_rows:,} row{'s' * (report.total_rows != 1)}"
    if report.valid:
        page.print(printable(f"{data.name} keeps the schema: {rows}"))
        return
    page.print(printable(f"{data.name} breaks the schema: {rows}"))
    print_table(
        page,
        ("feature", "violation", "rows#", "first", "values", "wanted"),
        (
            (
                each.feature,
                each.kind.replace("_", " "),
                f"{each.count:,}",
                ", ".join(map(str, each.rows)),
                ", ".join(each.values),
                each.expected,
            )
            for each in report.violations
        ),
    )
    more = report.violation_count - len(report.violations)
    if more:
        page.print(f"and {more:,} more kinds of violations")
