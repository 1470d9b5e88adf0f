"""``carnet hygiene``: what looks neglected, and what is stored."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, print_table, size
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import Hygiene, HygieneFinding, NamespaceStorage

_TITLES = {
    "orphan": "blobs that no version names",
    "stale_alias": "aliases that nobody uses",
    "unowned_model": "models without an owner",
    "name": "names",
    "duplicate": "the same model file in several places",
    "quota": "storage near its quota",
    "unrehearsed_rollback": "protected aliases whose rollback was not rehearsed",
}
_SHOWN_RELATED = 3


@click.command(cls=Command)
@click.argument("where", metavar="ENV[/NAMESPACE]")
@click.option(
    "--stale-days",
    type=click.IntRange(min=1, max=36500),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="For how many days an alias must be still to be stale, or its rollback not rehearsed.",
)
@pass_settings
def hygiene(settings: Settings, where: str, stale_days: int) -> None:
    """Tell what looks neglected: orphans, stale aliases, missing owners, names, duplicates, storage.

    Examples:
      carnet hygiene prod
      carnet hygiene dev/risk --stale-days 90 -o json
    """
    environment, _, namespace = where.partition("/")
    with settings.client() as client:
        found = client.hygiene(environment, namespace=namespace, stale_days=stale_days)
    emit(settings, found, lambda page: _print_hygiene(page, found))


def _print_hygiene(page: Console, found: Hygiene) -> None:
    for kind, group in groupby(found.findings, key=lambda each: each.kind):
        page.print(_TITLES.get(kind, kind))
        print_table(page, ("about", "what was found", "with", "what to do"), map(_row, group))
    if not found.findings:
        page.print("nothing looks neglected")
    if found.truncated:
        page.print("there are more findings than these")
    if found.storage:
        page.print("storage")
        print_table(
            page,
            ("namespace", "models#", "versions#", "blobs#", "size", "quota size", "used#"),
            map(_storage_row, found.storage),
        )


def _row(finding: HygieneFinding) -> tuple[str, ...]:
    more = len(finding.related) - _SHOWN_RELATED
    related = ", ".join(finding.related[:_SHOWN_RELATED]) + (f" and {more} more" if more > 0 else "")
    taken = f" ({size(finding.size_bytes)})" if finding.size_bytes and finding.kind != "quota" else ""
    return finding.subject, finding.message + taken, related, finding.remedy


def _storage_row(storage: NamespaceStorage) -> tuple[object, ...]:
    quota = storage.quota_bytes
    return (
        storage.namespace,
        storage.model_count,
        storage.version_count,
        storage.blob_count,
        size(storage.size_bytes),
        size(quota) if quota else "",
        f"{storage.size_bytes / quota:.0%}" if quota else "",
    )
