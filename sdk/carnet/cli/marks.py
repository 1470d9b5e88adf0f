"""``carnet alias mark``: blessing the known-good version of an alias."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, entry_of, when
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from carnet.client.results import Alias, MarkChange


@click.command("mark", cls=Command)
@click.argument("reference", metavar="ENV/NAMESPACE/MODEL@ALIAS")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--clear", "clears", is_flag=True, help="Take the mark away instead.")
@click.option(
    "--expected",
    type=click.IntRange(min=0),
    help="Fail if another version than this is marked now; 0 for none.",
)
@click.option("--note", default="", help="Why, for people.")
@pass_settings
def mark(
    settings: Settings, reference: str, version: int | None, *, clears: bool, expected: int | None, note: str
) -> None:
    """Mark VERSION as the known-good one of an alias, which it points at or pointed at before.

    An alias has one mark at most. Hosts keep the marked version on disk, and `carnet rollback --to-mark`
    leads to it.

    Examples:
      carnet alias mark prod/risk/fraud@champion 3 --note "a quarter without an incident"
      carnet alias mark prod/risk/fraud@champion --clear
    """
    if clears is (version is not None):
        raise click.UsageError("name a VERSION to mark, or --clear to take the mark away")
    with settings.client() as client:
        if version is None:
            change = client.unmark_champion(reference, expected_marked_version=expected, note=note)
        else:
            change = client.mark_champion(reference, version, expected_marked_version=expected, note=note)
    emit(settings, change, lambda page: page.print(_changed(change)))


def mark_of(state: Alias) -> str:
    """Return since when, by whom and why a version is marked; empty where none is."""
    if not state.marked_version:
        return ""
    why = f": {state.mark_note}" if state.mark_note else ""
    return f"since {when(state.marked_at)} by {state.marked_by}{why}"


def _changed(change: MarkChange) -> str:
    state, old = change.alias, change.old_marked_version
    if state.marked_version:
        before = f", instead of version {old}" if old not in (0, state.marked_version) else ""
        told = f"version {state.marked_version} is marked as known-good for {state.reference}{before}"
    else:
        told = f"no version is marked for {state.reference} any more; it was version {old}"
    return f"{told} (log {entry_of(change.receipt)})"
