"""How long a rollback takes to reach everybody: from the command to the last of 1,000 watchers.

A thousand serving hosts watch an alias, each over a connection of its own. An operator rolls it back with the
client that ``carnet rollback`` is made of: the registry looks at the stored version, moves the alias,
commits, and tells all of them. Between two rollbacks the alias is set forward again, and all are told of that
too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Self

from benchmarks.bundles import make_bundle
from benchmarks.registries import MODEL, BenchmarkFailedError, Registries
from benchmarks.report import Report, Row
from benchmarks.sizes import KIB
from carnet.references import parse_reference

if TYPE_CHECKING:
    from pathlib import Path

    import carnet

LIMIT_SECONDS = 0.2
WATCHERS = 1000
QUICK_WATCHERS = 100
PROCESSES = 2
ROLLBACKS = 50
QUICK_ROLLBACKS = 5
WARM_UP = 3
_ALIAS = f"{MODEL}@champion"
_STOP_SECONDS = 10.0


class _Watchers:
    """A process with many watchers, for as long as a block lasts."""

    def __init__(self, folder: Path, count: int) -> None:
        name = parse_reference(_ALIAS).resource_name
        command = [sys.executable, "-m", "benchmarks.watchers", str(folder), name, str(count)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(_STOP_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_until_ready(self) -> None:
        """Wait until all were told the present state."""
        if self._read() != "ready":
            raise BenchmarkFailedError("a watcher was told of a move before all were there")

    def told(self, revision: int) -> list[float]:
        """Wait until all were told of a revision; returns when each was, by the monotonic clock."""
        said: dict[str, Any] = json.loads(self._read())
        if said["revision"] != revision:
            raise BenchmarkFailedError(f"revision {revision} was to be told, and {said['revision']} was")
        times: list[float] = said["told"]
        return times

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise BenchmarkFailedError("the watchers have ended")
        return line


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder."""
    count = QUICK_WATCHERS if quick else WATCHERS
    rollbacks = QUICK_ROLLBACKS if quick else ROLLBACKS
    with Registries(work / "registries", "pull") as registries, ExitStack() as stack:
        client = stack.enter_context(registries.client())
        for number in (1, 2):
            registries.push(make_bundle(work / f"bundle-{number}", {"model.bin": number * KIB}))
            client.set_alias(_ALIAS, number)
        each = count // PROCESSES
        watchers = [stack.enter_context(_Watchers(registries.folder, each)) for _ in range(PROCESSES)]
        for process in watchers:
            process.wait_until_ready()
        measured = [_roll_back(client, watchers) for _ in range(WARM_UP + rollbacks)][WARM_UP:]
    answered = [answer for answer, _ in measured]
    told = [seconds for _, times in measured for seconds in times]
    last = [max(times) for _, times in measured]
    return Report(
        name="rollback",
        question=f"A rollback: from the command to {count} watchers over mutual TLS",
        rows=_rows(answered, told, last, quick=quick),
        figures={
            "watchers": count,
            "rollbacks": rollbacks,
            "answered_seconds": answered,
            "told_seconds": {"p50": median(told), "p99": _p99(told), "max": max(told)},
            "last_told_seconds": last,
        },
        notes=[
            f"{rollbacks} rollbacks; {PROCESSES} processes hold the watchers, on the registry's own cores"
        ],
    )


def _rows(answered: list[float], told: list[float], last: list[float], *, quick: bool) -> list[Row]:
    figures = {
        "every watcher is told, p99 of the rollbacks": _p99(last),
        "every watcher is told, median of the rollbacks": median(last),
        "a watcher is told, p99 of all watchers and rollbacks": _p99(told),
        "a watcher is told, median": median(told),
        "the command is answered, median": median(answered),
    }
    return [
        Row(
            what,
            f"{seconds * 1000:.0f} ms",
            f"{LIMIT_SECONDS * 1000:.0f} ms",
            seconds / LIMIT_SECONDS,
            held=seconds <= LIMIT_SECONDS
            if what.startswith("every") and "p99" in what and not quick
            else None,
        )
        for what, seconds in figures.items()
    ]


def _p99(figures: list[float]) -> float:
    return quantiles(figures, n=100, method="inclusive")[98]


def _roll_back(client: carnet.Client, watchers: list[_Watchers]) -> tuple[float, list[float]]:
    """Roll back once and set forward again; returns how long the answer took, and each watcher's news."""
    began = time.monotonic()
    change = client.rollback(_ALIAS, "benchmark")
    answered = time.monotonic() - began
    told = [at - began for each in watchers for at in each.told(change.alias.revision)]
    forward = client.set_alias(_ALIAS, 2)
    for each in watchers:
        each.told(forward.alias.revision)
    return answered, told
