"""``carnet rollout traffic`` and ``metrics``: what hosts read and what monitors report, for scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from carnet.canonical import sha256_hex
from carnet.cli.aliases import DEFAULT_ALIAS
from carnet.cli.durations import percentage
from carnet.cli.output import emit, print_table, printable, short
from carnet.cli.settings import Command, Settings, pass_settings
from carnet.documents import read_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from carnet.client.client import Client
    from carnet.client.results import MetricPoint, MetricsReport, Traffic, TrafficTarget

REFERENCE = "ENV/NAMESPACE/MODEL[@ALIAS]"
_BATCH = 1000


def alias_meant(reference: str) -> str:
    """Return a reference with the alias that is meant where none is named."""
    return reference if "@" in reference else f"{reference}@{DEFAULT_ALIAS}"


def number_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--number`` to a command."""
    option = click.option(
        "--number", type=click.IntRange(min=1), help="Which of the alias's rollouts; else the newest."
    )
    return option(command)


@click.command("traffic", cls=Command)
@click.argument("reference", metavar=REFERENCE)
@click.option("--watch", "follows", is_flag=True, help="Follow it: as it is now, then every change.")
@click.option("--count", type=click.IntRange(min=1), help="With --watch: stop after so many states.")
@pass_settings
def traffic(settings: Settings, reference: str, *, follows: bool, count: int | None) -> None:
    """Show who gets which share of an alias's traffic. With --watch and -o json, an object a line.

    Examples:
      carnet rollout traffic prod/risk/fraud
      carnet rollout traffic prod/risk/fraud --watch -o json
    """
    pointed = alias_meant(reference)
    with settings.client() as client:
        if follows:
            for seen, state in enumerate(client.watch_traffic(pointed), start=1):
                _tell(settings, state)
                if count is not None and seen >= count:
                    return
        found = client.traffic(pointed)
    emit(settings, found, lambda page: _print_traffic(page, found))


def _tell(settings: Settings, state: Traffic) -> None:
    if settings.json:
        from carnet.cli.json_form import as_json  # noqa: PLC0415  as in carnet.cli.output

        click.echo(json.dumps(as_json(state), ensure_ascii=False, sort_keys=True))
        return
    click.echo(printable(f"revision {state.revision}: {_line(state)}"))


def _line(state: Traffic) -> str:
    answering = ", ".join(_target(each) for each in state.answering) or "nobody answers"
    mirrored = ", ".join(_target(each) for each in state.mirrored)
    because = f" (rollout {state.rollout})" if state.rollout else ""
    return f"{answering}{f'; mirrored: {mirrored}' if mirrored else ''}{because}"


def _target(target: TrafficTarget) -> str:
    return f"version {target.version} {percentage(target.share)}"


def _print_traffic(page: Console, state: Traffic) -> None:
    because = f", by rollout {state.rollout}" if state.rollout else ""
    page.print(f"{state.reference}, revision {state.revision}{because}")
    if not state.answering:
        page.print("it points at nothing: nobody answers")
        return
    groups = (("answers", state.answering), ("is mirrored to", state.mirrored))
    print_table(
        page,
        ("version#", "", "share#", "digest"),
        (
            (each.version, what, percentage(each.share), short(each.bundle_digest))
            for what, targets in groups
            for each in targets
        ),
    )


@click.command("metrics", cls=Command)
@click.argument("reference", metavar=REFERENCE)
@click.option(
    "--file",
    "path",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Points, a JSON object a line; - for stdin.",
)
@number_option
@click.option("--request-id", default="", help="The batch's id; else one by its bytes.")
@pass_settings
def metrics(settings: Settings, reference: str, *, path: Path, number: int | None, request_id: str) -> None:
    """Report what a monitor measured of the two versions. The same file again is the same batch.

    Example:
      carnet rollout metrics prod/risk/fraud --file points.jsonl --as monitor
    """
    from carnet.cli.metric_points import read_points  # noqa: PLC0415  loads pydantic

    pointed = alias_meant(reference)
    data = sys.stdin.buffer.read() if str(path) == "-" else read_file(path, what="the points")
    points = read_points(data, name="stdin" if str(path) == "-" else path.name)
    with settings.client() as client:
        found = number or client.rollout(pointed).number
        batch = request_id or sha256_hex(data)[:48]
        reports = _report(client, pointed, points, number=found, request_id=batch)
    accepted = sum(each.accepted_count for each in reports)
    answer = {
        "rollout": found,
        "state": reports[-1].state,
        "point_count": len(points),
        "accepted_count": accepted,
        "reporting_interval": reports[-1].reporting_interval,
    }
    emit(
        settings,
        answer,
        lambda page: page.print(
            f"{accepted} of {len(points)} points were taken; rollout {found} is {reports[-1].state}"
        ),
    )


def _report(
    client: Client, reference: str, points: list[MetricPoint], *, number: int, request_id: str
) -> list[MetricsReport]:
    """Send points in batches whose ids are made of one."""
    batches = [points[start : start + _BATCH] for start in range(0, len(points), _BATCH)]
    return [
        client.report_metrics(
            reference,
            batch,
            number=number,
            request_id=request_id if len(batches) == 1 else f"{request_id}-{place}",
        )
        for place, batch in enumerate(batches, start=1)
    ]
