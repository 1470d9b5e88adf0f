"""How many changes a second the log takes from one writer and from 64, and how few commits they need.

A registry of dev on each database, each a process behind mutual TLS under the shipped policy. A change is the
cheapest call that makes an entry: a hold on a model. Rounds take turns: one writer, then 64 at once, on the
one database and then on the other; a ratio is of one round's rates. Commits are counted in what the databases
themselves keep of them, and not by the writer: on SQLite in the frames of the write-ahead log that end a
transaction, on PostgreSQL by the transactions that the log's rows are from (``xmin``).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import struct
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

import carnet
from benchmarks.bundles import make_bundle
from benchmarks.registries import Registries
from benchmarks.report import Report, Row
from carnet.client.channel import TlsIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.registry.v1 import retention_pb2
from carnet_server.config import load_config
from carnet_server.local.files import read_variables
from carnet_server.local.stores import Stores, variables_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITERS = 64
RATE_LIMITS = {"SQLite": 3.0, "PostgreSQL": 2.0}
COMMITS_LIMIT = 0.05
ROUNDS = 7
QUICK_ROUNDS = 1
SECONDS_EACH = 3.0
QUICK_SECONDS_EACH = 0.5
_STORES = {"SQLite": Stores(), "PostgreSQL": Stores(database="postgres")}
# The first carries a long write-ahead log over into the database, the next begins it anew; from then on a
# reader keeps it from being begun again.
_CALLS_BEFORE = 3
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS_EACH) if quick else (ROUNDS, SECONDS_EACH)
    with ExitStack() as stack:
        folders = {
            name: stack.enter_context(Registries(work / name.lower(), "pull", stores=stores)).folder
            for name, stores in _STORES.items()
        }
        for folder in folders.values():
            _publish_model(work, folder)
        found = asyncio.run(_measure(folders, rounds, seconds))
    rows = []
    for name, of in found.items():
        rate = median(many / one for one, many in zip(of["one"], of["many"], strict=True))
        rows += [
            Row(
                f"{name}: changes a second by {WRITERS} writers, against one",
                f"{median(of['many']):.0f}",
                f"{median(of['one']):.0f}",
                rate,
                held=None if quick else rate >= RATE_LIMITS[name],
            ),
            Row(
                f"{name}: commits for an entry at {WRITERS} writers",
                f"{median(of['commits']):.3f}",
                f"{COMMITS_LIMIT}",
                median(of["commits"]) / COMMITS_LIMIT,
                held=None if quick else median(of["commits"]) <= COMMITS_LIMIT,
            ),
        ]
    return Report(
        name="appending",
        question="Changes with an entry each, over mutual TLS: one writer and many",
        rows=rows,
        figures={"limits": RATE_LIMITS, "commits_limit": COMMITS_LIMIT, "writers": WRITERS, "rounds": found},
        notes=[
            f"medians of {rounds} rounds of {seconds:g} s; what is demanded: "
            + ", ".join(f"{limit:g} times the rate on {name}" for name, limit in RATE_LIMITS.items()),
        ],
    )


def _publish_model(work: Path, folder: Path) -> None:
    bundle = make_bundle(work / f"{folder.name}-bundle", {"model.bin": 1024})
    with carnet.connect(folder, identity="ci") as ci:
        ci.push("dev/bench/model", bundle)


async def _measure(
    folders: dict[str, Path], rounds: int, seconds: float
) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {
        name: {"one": [], "many": [], "commits": []} for name in folders
    }
    for number in range(rounds + 1):
        for name, folder in folders.items():
            one, _ = await _rate(folder, 1, seconds)
            many, commits = await _rate(folder, WRITERS, seconds)
            if number:  # the first round warms up
                found[name]["one"].append(one)
                found[name]["many"].append(many)
                found[name]["commits"].append(commits)
    return found


async def _rate(folder: Path, writers: int, seconds: float) -> tuple[float, float]:
    """Return how many changes a second were answered, and how many commits an entry took."""
    federation = Federation.load(folder)
    me, pinned = federation.identity("dave"), federation.environment("dev")
    identity = TlsIdentity.load(me.certificate, me.private_key, federation.ca)
    request = retention_pb2.PlaceHoldRequest(name="namespaces/bench/models/model", reason="measured")
    async with RegistryConnection(
        pinned.endpoint, server_name=pinned.server_name, identity=identity, environment="dev"
    ) as registry:
        for _ in range(_CALLS_BEFORE):
            await registry.call(registry.retention.PlaceHold, request)
        answered = 0

        async def writer(end: float) -> None:
            nonlocal answered
            while time.perf_counter() < end:
                await registry.call(registry.retention.PlaceHold, request)
                answered += 1

        with _commits(folder) as counted:
            began = time.perf_counter()
            await asyncio.gather(*(writer(began + seconds) for _ in range(writers)))
            took = time.perf_counter() - began
    return answered / took, counted["commits"] / counted["entries"]


@contextlib.contextmanager
def _commits(folder: Path) -> Iterator[dict[str, int]]:
    """Count the commits and the entries within a block."""
    url = load_config(folder / "environments" / "dev" / "environment.yaml").database_url
    counted: dict[str, int] = {}
    if url.startswith("sqlite"):
        yield from _sqlite_commits(folder / "environments" / "dev" / "data" / "registry.db", counted)
    else:
        yield from _postgres_commits(url, variables_file(folder, "dev"), counted)


def _sqlite_commits(path: Path, counted: dict[str, int]) -> Iterator[dict[str, int]]:
    """Hold a reader open, so that the write-ahead log goes on and is not begun anew, and count in it."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        size = "SELECT size FROM log_head"
        reader.execute("BEGIN")
        (before,) = reader.execute(size).fetchone()
        salt, ended = _transactions(path)
        yield counted
        reader.execute("COMMIT")
        (after,) = reader.execute(size).fetchone()
        salt_after, ended_after = _transactions(path)
        if salt_after != salt:
            raise RuntimeError("the write-ahead log was begun anew while commits were counted")
        counted |= {"entries": after - before, "commits": ended_after - ended}


def _transactions(path: Path) -> tuple[bytes, int]:
    """Return the salt of a write-ahead log, and how many of its frames end a transaction.

    Such a frame has the size of the database after the commit in its header, all others zero (the SQLite
    database file format, section 4.1).
    """
    data = path.with_name(f"{path.name}-wal").read_bytes()
    page_bytes = struct.unpack_from(">I", data, 8)[0]
    salt = data[16:24]
    ended = 0
    for offset in range(_WAL_HEADER_BYTES, len(data) - _FRAME_HEADER_BYTES, _FRAME_HEADER_BYTES + page_bytes):
        if data[offset + 8 : offset + 16] != salt:
            break  # what was written before the log was last begun anew
        ended += struct.unpack_from(">I", data, offset + 4)[0] != 0
    return salt, ended


def _postgres_commits(url: str, variables: Path, counted: dict[str, int]) -> Iterator[dict[str, int]]:
    import psycopg  # noqa: PLC0415  only where it is run

    address = url.replace("+psycopg", "")
    password = read_variables(variables)["PGPASSWORD"]
    with psycopg.connect(address, password=password, autocommit=True) as connection:

        def one(statement: str, *parameters: int) -> tuple[int, ...]:
            row = connection.execute(statement, parameters or None).fetchone()
            assert row is not None
            return tuple(row)

        (before,) = one("SELECT size FROM log_head")
        yield counted
        (after,) = one("SELECT size FROM log_head")
        (commits,) = one(
            'SELECT count(DISTINCT xmin::text) FROM log_entries WHERE "index" >= %s AND "index" < %s',
            before,
            after,
        )
        counted |= {"entries": after - before, "commits": commits}
