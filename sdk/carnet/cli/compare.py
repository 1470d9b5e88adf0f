"""``carnet compare``: what differs between two versions, for people and for a build's gate."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import emit, number, print_table, short, size
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.bundle.compare import Change, Comparison
    from carnet.bundle.compare_gate import Finding


@click.command(cls=Command)
@click.argument("before", metavar="REF")
@click.argument("after", metavar="REF")
@click.option(
    "--fail-on",
    "conditions",
    metavar="CONDITION",
    multiple=True,
    help="Exit with 5 on regression[:METRIC=THRESHOLD,…], schema-breaking or any; may be repeated.",
)
@click.option(
    "--no-evidence", is_flag=True, help="Compare what the publishers say only, and read no evidence."
)
@click.pass_context
@pass_settings
def compare(
    settings: Settings,
    context: click.Context,
    *,
    before: str,
    after: str,
    conditions: tuple[str, ...],
    no_evidence: bool,
) -> None:
    """Compare two versions, of any environments: metrics, settings, schema, files.

    Metrics are the publishers' and those that trusted evidence measured. With --fail-on the exit code is 5
    where a condition holds: a metric that became worse, by more than its threshold, or is not measured any
    more; a feature schema that breaks callers; or any of the two.

    Examples:
      carnet compare prod/risk/fraud@champion dev/risk/fraud@3
      carnet compare prod/risk/fraud@champion dev/risk/fraud@3 --fail-on regression:roc_auc=0.005
      carnet compare prod/risk/fraud@champion dev/risk/fraud@3 --fail-on any -o json
    """
    from carnet.bundle.compare_gate import findings_of, parse_condition  # noqa: PLC0415  a quick `--help`

    parsed = [parse_condition(each) for each in conditions]
    with settings.client() as client:
        found = client.compare(before, after, with_evidence=not no_evidence)
    findings = findings_of(found, parsed)
    answer = found.to_json() | {"passed": not findings, "findings": [asdict(each) for each in findings]}
    emit(settings, answer, lambda page: _print_comparison(page, found, findings, gated=bool(parsed)))
    if findings:
        context.exit(ExitCode.GATE)


def _print_comparison(
    page: Console, found: Comparison, findings: tuple[Finding, ...], *, gated: bool
) -> None:
    page.print(f"{found.before}  →  {found.after}")
    if found.metrics:
        print_table(
            page,
            ("metric", "before#", "after#", "change#", "better", "verdict", "from"),
            (
                (
                    each.key,
                    "" if each.before is None else number(each.before),
                    "" if each.after is None else number(each.after),
                    "" if each.delta is None else f"{each.delta:+.6g}",
                    each.direction.removesuffix("_is_better"),
                    each.verdict,
                    f"{each.source} {each.suite}".strip(),
                )
                for each in found.metrics
            ),
        )
    _print_changes(page, found)
    for broken in found.schema_breaks:
        page.print(f"breaks callers: {broken.message}")
    for finding in findings:
        page.print(f"{finding.condition}: {finding.message}")
    if gated and not findings:
        page.print("no condition of --fail-on holds")


def _print_changes(page: Console, found: Comparison) -> None:
    sections: dict[str, tuple[Change, ...]] = {
        "settings": found.hyperparameters,
        "feature schema": found.feature_schema,
        "environment": found.environment,
        "lineage": found.lineage,
        "files": found.files,
    }
    rows = [
        (title, each.name, each.kind, _value(each.before), _value(each.after))
        for title, changes in sections.items()
        for each in changes
    ]
    if rows:
        print_table(page, ("part", "name", "change", "before", "after"), rows)
    else:
        page.print("nothing else differs")


def _value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and "digest" in value:
        return f"{short(str(value['digest']))} {size(int(value.get('size_bytes', 0)))}"
    return str(value)
