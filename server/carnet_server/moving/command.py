"""``carnet migrate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carnet.cli.exit_codes import ExitCode
from carnet.cli.output import printable, size
from carnet.cli.progress_bars import progress_shown
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.serving.moving.copying import MovedDatabase
from carnet_server.moving.house import Moved, move_house
from carnet_server.moving.pairs import parse_pairs

if TYPE_CHECKING:
    from carnet_server.moving.blobs import MovedBlobs

_SHOWN_DAMAGED = 20


@click.command(
    cls=Command,
    short_help="Move a service's metadata, log and blobs to other storage.",
)
@click.option(
    "--from",
    "sources",
    metavar="URL",
    multiple=True,
    required=True,
    help="What is moved: sqlite:///PATH, postgresql://…, file:PATH, s3://…, gs://… or az://….",
)
@click.option(
    "--to",
    "targets",
    metavar="URL",
    multiple=True,
    required=True,
    help="Where to, for the --from of the same place: an empty database, or an empty place for blobs.",
)
@pass_settings
@click.pass_context
def migrate(
    context: click.Context, settings: Settings, sources: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    """Move the metadata and log of a registry or of the promotion service, and blobs, to other storage.

    Stop the service first, and start it again with the new URLs. While its database is moved, a service that
    still runs can read and not write; what it writes after the end is lost.

    What was interrupted is gone on with when the same command is run again; until it is finished no service
    starts on the new database. At the end every row is compared, and the log's root is computed anew from
    the bytes that were copied. Exit code 6: a blob is damaged at the source (all others were moved), or the
    copy of a database is not its source.

    Example:
      carnet migrate --from sqlite:///data/registry.db --to postgresql://carnet@db.internal/dev
      carnet migrate --from file:data/blobs --to s3://models-dev
    """
    moved = move_house(
        parse_pairs(sources, targets, Path.cwd()), shown=lambda unit: progress_shown(settings, unit=unit)
    )
    if settings.json:
        click.echo(json.dumps({"moved": [_as_json(each) for each in moved]}, sort_keys=True))
    else:
        click.echo(printable("\n".join(_page(moved))))
    if any(_damaged(each) for each in moved):
        click.echo("some blobs are damaged at the source and were not moved", err=True)
        context.exit(ExitCode.INTEGRITY)


def _damaged(moved: Moved) -> tuple[str, ...]:
    return () if isinstance(moved.outcome, MovedDatabase) else moved.outcome.damaged


def _as_json(moved: Moved) -> dict[str, Any]:
    outcome = moved.outcome
    ends = {"from": moved.pair.source.shown, "to": moved.pair.target.shown}
    if isinstance(outcome, MovedDatabase):
        what: dict[str, Any] = {
            "kind": "database",
            "service": outcome.service,
            "tables": dict(outcome.tables),
            "copied_rows": outcome.copied_rows,
        }
        if outcome.facts:
            what["log"] = dict(outcome.facts)
        return ends | what
    return ends | {
        "kind": "blobs",
        "blobs": outcome.blobs,
        "size_bytes": outcome.size_bytes,
        "copied_blobs": outcome.copied_blobs,
        "copied_bytes": outcome.copied_bytes,
        "damaged": list(outcome.damaged),
    }


def _page(moved: list[Moved]) -> list[str]:
    lines = []
    for each in moved:
        outcome = each.outcome
        what = outcome.service if isinstance(outcome, MovedDatabase) else "blobs"
        lines += [f"{what}: {each.pair.source.shown}", f"  to {each.pair.target.shown}"]
        lines += _rows(outcome) if isinstance(outcome, MovedDatabase) else _blobs(outcome)
    lines.append(
        "Now write the new URLs into the service's configuration, and start it. Do not start it on the old "
        "ones again:\nwhat it writes there from now on is lost."
    )
    return lines


def _rows(outcome: MovedDatabase) -> list[str]:
    rows = sum(outcome.tables.values())
    lines = [
        f"  {rows} rows in {len(outcome.tables)} tables, equal in both; {outcome.copied_rows} copied now"
    ]
    if outcome.facts:
        lines += [
            f"  log {outcome.facts['origin']}, {outcome.facts['size']} entries, the same in both:",
            f"  root {outcome.facts['root']}",
        ]
    return lines


def _blobs(outcome: MovedBlobs) -> list[str]:
    whole = outcome.blobs - len(outcome.damaged)
    copied = f"{outcome.copied_blobs} copied now, {size(outcome.copied_bytes)}"
    lines = [f"  {whole} blobs, {size(outcome.size_bytes)}; {copied}"]
    if outcome.damaged:
        lines.append(f"  {len(outcome.damaged)} damaged at the source, not moved:")
        lines += [f"    {digest}" for digest in outcome.damaged[:_SHOWN_DAMAGED]]
        if len(outcome.damaged) > _SHOWN_DAMAGED:
            lines.append("    … (-o json names all)")
    return lines
