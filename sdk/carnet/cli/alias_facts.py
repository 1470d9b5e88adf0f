"""``carnet alias show``, ``stale`` and ``report``: what is known of aliases beside where they point."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from carnet.cli.marks import mark_of
from carnet.cli.output import emit, entry_of, firm, print_fields, print_table, short, when
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import Alias, AliasChange, WarmVersion

REFERENCE = "ENV/NAMESPACE/MODEL@ALIAS"
DEFAULT_DAYS = 30


@click.command("show", cls=Command)
@click.argument("reference", metavar=REFERENCE)
@click.option("--warm", type=click.IntRange(0, 20), default=0, help="List so many versions to keep on disk.")
@pass_settings
def show(settings: Settings, reference: str, warm: int) -> None:
    """Show an alias as pointer and as fact: what it points at, and what serving hosts run.

    Example:
      carnet alias show prod/risk/fraud@champion --warm 3
    """
    with settings.client() as client:
        state = client.alias(reference)
        kept = client.warm_versions(reference, warm) if warm else ()
    answer = {"alias": state} | ({"warm": kept} if warm else {})
    emit(settings, answer, lambda page: _show(page, state, kept))


@click.command("stale", cls=Command)
@click.argument("place", metavar="ENV[/NAMESPACE]")
@click.option(
    "--days", type=click.IntRange(0, 36_500), default=DEFAULT_DAYS, show_default=True, help="For how long."
)
@pass_settings
def stale(settings: Settings, place: str, days: int) -> None:
    """List aliases that nobody moved, nobody resolved, or that pointed at a revoked version, for some days.

    Example:
      carnet alias stale prod --days 90
    """
    environment, _, namespace = place.partition("/")
    with settings.client() as client:
        found = client.stale_aliases(environment, namespace=namespace, days=days)

    def page_of(page: Console) -> None:
        if not found:
            page.print(f"no alias is stale for {days} days")
            return
        print_table(
            page,
            ("alias", "version#", "why", "moved", "resolved", "times#"),
            (
                (
                    each.alias.reference,
                    each.alias.version,
                    ", ".join(each.reasons),
                    when(each.alias.updated_at),
                    when(each.last_resolved_at) or "never",
                    each.resolve_count,
                )
                for each in found
            ),
        )

    emit(settings, {"stale": found}, page_of)


@click.command("report", cls=Command)
@click.argument("reference", metavar=REFERENCE)
@click.option("--instance", default=socket.gethostname, show_default="this host's name", help="Which one.")
@click.option("--digest", required=True, metavar="DIGEST", help="The digest of the bundle that runs.")
@click.option("--revision", required=True, type=click.IntRange(min=1), help="The revision that it follows.")
@pass_settings
def report(settings: Settings, reference: str, instance: str, digest: str, revision: int) -> None:
    """Tell the registry what an instance of a serving host runs. Repeat it before it expires.

    Example:
      carnet alias report prod/risk/fraud@champion --digest 4f1c… --revision 7
    """
    with settings.client() as client:
        said = client.report_serving(reference, instance=instance, bundle_digest=digest, revision=revision)

    def page_of(page: Console) -> None:
        page.print(f"{instance} is counted for {said.ttl_seconds} s")
        if said.drifted:
            page.print(
                f"what runs there is not what {said.alias.reference} points at, nor what it did before"
            )
        elif said.alias.bundle_digest != digest:
            page.print(f"{said.alias.reference} points at version {said.alias.version} now")

    emit(settings, said, page_of)


def moved(change: AliasChange) -> str:
    """Return a line about a move."""
    state = change.alias
    left = f", back from version {change.rolled_back_version}" if change.rolled_back_version else ""
    return (
        f"{state.reference} points at version {state.version}{left} "
        f"(revision {state.revision}, log {entry_of(change.receipt)})"
    )


def serving_of(state: Alias) -> str:
    """Return how many of an alias's instances run what it points at; empty where none reports."""
    serving = state.serving
    return f"{serving.current_count}/{serving.instance_count}" if serving else ""


def _show(page: Console, state: Alias, kept: tuple[WarmVersion, ...]) -> None:
    serving = state.serving
    print_fields(
        page,
        [
            ("alias", state.reference),
            ("version", state.version),
            ("digest", state.bundle_digest),
            ("revision", state.revision),
            ("protected", "yes" if state.protected else ""),
            ("moved", ", ".join(filter(None, (when(state.updated_at), firm(state.finality))))),
            ("known-good", f"version {state.marked_version} {mark_of(state)}" if mark_of(state) else ""),
            ("last drill", when(state.last_drill_at) or "never"),
            ("serving", f"{serving_of(state)} instances run it" if serving else "no host reports"),
            ("keep on disk", ", ".join(f"{each.version} ({short(each.bundle_digest)})" for each in kept)),
        ],
    )
    if serving is None:
        return
    print_table(
        page,
        ("revision#", "digest", "instances#"),
        ((each.revision, short(each.bundle_digest), each.instance_count) for each in serving.revisions),
    )
    for name in serving.lagging:
        page.print(f"another: {name}")
