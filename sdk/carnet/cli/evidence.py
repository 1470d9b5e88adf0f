"""``carnet attest`` and ``carnet evidence``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carnet.cli.output import emit, entry_of, print_fields, printable
from carnet.cli.settings import Command, Group, Settings, pass_settings
from carnet.cli.version_page import print_evidence

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.attesting.sarif import FailOn
    from carnet.client.results import AttestResult

_ENVELOPE = "envelope"


@click.command(cls=Command)
@click.argument("reference", metavar="REF")
@click.option(
    "--type",
    "kind",
    metavar="KIND",
    help="test-result, junit, pytest, sarif, fairness, pii-review, smoke-test, skew, envelope, or the URI of "
    "a predicate type; else what the file is recognised as.",
)
@click.option("--predicate-type", metavar="URI", help="The file is the predicate itself, of this type.")
@click.option(
    "--file",
    "path",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The report, the document, the predicate, or envelopes that others signed.",
)
@click.option("--suite", help="The suite that was run, where the file does not say.")
@click.option(
    "--result",
    type=click.Choice(["PASSED", "WARNED", "FAILED"]),
    help="How it went, where a test-result document does not say.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note"]),
    help="The level of SARIF from which on a finding makes the scan fail; else error.",
)
@click.option("--dry-run", is_flag=True, help="Show the statement; sign and send nothing.")
@pass_settings
def attest(
    settings: Settings,
    *,
    reference: str,
    kind: str | None,
    predicate_type: str | None,
    path: Path,
    suite: str | None,
    result: str | None,
    fail_on: FailOn | None,
    dry_run: bool,
) -> None:
    """Sign evidence about the version REF with your key, and hand it to its registry.

    FILE is what CI has: JUnit XML, a report of pytest-json-report or pytest-reportlog, SARIF, what `carnet
    schema skew -o json` prints, or a small JSON document such as {"suite": "evaluation", "result": "PASSED",
    "metrics": [{"name": "roc_auc", "value": 0.99, "direction": "higher_is_better"}]}. Envelopes that somebody
    else signed, such as a build platform's provenance, are handed over as they are.

    Examples:
      carnet attest dev/risk/fraud@3 --file metrics.json --as evaluator
      carnet attest dev/risk/fraud@3 --file junit.xml --suite integration
      carnet attest dev/risk/fraud@3 --file scan.sarif --fail-on warning
      carnet attest dev/risk/fraud@3 --type fairness --file fairness.json --dry-run
      carnet attest dev/risk/fraud@3 --file skew.json --as evaluator
      carnet attest dev/risk/fraud@3 --file build.intoto.jsonl
    """
    if predicate_type is not None:
        if kind is not None or ":" not in predicate_type:
            raise click.UsageError("--predicate-type takes a URI, and no --type beside it.")
        kind = predicate_type
    kind = kind or _recognised(path)
    if kind == _ENVELOPE:
        if (suite, result, fail_on) != (None, None, None) or dry_run:
            raise click.UsageError(
                "Envelopes are handed over as they are: no --suite, --result, --fail-on or --dry-run."
            )
        _hand_over(settings, reference, path)
    elif dry_run:
        with settings.client() as client:
            drafted = client.draft_statement(
                reference, path, kind=kind, suite=suite, result=result, fail_on=fail_on
            )
        emit(settings, {"statement": drafted}, lambda page: page.print(_indented(drafted)))
    else:
        with settings.client(signs=True) as client:
            added = client.attest(reference, path, kind=kind, suite=suite, result=result, fail_on=fail_on)
        emit(settings, added, lambda page: _print_added(page, added))


def _recognised(path: Path) -> str:
    from carnet.attesting.kinds import recognise  # noqa: PLC0415  a quick `--help` needs none of it
    from carnet.attesting.report import Report  # noqa: PLC0415  as above
    from carnet.documents import read_file  # noqa: PLC0415  as above

    return recognise(Report(read_file(path, what="document"), path.name))


def _hand_over(settings: Settings, reference: str, path: Path) -> None:
    with settings.client() as client:
        added = client.attest_signed(reference, path)

    def show(page: Console) -> None:
        for each in added:
            _print_added(page, each)

    emit(settings, {"attested": added}, show)


def _print_added(page: Console, added: AttestResult) -> None:
    found = added.evidence
    page.print(
        "held before, nothing was changed" if added.already_held else f"{printable(found.kind)} attested"
    )
    print_fields(
        page,
        (
            ("evidence", found.digest),
            ("result", found.result),
            ("signed by", found.signer or f"key not pinned here ({found.stated_signer or 'unknown'})"),
            ("counts here", "yes" if found.trusted else "no: the signer is not trusted for it"),
            ("log", entry_of(added.receipt)),
        ),
    )


def _indented(statement: dict[str, Any]) -> str:
    return printable(json.dumps(statement, ensure_ascii=False, indent=2))


@click.group(cls=Group)
def evidence() -> None:
    """Look at the evidence about a version.

    Example:
      carnet evidence ls staging/risk/fraud@3
    """


@evidence.command("ls")
@click.argument("reference", metavar="REF")
@pass_settings
def list_evidence(settings: Settings, reference: str) -> None:
    """List the evidence that a registry holds about REF, each piece verified.

    Example:
      carnet evidence ls staging/risk/fraud@3
    """
    with settings.client() as client:
        found = client.evidence(reference)

    def show(page: Console) -> None:
        if found:
            print_evidence(page, found)
        else:
            page.print("no evidence yet; `carnet attest` adds some")

    emit(settings, {"evidence": found}, show)
