"""Progress on stderr: bars on a terminal, a line for each stage elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from carnet.cli.output import console, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from carnet.cli.settings import Settings
    from carnet.client.progress import Progress


@contextlib.contextmanager
def progress_shown(settings: Settings, *, unit: str = "bytes") -> Iterator[Progress]:
    """Show progress while a block runs.

    Args:
        settings: The global options.
        unit: ``bytes``, or what else is counted.

    Yields:
        The callback to hand to the client.
    """
    if not sys.stderr.isatty():
        yield _Lines(unit)
        return
    del settings
    with _bars(unit) as bars:
        yield _Bars(bars)


class _Lines:
    """Says once that a stage begins."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._told: set[str] = set()

    def __call__(self, stage: str, done: int, total: int) -> None:
        del done
        if stage not in self._told:
            self._told.add(stage)
            amount = size(total) if self._unit == "bytes" else f"{total} {self._unit}"
            click.echo(f"{stage} {amount}", err=True)


class _Bars:
    """Moves one bar for each stage."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


def _bars(unit: str) -> Bars:
    from rich import progress  # noqa: PLC0415  only where a terminal looks

    amount = (
        [progress.DownloadColumn(binary_units=True), progress.TransferSpeedColumn()]
        if unit == "bytes"
        else [progress.MofNCompleteColumn()]
    )
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        *amount,
        progress.TimeRemainingColumn(),
        console=console(sys.stderr),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
