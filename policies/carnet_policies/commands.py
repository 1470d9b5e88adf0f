"""The commands ``carnet policy check``, ``test``, ``explain`` and ``schema``.

Responsible for showing people and scripts what is wrong with a policy before an environment gets it, and what
an environment's policy says of a version. Exit codes: 0 all is well, 2 a file is malformed, 5 a case did not
come out as it must, or the environment would not admit the version now.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from carnet.cli.output import emit
from carnet.cli.settings import Group, Settings, pass_settings
from carnet.documents import read_file
from carnet.errors import InvalidInputError
from carnet_policies.cases import CasesReport, find_cases, run_cases
from carnet_policies.document import Policy, load_policy
from carnet_policies.editor_schema import editor_schema_text
from carnet_policies.engine import PolicyEngine
from carnet_policies.evaluation import RuleStatus
from carnet_policies.explaining import explanation_of, outcome_of, print_explanation

MALFORMED = 2
REFUSED = 5

_file = click.Path(path_type=Path)


@click.group(cls=Group)
def policy() -> None:
    """Check, test and explain policies.

    Examples:
      carnet policy check policy.yaml
      carnet policy explain dev/risk/fraud@3 --to staging
    """


@policy.command()
@click.argument("files", nargs=-1, required=True, type=_file, metavar="FILE...")
@click.pass_context
@pass_settings
def check(settings: Settings, context: click.Context, files: tuple[Path, ...]) -> None:
    """Say what is wrong with policies.

    Checked are their schema, the types of their expressions, and what can never be met or never matters.

    Example:
      carnet policy check .carnet/environments/prod/policy.yaml
    """
    entries: list[dict[str, Any]] = []
    for path in files:
        try:
            loaded = load_policy(read_file(path, what="the policy"), name=str(path))
        except InvalidInputError as error:
            entries.append({"file": str(path), "sound": False, "problems": error.message.splitlines()})
        else:
            entries.append({"file": str(path), "sound": True, **_described(loaded)})
    if settings.json:
        click.echo(json.dumps({"policies": entries}, indent=2))
    else:
        _print_checks(entries)
    if not all(entry["sound"] for entry in entries):
        context.exit(MALFORMED)


@policy.command()
@click.argument("paths", nargs=-1, required=True, type=_file, metavar="PATH...")
@click.pass_context
@pass_settings
def test(settings: Settings, context: click.Context, paths: tuple[Path, ...]) -> None:
    """Run policies' test cases.

    A PATH is a file ending in .cases.yaml, a policy that has one beside it, or a folder of them.

    Example:
      carnet policy test policies/
    """
    reports: list[CasesReport] = []
    problems: list[str] = []
    with PolicyEngine() as engine:
        for path in paths:
            try:
                reports += [run_cases(file, engine) for file in find_cases(path)]
            except InvalidInputError as error:
                problems += error.message.splitlines()
    if settings.json:
        files = [_reported(report) for report in reports]
        click.echo(json.dumps({"files": files, "problems": problems}, indent=2))
    else:
        _print_reports(reports, problems)
    if problems:
        context.exit(MALFORMED)
    if not all(report.passed for report in reports):
        context.exit(REFUSED)


@policy.command()
@click.argument("reference", metavar="REF")
@click.option("--to", "target", required=True, metavar="ENV", help="The environment that would decide.")
@click.option("--alias", default="", help="The alias that would be moved there.")
@click.pass_context
@pass_settings
def explain(settings: Settings, context: click.Context, *, reference: str, target: str, alias: str) -> None:
    """Say rule by rule what ENV would decide.

    The environment itself is asked about the version REF as it stands now, and nothing is stored. The exit
    code is 0 where it would admit the version, and 5 where a rule fails or awaits anything, people too.

    Examples:
      carnet policy explain dev/risk/fraud@3 --to staging
      carnet policy explain staging/risk/fraud@3 --to prod --alias champion -o json
    """
    with settings.client() as client:
        promotion = client.promote(reference, target, alias=alias, dry_run=True)
    emit(settings, explanation_of(promotion), lambda page: print_explanation(page, promotion))
    if outcome_of(promotion.rules) is not RuleStatus.PASSED:
        context.exit(REFUSED)


@policy.command()
def schema() -> None:
    """Print the JSON Schema of a policy, for editors: put it into a file and name that in the editor.

    Example:
      carnet policy schema
    """
    click.echo(editor_schema_text(), nl=False)


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
