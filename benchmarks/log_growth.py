"""What an entry and a proof cost in a log of ten million entries, against one of ten thousand.

Both logs are on the disk side by side, on SQLite and on PostgreSQL, with the writer and the service that a
registry has, in this process. Their leaves are small and made up, and their hashes real. Rounds take turns;
a ratio is of one round's times, and the median of the rounds is told. Proofs are for places all over the log.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from benchmarks.report import Report, Row
from benchmarks.seeded_log import seed
from carnet.translog.entry import Actor, EntryType
from carnet.translog.keys import LogKey
from carnet.translog.receipt import verify_receipt
from carnet_server.config import load_config
from carnet_server.database.engine import Database
from carnet_server.local.files import read_variables
from carnet_server.local.health import wait_until_serving
from carnet_server.local.initialise import initialise
from carnet_server.local.processes import processes_of
from carnet_server.local.stores import POSTGRES, Stores, variables_file
from carnet_server.log.service import LogService
from carnet_server.log.transaction import EntryDraft
from carnet_server.log.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from carnet_server.log.transaction import Transaction

SMALL, LARGE = 10_000, 10_000_000
QUICK_SMALL, QUICK_LARGE = 1_000, 20_000
APPEND_LIMIT = 1.2
PROOF_LIMIT = 2.0
ROUNDS = 15
QUICK_ROUNDS = 3
APPENDED_EACH = 64
PROVED_EACH = 100
_BASE_PORT = 17500
_ORIGIN = "carnet.internal/bench"
_ACTOR = Actor("spiffe://carnet.internal/service/ci", "spiffe://carnet.internal", "mtls")


class _Log:
    """A seeded log with its writer and service."""

    def __init__(self, url: str, key: LogKey, size: int) -> None:
        self.size = size
        self._key = key
        self._draw = random.Random(size)
        self._database = Database(url)
        self._service = LogService(self._database)
        self._writer = Writer(self._database, environment="bench", key=key, on_commit=self._service.on_commit)

    def attach(self) -> None:
        self._service.attach(self._writer, asyncio.get_running_loop())

    def close(self) -> None:
        self._writer.stop()
        self._database.close()

    async def _append(self) -> None:
        def change(tx: Transaction) -> None:
            subject = {"namespace": "bench", "model": "model", "alias": "latest", "version": 1}
            tx.append(EntryDraft(EntryType.ALIAS_MOVED, _ACTOR, subject, old="1", new="1"))

        await self._writer.commit(change)

    async def append_alone(self) -> float:
        began = time.perf_counter()
        for _ in range(APPENDED_EACH):
            await self._append()
        return (time.perf_counter() - began) / APPENDED_EACH

    async def append_together(self) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(self._append() for _ in range(APPENDED_EACH)))
        return (time.perf_counter() - began) / APPENDED_EACH

    async def prove_inclusion(self) -> float:
        places = [self._draw.randrange(self.size) for _ in range(PROVED_EACH)]
        began = time.perf_counter()
        for place in places:
            await self._service.receipt(place)
        return (time.perf_counter() - began) / PROVED_EACH

    async def prove_consistency(self) -> float:
        sizes = [self._draw.randrange(1, self.size) for _ in range(PROVED_EACH)]
        began = time.perf_counter()
        for size in sizes:
            await self._service.consistency(size, 0)
        return (time.perf_counter() - began) / PROVED_EACH

    async def require_right(self) -> None:
        """Insist that the log is one: a leaf's receipt verifies as far as one that is no entry can."""
        await self._append()
        verify_receipt(await self._service.receipt(self._service.size - 1), self._key.verifier)


_KINDS: dict[str, tuple[float, Callable[[_Log], Awaitable[float]]]] = {
    "appending one entry": (APPEND_LIMIT, _Log.append_alone),
    f"appending {APPENDED_EACH} at once, each": (APPEND_LIMIT, _Log.append_together),
    "an inclusion proof": (PROOF_LIMIT, _Log.prove_inclusion),
    "a consistency proof": (PROOF_LIMIT, _Log.prove_consistency),
}


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder."""
    sizes = (QUICK_SMALL, QUICK_LARGE) if quick else (SMALL, LARGE)
    rounds = QUICK_ROUNDS if quick else ROUNDS
    key = LogKey.generate(_ORIGIN)
    rows: list[Row] = []
    figures: dict[str, object] = {"sizes": sizes, "rounds": rounds}
    with ExitStack() as stack:
        for name, urls in (("SQLite", _sqlite(work)), ("PostgreSQL", _postgres(work, stack))):
            began = time.perf_counter()
            for url, size in zip(urls, sizes, strict=True):
                seed(url, _ORIGIN, size)
            seeded = time.perf_counter() - began
            times = asyncio.run(_measure(urls, key, sizes, rounds))
            figures[name] = {"seeding_seconds": seeded, "seconds": times}
            for what, (limit, _) in _KINDS.items():
                small, large = times[what]
                ratio = median(mine / other for mine, other in zip(large, small, strict=True))
                rows.append(
                    Row(
                        f"{name}: {what}, at {sizes[1]:,} entries",
                        f"{median(large) * 1000:.2f} ms",
                        f"at {sizes[0]:,}: {median(small) * 1000:.2f} ms",
                        ratio,
                        held=None if quick else ratio <= limit,
                    )
                )
    return Report(
        name="log_growth",
        question=f"The log at {sizes[1]:,} entries against {sizes[0]:,}",
        rows=rows,
        figures=figures,
        notes=[
            f"medians of {rounds} rounds; demanded: {APPEND_LIMIT} of an entry, {PROOF_LIMIT:g} of a proof"
        ],
    )


def _sqlite(work: Path) -> list[str]:
    return [f"sqlite:///{work}/{name}.db" for name in ("small", "large")]


def _postgres(work: Path, stack: ExitStack) -> list[str]:
    """Start a PostgreSQL server, and return the URLs of two empty databases."""
    folder = work / "postgres"
    initialise(folder, base_port=_BASE_PORT, stores=Stores(database="postgres"))
    (server,) = (process for process in processes_of(folder) if process.name == POSTGRES)
    server.start()
    stack.callback(server.stop)
    wait_until_serving([server])
    urls = []
    for name in ("dev", "staging"):
        url = make_url(load_config(folder / "environments" / name / "environment.yaml").database_url)
        password = read_variables(variables_file(folder, name))["PGPASSWORD"]
        urls.append(url.set(password=password).render_as_string(hide_password=False))
    return urls


async def _measure(
    urls: list[str], key: LogKey, sizes: tuple[int, int], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    times: dict[str, tuple[list[float], list[float]]] = {what: ([], []) for what in _KINDS}
    logs = [_Log(url, key, size) for url, size in zip(urls, sizes, strict=True)]
    try:
        for log in logs:
            log.attach()
            await log.require_right()
        for number in range(rounds + 1):
            for what, (_, measure) in _KINDS.items():
                for place, log in enumerate(logs):
                    taken = await measure(log)
                    if number:  # the first round warms up
                        times[what][place].append(taken)
    finally:
        for log in logs:
            log.close()
    return times
