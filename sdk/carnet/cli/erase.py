"""``carnet audit erase``: taking a note, or a person's signed word, out of a log for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, print_fields, printable, when
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from carnet.audit.report import Erasure


@click.command("erase", cls=Command)
@click.argument("environment", metavar="ENV")
@click.argument("digest", metavar="[DIGEST]", default="")
@click.option("--entry", type=click.IntRange(min=0), help="The log entry whose document it is, for DIGEST.")
@click.option("--reason-code", required=True, help="Why, as a code: it stands in the entry, for good.")
@click.option("--note", default="", help="Why, for people: a document of its own, erasable in turn.")
@pass_settings
def erase(
    settings: Settings, environment: str, digest: str, *, entry: int | None, reason_code: str, note: str
) -> None:
    """Erase one document that entries of ENV's log rest on: a note, a reason, or a person's signed word.

    DIGEST is the document's SHA-256, as the entry names it. Its bytes go for good, and an entry says so;
    every entry, receipt and checkpoint holds as before. Exports, backups and replicas are not reached.

    Examples:
      carnet audit erase prod 5f70bf18… --reason-code person-request --as erin
      carnet audit erase prod --entry 1207 --reason-code person-request --as erin
    """
    if (entry is None) == (not digest):
        raise click.UsageError("name the document by its DIGEST, or its entry with --entry")
    with settings.client() as client:
        if entry is not None:
            digest = client.entry_note(environment, entry)
        result = client.erase_document(environment, digest, reason_code, note=note)
    index = result.receipt.receipt.index
    said = "was erased before" if result.erased_before else "is erased"
    emit(
        settings,
        result,
        lambda page: page.print(
            printable(f"the document {digest} {said}: {result.reason_code} (log entry {index}, verified)"),
            soft_wrap=True,
        ),
    )


def print_erasures(page: Console, erasures: Iterable[Erasure]) -> None:
    """Print every document that was erased, as entries tell: no findings."""
    for each in erasures:
        rested = ", ".join(f"{at}" for at in each.entries) or "none directly"
        page.print("ERASED", style="bold yellow")
        print_fields(
            page,
            (
                ("where", f"{each.environment}, entry {each.index}, {when(each.erased_at)}"),
                ("what", f"{each.digest}, of {', '.join(each.types) or 'a rollout'} (entries: {rested})"),
                ("about", ", ".join(each.affects)),
                ("why", f"{each.reason_code}, by {each.erased_by}"),
                *(("not verified", unjudged) for unjudged in each.unjudged),
            ),
        )
