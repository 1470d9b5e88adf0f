"""Killing one of the processes that carry a promotion at a chosen step, and what must be seen meanwhile.

So that a kill comes neither too soon nor too late, whoever makes the step is held still while the other one, or
it itself, is killed; where nobody is held, everything runs on until the kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sqlite3
import threading
import time
import uuid
import zlib
from pathlib import Path

import pytest

from carnet.client.results import PromotionState
from carnet.errors import CancelledError, CarnetError, DeadlineExceededError, NotFoundError, UnavailableError
from carnet.registry.v1 import blobs_pb2
from tests.support.bundles import make_bundle_directory

NAMESPACE = "risk"
IN_THE_MIDDLE_BYTES = 4 << 20
ENDED = {"SUCCEEDED", "REJECTED", "FAILED", "CANCELLED"}
AWAY = (UnavailableError, DeadlineExceededError, CancelledError)
VICTIMS = {"source": "dev", "target": "staging", "sync": "sync"}
ATTEMPTS = 15


def until(condition, *, timeout_seconds: float = 30.0, every_seconds: float = 0.0005):
    """Wait for a condition to be true, looking often enough to be quick about it; returns what it was."""
    end = time.monotonic() + timeout_seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {timeout_seconds} s: {condition}"
        time.sleep(every_seconds)
    return found


class Spectator:
    """Asks a target, again and again, for a version and the alias that comes with it.

    Between nothing and a version that verifies to its last byte there is nothing to be seen, and what was seen
    once stays. ``problems`` says what was seen otherwise.
    """

    def __init__(self, federation, environment: str, model: str, *, alias: str = "champion"):
        self.looks = 0
        self.whole = False
        self.problems: list[str] = []
        self._federation = federation
        self._version = f"{environment}/{model}@1"
        self._alias = f"{environment}/{model}@{alias}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join(60)

    def _run(self) -> None:
        with self._federation.client("ci") as client:
            while not self._stopped.wait(0.05):
                with contextlib.suppress(*AWAY):
                    try:
                        self._look(client)
                    except CarnetError as error:
                        if isinstance(error, AWAY):
                            raise
                        self.problems.append(f"{type(error).__name__}: {error.message}")
                        return

    def _look(self, client) -> None:
        self.looks += 1
        try:
            aliased = client.resolve(self._alias)
        except NotFoundError:
            if self.whole:
                self.problems.append("the alias was seen, and is gone")
            return
        if not self.whole:
            if client.verify(self._version).bundle_digest != aliased.bundle_digest:
                self.problems.append("the alias points at another bundle than the version is")
            self.whole = True


class Case:
    """One promotion of a new model from dev to staging, and what is asked about it.

    Args:
        federation: Where.
        tmp_path: Where its files go.
        name: The model's name.
        large_bytes: How large one of its files is; 0 for a small bundle.
    """

    def __init__(self, federation, tmp_path: Path, name: str, *, large_bytes: int = 0):
        self.federation = federation
        self.model = f"{NAMESPACE}/{name}"
        self.large_bytes = large_bytes
        folder, self.large_digest = make_bundle(tmp_path, name, large_bytes)
        with federation.client("ci") as ci:
            self.reference = ci.push(f"dev/{self.model}", folder).reference
        federation.evaluate(self.reference)
        self._asking = threading.Thread(target=self._ask, daemon=True)

    def ask(self) -> None:
        """Ask for the promotion, without waiting for the answer: whoever would give it may be killed first."""
        self._asking.start()

    def _ask(self) -> None:
        with self.federation.client("ci") as ci, contextlib.suppress(*AWAY):
            ci.promote(str(self.reference), "staging", alias="champion")

    def state(self) -> str:
        """Where the promotion stands, by the promotion service's own book; empty while it is not heard of."""
        rows = self.federation.query(
            "sync", "SELECT state FROM promotions WHERE model = ?", self.reference.model
        )
        return rows[0][0] if rows else ""

    def is_at(self, moment: str, state: str) -> bool:
        """Tell whether that is a moment: in a state, or admitted by a target that alone knows of it."""
        if moment == "ADMITTED":
            return state not in ENDED and self._is_committed_at_the_target()
        return state == moment

    def comes_to(self, moment: str) -> bool:
        """Wait for a moment; False where the end was seen first."""

        def seen() -> str:
            state = self.state()
            return state if state in ENDED or self.is_at(moment, state) else ""

        return until(seen) not in ENDED

    def _is_committed_at_the_target(self) -> bool:
        return bool(
            self.federation.query("staging", "SELECT 1 FROM versions WHERE model = ?", self.reference.model)
        )

    def succeeds(self):
        """Wait for the end, which must be a good one, and return the promotion."""
        self._asking.join(60)
        rows = self.federation.query(
            "sync", "SELECT id FROM promotions WHERE model = ?", self.reference.model
        )
        assert len(rows) == 1
        with self.federation.client("ci") as ci:
            promotion = ci.wait(rows[0][0], timeout=60)
            assert promotion.state is PromotionState.SUCCEEDED, f"{promotion.state}: {promotion.message}"
            assert ci.verify(f"staging/{self.model}@champion").bundle_digest == promotion.bundle_digest
        return promotion


def seed_of(name: str) -> int:
    """A seed of its own for each name; its last digit is a letter, so that YAML takes it for no number."""
    return zlib.crc32(name.encode()) << 4 | 0xA


def unheard_of(name: str) -> str:
    """A name that begins like that and was never given."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def make_bundle(tmp_path: Path, name: str, large_bytes: int) -> tuple[Path, str]:
    """Make a bundle, and return its folder and the digest of its largest file."""
    folder = make_bundle_directory(tmp_path, seed=seed_of(name))
    file = folder / "model.bin"
    if large_bytes:
        file.write_bytes(os.urandom(large_bytes))
    return folder, hashlib.sha256(file.read_bytes()).hexdigest()


def size_of(path: Path) -> int:
    """The size of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def committed_upload(federation, environment: str, certificates: str, digest: str, size_bytes: int):
    """Ask a registry how much of the upload of a large file it holds."""

    async def ask():
        async with federation.connection(environment, certificates) as registry:
            blob = blobs_pb2.BlobRef(digest=digest, size_bytes=size_bytes)
            return await registry.call(
                registry.blobs.GetUpload,
                blobs_pb2.GetUploadRequest(parent=f"namespaces/{NAMESPACE}", blob=blob),
            )

    return asyncio.run(ask())


def _holding(federation, name: str, *, held: bool):
    return federation.frozen(name) if held else contextlib.nullcontext()


# --- a kill at a step -----------------------------------------------------------------------------------------


def outlive_a_kill(federation, tmp_path: Path, moment: str, victim: str, *, held: bool) -> None:
    """Kill one of three while a promotion is at a moment, and insist that it ends well.

    Args:
        federation: Where.
        tmp_path: Where files go.
        moment: A state, or ``ADMITTED``; see `Case.is_at`.
        victim: Who is killed.
        held: Whether the promotion service is held still at that moment, until the kill.
    """
    for _ in range(ATTEMPTS):
        case = Case(federation, tmp_path, unheard_of(f"{moment}-{victim}".lower()))
        with Spectator(federation, "staging", case.model) as spectator:
            case.ask()
            met = _kill_at(case, moment, VICTIMS[victim], held=held)
            case.succeeds()
            until(lambda spectator=spectator: spectator.whole or spectator.problems)
        assert not spectator.problems
        if met:
            return
    pytest.fail(f"{victim} was never killed before the promotion was over")


def _kill_at(case: Case, moment: str, name: str, *, held: bool) -> bool:
    """Kill a process and start it again; returns whether the promotion was at that moment."""
    with _held_at(case, moment) if held else contextlib.nullcontext(case.comes_to(moment)) as came:
        if held and not came:
            return False
        case.federation.kill(name)
        goes_on = case.state() not in ENDED
    case.federation.start(name)
    return came and goes_on


@contextlib.contextmanager
def _held_at(case: Case, moment: str):
    """Hold the promotion service still at a moment; what is yielded is False where the end was seen first.

    Nobody writes into its book while it is looked into, so that no moment passes between the look and the hold.
    """
    path = case.federation.database("sync")
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as book:

        def look() -> str:
            book.execute("BEGIN IMMEDIATE")
            rows = book.execute("SELECT state FROM promotions WHERE model = ?", (case.reference.model,))
            state = next(rows, ("",))[0]
            rows.close()
            if state in ENDED or case.is_at(moment, state):
                return state
            book.execute("ROLLBACK")
            return ""

        state = until(look)
        with case.federation.frozen("sync"):
            book.execute("ROLLBACK")
            yield state not in ENDED


# --- a kill in the middle of a transfer -----------------------------------------------------------------------


def go_on_where_it_stood(federation, tmp_path: Path, victim: str, *, large_bytes: int, held: bool) -> None:
    """Kill one of three in the middle of a transfer, and insist that the bytes that were there are kept.

    Args:
        federation: Where.
        tmp_path: Where files go.
        victim: Who is killed.
        large_bytes: How large the file is that is on its way.
        held: Whether the target is held still in the middle, until the kill.
    """
    for _ in range(ATTEMPTS):
        case = Case(federation, tmp_path, unheard_of(f"transferring-{victim}"), large_bytes=large_bytes)
        if _interrupted_transfer_is_gone_on_with(case, victim, held=held):
            return
    pytest.fail(f"{victim} was never killed in the middle of the transfer")


def _interrupted_transfer_is_gone_on_with(case: Case, victim: str, *, held: bool) -> bool:
    federation, name = case.federation, VICTIMS[victim]
    part = federation.part_file("staging", NAMESPACE, case.large_digest)
    lengths: list[int] = []
    with Spectator(federation, "staging", case.model) as spectator:
        case.ask()
        until(lambda: size_of(part) > IN_THE_MIDDLE_BYTES)
        with _holding(federation, "staging", held=held):
            if not held or _what_is_held(case, part):
                federation.kill(name)
            kept = _what_is_held(case, part)
        if kept is None:
            federation.start(name)
            case.succeeds()
            return False
        if victim == "target":
            # With nobody to go on with it, the target says what it kept.
            with federation.frozen("sync"):
                federation.start(name)
                upload = committed_upload(federation, "staging", "sync", case.large_digest, case.large_bytes)
                assert (upload.committed_bytes, upload.complete) == (kept.st_size, False)
        else:
            federation.start(name)
        until(lambda: lengths.append(size_of(part)) or lengths[-1] == 0)
        promotion = case.succeeds()
        until(lambda: spectator.whole or spectator.problems)
    assert not spectator.problems
    assert min(lengths[:-1], default=kept.st_size) >= kept.st_size, "the upload began anew"
    stored = federation.blob_file("staging", case.large_digest).stat()
    assert (stored.st_ino, stored.st_size) == (kept.st_ino, case.large_bytes), "another file was begun"
    assert promotion.transferred_bytes == promotion.total_bytes > case.large_bytes
    return True


def _what_is_held(case: Case, part: Path) -> os.stat_result | None:
    """What the target holds of a transfer that is in its middle; None where the transfer is over."""
    with contextlib.suppress(FileNotFoundError):
        held = part.stat()
        if case.state() == "TRANSFERRING" and held.st_size < case.large_bytes:
            return held
    return None
