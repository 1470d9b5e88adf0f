"""``carnet attest`` and ``carnet evidence``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, print_fields
from carnet.cli.settings import Command, Group, Settings, pass_settings
from carnet.cli.version_page import print_evidence

if TYPE_CHECKING:
    from rich.console import Console


@click.command(cls=Command)
@click.argument("reference", metavar="REF")
@click.option(
    "--type",
    "kind",
    default="test-result",
    show_default=True,
    metavar="KIND",
    help="test-result, or the URI of a predicate type.",
)
@click.option(
    "--file",
    "path",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The JSON document: metrics and a result, or the predicate.",
)
@click.option("--suite", help="The suite that was run, where the document does not say.")
@click.option(
    "--result",
    type=click.Choice(["PASSED", "WARNED", "FAILED"]),
    help="How it went, where the document does not say.",
)
@pass_settings
def attest(
    settings: Settings, *, reference: str, kind: str, path: Path, suite: str | None, result: str | None
) -> None:
    """Sign evidence about the version REF with your key, and hand it to its registry.

    A test result's document is JSON such as {"suite": "evaluation", "result": "PASSED", "metrics": [{"name":
    "roc_auc", "value": 0.99, "direction": "higher_is_better"}]}.

    Example:
      carnet attest dev/risk/fraud@3 --type test-result --file metrics.json --as evaluator
    """
    with settings.client() as client:
        added = client.attest(reference, path, kind=kind, suite=suite, result=result)
    found = added.evidence

    def show(page: Console) -> None:
        page.print("held before, nothing was changed" if added.already_held else f"{found.kind} attested")
        print_fields(
            page,
            (
                ("evidence", found.digest),
                ("result", found.result),
                ("signed by", found.signer),
                ("counts here", "yes" if found.trusted else "no: the signer is not trusted for it"),
                ("log", f"entry {added.receipt.receipt.index}, verified"),
            ),
        )

    emit(settings, added, show)


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
