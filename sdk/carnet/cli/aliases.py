"""``carnet alias``: pointers, their moves, and what is known of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from carnet.cli.alias_facts import REFERENCE, moved, report, serving_of, show, stale
from carnet.cli.marks import mark
from carnet.cli.output import emit, entry_of, firm, print_table, printable, when
from carnet.cli.settings import Group, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import Alias, AliasMove

DEFAULT_ALIAS = "champion"


@click.group(cls=Group)
def alias() -> None:
    """Set, mark, list, show, watch or remove aliases: named pointers to versions.

    Example:
      carnet alias set dev/risk/fraud@challenger 3
    """


@alias.command("set")
@click.argument("reference", metavar=REFERENCE)
@click.argument("version", type=click.IntRange(min=1))
@click.option(
    "--expected-revision",
    type=click.IntRange(min=0),
    help="Fail if the alias moved since this revision; 0 for one that must not exist.",
)
@click.option("--note", default="", help="Why, for people.")
@pass_settings
def set_alias(
    settings: Settings, reference: str, version: int, expected_revision: int | None, note: str
) -> None:
    """Point an alias at VERSION. One that the policy protects is moved by a promotion only.

    Example:
      carnet alias set dev/risk/fraud@challenger 3 --expected-revision 0
    """
    with settings.client() as client:
        change = client.set_alias(reference, version, expected_revision=expected_revision, note=note)
    emit(settings, change, lambda page: page.print(moved(change)))


@alias.command("ls")
@click.argument("reference", metavar="ENV/NAMESPACE/MODEL")
@pass_settings
def list_aliases(settings: Settings, reference: str) -> None:
    """List a model's aliases.

    Example:
      carnet alias ls prod/risk/fraud
    """
    with settings.client() as client:
        found = client.aliases(reference)

    def page_of(page: Console) -> None:
        if not found:
            page.print("no aliases here yet")
            return
        print_table(
            page,
            ("alias", "version#", "revision#", "marked#", "protected", "serving", "moved", "finality"),
            (
                (
                    each.reference,
                    each.version,
                    each.revision,
                    each.marked_version or "",
                    "yes" if each.protected else "",
                    serving_of(each),
                    when(each.updated_at),
                    firm(each.finality),
                )
                for each in found
            ),
        )

    emit(settings, {"aliases": found}, page_of)


@alias.command("history")
@click.argument("reference", metavar=REFERENCE)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@pass_settings
def history(settings: Settings, reference: str, limit: int) -> None:
    """Show an alias's moves, the newest first: when, by whom, and why.

    Example:
      carnet alias history prod/risk/fraud@champion
    """
    with settings.client() as client:
        moves = client.alias_history(reference, limit=limit)
    emit(
        settings,
        {"moves": moves},
        lambda page: print_table(
            page,
            ("revision#", "from#", "to#", "why", "reason", "note", "by", "promotion", "when", "finality"),
            (
                (
                    each.revision,
                    each.old_version or "",
                    each.new_version or "",
                    each.kind.replace("_", " "),
                    each.reason_code,
                    _note(each),
                    each.actor,
                    each.promotion,
                    when(each.moved_at),
                    firm(each.finality),
                )
                for each in moves
            ),
        ),
    )


@alias.command("rm")
@click.argument("reference", metavar=REFERENCE)
@click.option("--expected-revision", type=click.IntRange(min=1), help="Fail if it moved since.")
@click.option("--note", default="", help="Why, for people.")
@pass_settings
def remove(settings: Settings, reference: str, expected_revision: int | None, note: str) -> None:
    """Remove an alias; its history stays.

    Example:
      carnet alias rm dev/risk/fraud@challenger
    """
    with settings.client() as client:
        receipt = client.delete_alias(reference, expected_revision=expected_revision, note=note)
    emit(
        settings,
        {"removed": reference, "receipt": receipt},
        lambda page: page.print(f"{reference} is removed (log {entry_of(receipt)})"),
    )


@alias.command("watch")
@click.argument("reference", metavar=REFERENCE)
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many states; else never.")
@pass_settings
def watch(settings: Settings, reference: str, count: int | None) -> None:
    """Follow an alias: its state now, then every move. With -o json, an object a line.

    Example:
      carnet alias watch prod/risk/fraud@champion
    """
    with settings.client() as client:
        for seen, state in enumerate(client.watch_alias(reference), start=1):
            _tell(settings, state)
            if count is not None and seen >= count:
                break


alias.add_command(mark)
alias.add_command(show)
alias.add_command(stale)
alias.add_command(report)


def _note(move: AliasMove) -> str:
    untested = "without a smoke test" if move.accepted_untested else ""
    return ": ".join(each for each in (untested, move.note) if each)


def _tell(settings: Settings, state: Alias) -> None:
    if settings.json:
        from carnet.cli.json_form import as_json  # noqa: PLC0415  as in carnet.cli.output

        click.echo(json.dumps(as_json(state), ensure_ascii=False, sort_keys=True))
        return
    where = f"version {state.version} ({state.bundle_digest[:12]})" if state.version else "nothing"
    click.echo(printable(f"{when(state.updated_at)}  {state.reference} → {where}, revision {state.revision}"))
