"""The commands ``carnet policy check``, ``test``, ``explain``, ``replay`` and ``schema``.

Responsible for showing people and scripts what is wrong with a policy before an environment gets it, what an
environment's policy says of a version, and what another would have said of its past. Exit codes: 0 all is
well, 2 a file is malformed, 5 a case did not come out as it must, the environment would not admit the version
now, or a past decision would have been another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from carnet.cli.output import emit, printable
from carnet.cli.settings import Group, Settings, pass_settings
from carnet.documents import read_file
from carnet.errors import InvalidInputError
from carnet_policies.cases import CasesReport, find_cases, run_cases
from carnet_policies.document import Policy, load_policy
from carnet_policies.editor_schema import editor_schema_text
from carnet_policies.engine import PolicyEngine
from carnet_policies.evaluation import RuleStatus
from carnet_policies.explaining import emergency_terms, explanation_of, outcome_of, print_explanation
from carnet_policies.replaying import print_replay, replay_to_json, summary_of
from carnet_policies.terms_in_words import sections, terms_to_json

MALFORMED = 2
REFUSED = 5

_file = click.Path(path_type=Path)


@click.group(cls=Group)
def policy() -> None:
    """Check, test, explain and replay policies.

    Examples:
      carnet policy check policy.yaml
      carnet policy explain dev/risk/fraud@3 --to staging
      carnet policy replay policy.yaml --environment prod
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
@click.argument("reference", metavar="REF|FILE")
@click.option("--to", "target", metavar="ENV", help="The environment that would decide.")
@click.option("--alias", default="", help="The alias that would be moved there.")
@click.pass_context
@pass_settings
def explain(
    settings: Settings, context: click.Context, *, reference: str, target: str | None, alias: str
) -> None:
    """Say rule by rule what ENV would decide, or in words what a policy does once a version is in.

    With a FILE instead of a version: by which guardrails a challenger is judged, what is archived and may be
    purged, and how much a namespace may store; nobody is asked.

    With --to the environment itself is asked about the version REF as it stands now, and nothing is stored.
    Where it would not admit the version, it is also said what people could skip by breaking the glass. The
    exit code is 0 where it would admit the version, and 5 where a rule fails or awaits anything, people too.

    Examples:
      carnet policy explain dev/risk/fraud@3 --to staging
      carnet policy explain staging/risk/fraud@3 --to prod --alias champion -o json
      carnet policy explain policy.yaml
    """
    if target is None:
        _explain_file(settings, Path(reference))
        return
    with settings.client(signs=True) as client:
        promotion = client.promote(reference, target, alias=alias, dry_run=True)
        terms = None
        if promotion.rules and outcome_of(promotion.rules) is not RuleStatus.PASSED:
            asked = client.promote(reference, target, alias=alias, dry_run=True, emergency=True)
            terms = emergency_terms(asked.rules)
    emit(
        settings,
        explanation_of(promotion, terms),
        lambda page: print_explanation(page, promotion, terms),
    )
    if outcome_of(promotion.rules) is not RuleStatus.PASSED:
        context.exit(REFUSED)


@policy.command()
@click.argument("file", type=_file, metavar="FILE")
@click.option(
    "--environment", required=True, metavar="ENV", help="The environment whose decisions are meant."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="How many decisions, the newest first.",
)
@click.pass_context
@pass_settings
def replay(settings: Settings, context: click.Context, *, file: Path, environment: str, limit: int) -> None:
    """Say which past decisions of ENV would have been different under FILE.

    Each decision is looked at with what was known when it was made: its evidence, its approvals, the baseline
    and the clock of then, under the trust document of today. Nothing is changed. The exit code is 0 where
    none would differ, and 5 where some would.

    Examples:
      carnet policy replay policy.yaml --environment prod
      carnet policy replay policy.yaml --environment prod --limit 20 -o json
    """
    data = read_file(file, what="the policy")
    load_policy(data, name=str(file))
    with settings.client() as client:
        summary = summary_of(environment, client.replay_policy(environment, data, limit=limit))
    emit(settings, replay_to_json(summary), lambda page: print_replay(page, summary))
    if summary.differing:
        context.exit(REFUSED)


@policy.command()
def schema() -> None:
    """Print the JSON Schema of a policy, for editors: put it into a file and name that in the editor.

    Example:
      carnet policy schema
    """
    click.echo(editor_schema_text(), nl=False)


def _explain_file(settings: Settings, path: Path) -> None:
    if not path.is_file():
        raise click.UsageError(
            f"{path} is no policy's file; to ask an environment about a version, name it with --to"
        )
    loaded = load_policy(read_file(path, what="the policy"), name=str(path))
    emit(settings, terms_to_json(loaded.document), lambda page: _print_terms(page, loaded))


def _print_terms(page: Console, loaded: Policy) -> None:
    document = loaded.document
    page.print(f"{document.environment}, version {document.version}, once a version is in")
    for heading, sentences in sections(document):
        page.print()
        page.print(printable(heading), style="bold")
        for sentence in sentences:
            page.print(printable(f"    {sentence}"), soft_wrap=True)


def _described(loaded: Policy) -> dict[str, Any]:
    document = loaded.document
    return {
        "environment": document.environment,
        "version": document.version,
        "digest": loaded.digest,
        "rules": list(loaded.rule_ids),
        "guardrails": list(loaded.guardrail_ids),
        "retention": document.retention is not None,
        "quotas": len(document.quotas),
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
        "rollouts": [
            {"case": outcome.case, "passed": outcome.passed, "mismatches": list(outcome.mismatches)}
            for outcome in report.rollouts
        ],
        "never_refused": list(report.never_refused),
    }


def _console() -> Console:
    return Console(markup=False, highlight=False, soft_wrap=True)


def _print_checks(entries: list[dict[str, Any]]) -> None:
    console = _console()
    for entry in entries:
        if entry["sound"]:
            parts = [_counted(len(entry["rules"]), "rule"), _counted(len(entry["guardrails"]), "guardrail")]
            parts += ["retention"] if entry["retention"] else []
            parts += [_counted(entry["quotas"], "quota")] if entry["quotas"] else []
            console.print("✓", entry["file"], style="green", end="")
            console.print(
                f": {entry['environment']}, version {entry['version']}, {', '.join(parts)}, "
                f"digest {entry['digest'][:12]}"
            )
        else:
            console.print("✗", entry["file"], style="red")
            for problem in entry["problems"]:
                console.print(f"    {problem}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _print_reports(reports: list[CasesReport], problems: list[str]) -> None:
    console = _console()
    for report in reports:
        console.print(f"{report.file}", style="bold")
        for outcome in report.all_outcomes:
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
    cases = [outcome for report in reports for outcome in report.all_outcomes]
    failed = sum(not outcome.passed for outcome in cases)
    console.print(f"{len(cases) - failed} passed, {failed} failed")
