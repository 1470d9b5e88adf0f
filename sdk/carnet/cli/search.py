"""``carnet search``: finding versions by what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from carnet.cli.output import emit, number, print_table, when
from carnet.cli.settings import Command, Settings, pass_settings

if TYPE_CHECKING:
    from rich.console import Console

    from carnet.client.results import FoundVersion

DEFAULT_LIMIT = 100


@click.command(cls=Command)
@click.argument("where", metavar="ENV[/NAMESPACE[/MODEL]]")
@click.argument("query", metavar="[FILTER]", required=False, default="")
@click.option("--order-by", metavar="FIELDS", default="", help="Such as 'metrics.roc_auc desc, create_time'.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="How many at most; 0 for all.",
)
@pass_settings
def search(settings: Settings, where: str, query: str, order_by: str, limit: int) -> None:
    """Find versions; the newest come first. docs/search.md lists every field.

    Examples:
      carnet search prod 'aliases:champion AND age > 90d'
      carnet search dev 'metrics.roc_auc > 0.95 AND labels.region = "eu"'
      carnet search dev/risk 'stage = registered' --order-by 'metrics.roc_auc desc' --limit 5
    """
    environment, _, rest = where.partition("/")
    namespace, _, model = rest.partition("/")
    with settings.client() as client:
        found = list(
            client.search(
                environment,
                query,
                order_by=order_by,
                namespace=namespace,
                model=model,
                # One more than is shown, to know whether there are more.
                limit=limit + 1 if limit else 0,
            )
        )
    more = bool(limit) and len(found) > limit
    shown = found[:limit] if limit else found
    emit(settings, {"versions": shown, "more": more}, lambda page: _print_found(page, shown, more=more))


def _print_found(page: Console, found: list[FoundVersion], *, more: bool) -> None:
    if not found:
        page.print("no version is like that")
        return
    print_table(
        page,
        ("version", "stage", "aliases", "metrics", "labels", "arrived"),
        (
            (
                each.version.reference,
                f"{each.version.stage}, purged" if each.version.purged_at else each.version.stage,
                ", ".join(each.aliases),
                ", ".join(f"{name}={number(value)}" for name, value in sorted(each.metrics.items())),
                ", ".join(f"{name}={value}" for name, value in sorted(each.labels.items())),
                when(each.version.created_at),
            )
            for each in found
        ),
    )
    if more:
        page.print("there are more: --limit says how many are shown")
