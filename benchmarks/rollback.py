"""How long a rollback takes to reach everybody: from the command to the last of 1,000 watchers.

A thousand serving hosts watch an alias, each over a connection of its own. An operator rolls it back with the
client that ``carnet rollback`` is made of: the registry looks at the stored version, moves the alias,
commits, and tells all of them. Between two rollbacks the alias is set forward again, and all are told of that
too. In each round, a bare gRPC server tells as many watchers of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
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


class _Child:
    """A module of the benchmarks as a process that answers in lines, for as long as a block lasts."""

    def __init__(self, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=_STOP_SECONDS)

    def say(self) -> None:
        """Write a line."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")

    def answer(self) -> str:
        """Wait for a line.

        Raises:
            BenchmarkFailedError: The process has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise BenchmarkFailedError("a process of the benchmark has ended")
        return line


class _Watchers:
    """The watchers of one server, in a few processes."""

    def __init__(self, stack: ExitStack, folder: Path, count: int, *endpoint: str) -> None:
        arguments = (folder, parse_reference(_ALIAS).resource_name, count // PROCESSES, *endpoint)
        self._children = [stack.enter_context(_Child("watchers", *arguments)) for _ in range(PROCESSES)]
        if {child.answer() for child in self._children} != {"ready"}:
            raise BenchmarkFailedError("a watcher was told of a move before all were there")

    def told(self, revision: int) -> list[float]:
        """Wait until all were told of a revision; returns when each was, by the monotonic clock."""
        times: list[float] = []
        for child in self._children:
            said: dict[str, Any] = json.loads(child.answer())
            if said["revision"] != revision:
                raise BenchmarkFailedError(f"{revision} was to be told, and {said['revision']} was")
            times += said["told"]
        return times


@dataclass(frozen=True)
class _Round:
    """One rollback.

    Attributes:
        answered: After how many seconds the command was answered.
        told: After how many seconds each watcher was told.
        spread: From the first watcher that was told to the last, in seconds.
        bare: The same of the bare server.
    """

    answered: float
    told: list[float]
    spread: float
    bare: float


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder."""
    count = QUICK_WATCHERS if quick else WATCHERS
    rollbacks = QUICK_ROLLBACKS if quick else ROLLBACKS
    with Registries(work / "registries", "pull") as registries, ExitStack() as stack:
        client = stack.enter_context(registries.client())
        for number in (1, 2):
            registries.push(make_bundle(work / f"bundle-{number}", {"model.bin": number * KIB}))
            client.set_alias(_ALIAS, number)
        watchers = _Watchers(stack, registries.folder, count)
        bare = stack.enter_context(_Child("bare_teller", registries.folder))
        others = _Watchers(stack, registries.folder, count, bare.answer())
        rounds = []
        for number in range(1, WARM_UP + rollbacks + 1):
            answered, told = _roll_back(client, watchers)
            bare.say()
            at = others.told(number)
            rounds.append(_Round(answered, told, max(told) - min(told), max(at) - min(at)))
    rounds = rounds[WARM_UP:]
    return Report(
        name="rollback",
        question=f"A rollback: from the command to {count} watchers over mutual TLS",
        rows=_rows(rounds, quick=quick),
        figures={
            "watchers": count,
            "answered_seconds": [each.answered for each in rounds],
            "first_told_seconds": [min(each.told) for each in rounds],
            "last_told_seconds": [max(each.told) for each in rounds],
            "spread_seconds": [each.spread for each in rounds],
            "bare_spread_seconds": [each.bare for each in rounds],
        },
        notes=[f"{rollbacks} rollbacks; {2 * PROCESSES} processes hold the watchers, on the same cores"],
    )


def _rows(rounds: list[_Round], *, quick: bool) -> list[Row]:
    last = [max(each.told) for each in rounds]
    told = [at for each in rounds for at in each.told]
    spread, bare = [each.spread for each in rounds], [each.bare for each in rounds]
    demanded = _p99(last)
    return [
        _row(
            "every watcher is told, p99 of the rollbacks",
            demanded,
            held=None if quick else demanded <= LIMIT_SECONDS,
        ),
        _row("every watcher is told, median of the rollbacks", median(last)),
        _row("a watcher is told, p99 of all watchers and rollbacks", _p99(told)),
        _row("the command is answered, median", median(each.answered for each in rounds)),
        Row(
            "from the first watcher to the last, against bare gRPC",
            _in_ms(median(spread)),
            _in_ms(median(bare)),
            median(mine / other for mine, other in zip(spread, bare, strict=True)),
        ),
    ]


def _row(what: str, seconds: float, *, held: bool | None = None) -> Row:
    return Row(what, _in_ms(seconds), _in_ms(LIMIT_SECONDS), seconds / LIMIT_SECONDS, held=held)


def _p99(figures: list[float]) -> float:
    return quantiles(figures, n=100, method="inclusive")[98]


def _roll_back(client: carnet.Client, watchers: _Watchers) -> tuple[float, list[float]]:
    """Roll back once and set forward again; returns when the answer came, and when each watcher was told."""
    began = time.monotonic()
    change = client.rollback(_ALIAS, "benchmark")
    answered = time.monotonic() - began
    told = [at - began for at in watchers.told(change.alias.revision)]
    watchers.told(client.set_alias(_ALIAS, 2).alias.revision)
    return answered, told


def _in_ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
