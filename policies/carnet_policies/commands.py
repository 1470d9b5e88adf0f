"""The commands ``carnet policy check`` and ``carnet policy test``.

Responsible for showing people and scripts what is wrong with a policy before an environment gets it. Exit
codes: 0 all is well, 2 a file is malformed, 5 a case did not come out as it must.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from carnet.documents import read_file
from carnet.errors import InvalidInputError
from carnet_policies.cases import CasesReport, find_cases, run_cases
from carnet_policies.document import Policy, load_policy
from carnet_policies.engine import PolicyEngine

MALFORMED = 2
REFUSED = 5

_output = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print: for people, or one JSON object for scripts.",
)
_file = click.Path(path_type=Path)


@click.group(epilog="\b\nExample:\n  carnet policy check policy.yaml")
def policy() -> None:
    """Check and test policies, without a server."""


@policy.command(epilog="\b\nExample:\n  carnet policy check .carnet/environments/prod/policy.yaml")
@click.argument("files", nargs=-1, required=True, type=_file, metavar="FILE...")
@_output
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], output: str) -> None:
    """Check that policies are sound: their schema, and the types of their expressions."""
    entries: list[dict[str, Any]] = []
    for path in files:
        try:
            loaded = load_policy(read_file(path, what="the policy"), name=str(path))
        except InvalidInputError as error:
            entries.append({"file": str(path), "sound": False, "problems": error.message.splitlines()})
        else:
            entries.append({"file": str(path), "sound": True, **_described(loaded)})
    if output == "json":
        click.echo(json.dumps({"policies": entries}, indent=2))
    else:
        _print_checks(entries)
    if not all(entry["sound"] for entry in entries):
        context.exit(MALFORMED)


@policy.command(epilog="\b\nExample:\n  carnet policy test policies/")
@click.argument("paths", nargs=-1, required=True, type=_file, metavar="PATH...")
@_output
@click.pass_context
def test(context: click.Context, paths: tuple[Path, ...], output: str) -> None:
    """Run policies' test cases: files ending in .cases.yaml, policies that have one, or folders."""
    reports: list[CasesReport] = []
    problems: list[str] = []
    with PolicyEngine() as engine:
        for path in paths:
            try:
                reports += [run_cases(file, engine) for file in find_cases(path)]
            except InvalidInputError as error:
                problems += error.message.splitlines()
    if output == "json":
        files = [_reported(report) for report in reports]
        click.echo(json.dumps({"files": files, "problems": problems}, indent=2))
    else:
        _print_reports(reports, problems)
    if problems:
        context.exit(MALFORMED)
    if not all(report.passed for report in reports):
        context.exit(REFUSED)


def _described(loaded: Policy) -> dict[str, Any]:
    document = loaded.document
    return {
        "environment": document.environment,
        "version": document.version,
        "digest": loaded.digest,
        "rules": list(loaded.rule_ids),
    }


def _reported(report: CasesReport) -> dict[str, Any]:
    return {
        "file": str(report.file),
        "policy": str(report.policy),
        "passed": report.passed,
        "cases": [
            {"case": outcome.case, "passed": outcome.passed, "mismatches": list(outcome.mismatches)}
            for outcome in report.outcomes
        ],
        "never_refused": list(report.never_refused),
    }


def _console() -> Console:
    return Console(markup=False, highlight=False, soft_wrap=True)


def _print_checks(entries: list[dict[str, Any]]) -> None:
    console = _console()
    for entry in entries:
        if entry["sound"]:
            rules = len(entry["rules"])
            console.print("✓", entry["file"], style="green", end="")
            console.print(
                f": {entry['environment']}, version {entry['version']}, {rules} rules, "
                f"digest {entry['digest'][:12]}"
            )
        else:
            console.print("✗", entry["file"], style="red")
            for problem in entry["problems"]:
                console.print(f"    {problem}")


def _print_reports(reports: list[CasesReport], problems: list[str]) -> None:
    console = _console()
    for report in reports:
        console.print(f"{report.file}", style="bold")
        for outcome in report.outcomes:
            console.print(
                "  ✓" if outcome.passed else "  ✗", style="green" if outcome.passed else "red", end=""
            )
            console.print(f" {outcome.case}")
            for mismatch in outcome.mismatches:
                console.print(f"      {mismatch}")
        if report.never_refused:
            console.print(f"  no case shows a refusal by: {', '.join(report.never_refused)}", style="yellow")
    for problem in problems:
        console.print("✗", style="red", end="")
        console.print(f" {problem}")
    cases = [outcome for report in reports for outcome in report.outcomes]
    failed = sum(not outcome.passed for outcome in cases)
    console.print(f"{len(cases) - failed} passed, {failed} failed")
