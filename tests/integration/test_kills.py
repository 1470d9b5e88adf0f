"""``kill -9`` of any one process at any step of a promotion, and of a client in the middle of a push.

What must hold: after the process was started again the promotion ends well, the target shows all of a version or
nothing of it, bytes that had arrived are gone on with, and the logs begin with what was verified before.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from carnet.client.results import PromotionState
from carnet.errors import CancelledError, CarnetError, DeadlineExceededError, NotFoundError, UnavailableError
from carnet.registry.v1 import blobs_pb2
from tests.support.bundles import make_bundle_directory
from tests.support.federation import CARNET, LocalFederation

pytestmark = pytest.mark.xdist_group("kills")

NAMESPACE = "risk"
LARGE_BYTES = 96 << 20
IN_THE_MIDDLE_BYTES = 8 << 20
ENDED = {"SUCCEEDED", "REJECTED", "FAILED", "CANCELLED"}
AWAY = (UnavailableError, DeadlineExceededError, CancelledError)
VICTIMS = {"source": "dev", "target": "staging", "sync": "sync"}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """A federation of this module's own, whose processes die."""
    federation = LocalFederation(tmp_path_factory.mktemp("kills") / "carnet")
    federation.start()
    with federation.client("dave") as auditor:
        assert auditor.audit_verify().ok
    yield federation
    federation.stop()


@pytest.fixture(autouse=True)
def whole_again(federation):
    """Whatever a test did, all processes run after it, and every log goes on from what was verified."""
    yield
    federation.start()
    with federation.client("dave") as auditor:
        report = auditor.audit_verify()
    assert report.ok, report.findings
    assert set(report.environments) == {"dev", "staging", "prod"}


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
            verified = client.verify(self._version)
            assert verified.bundle_digest == aliased.bundle_digest
            self.whole = True


class Case:
    """One promotion of a new model from dev to staging, and the eye that is kept on it."""

    def __init__(self, federation, tmp_path, name: str, *, evaluated: bool = True, large: bool = False):
        self.federation = federation
        self.model = f"{NAMESPACE}/{name}"
        folder = make_bundle_directory(tmp_path, seed=abs(hash(name)) % 10_000)
        if large:
            make_large(folder / "model.bin")
        self.large_digest = digest_of(folder / "model.bin")
        with federation.client("ci") as ci:
            self.reference = ci.push(f"dev/{self.model}", folder).reference
        if evaluated:
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


def make_large(path: Path) -> None:
    path.write_bytes(os.urandom(LARGE_BYTES))


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def committed_bytes(federation, environment: str, certificates: str, digest: str, size_bytes: int):
    """Ask a registry how much of an upload it holds."""
    import asyncio

    async def ask():
        async with federation.connection(environment, certificates) as registry:
            return await registry.call(
                registry.blobs.GetUpload,
                blobs_pb2.GetUploadRequest(
                    parent=f"namespaces/{NAMESPACE}",
                    blob=blobs_pb2.BlobRef(digest=digest, size_bytes=size_bytes),
                ),
            )

    return asyncio.run(ask())


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("state", ["PENDING", "CHECKING", "ADMITTING"])
def test_a_promotion_outlives_a_kill_in(state, victim, federation, tmp_path):
    name = VICTIMS[victim]
    for attempt in range(5):
        case = Case(federation, tmp_path, f"{state}-{victim}-{attempt}".lower())
        with Spectator(federation, "staging", case.model) as spectator:
            case.ask()
            seen = until(lambda case=case: (now := case.state()) in {state, *ENDED} and now)
            if seen == state:
                federation.kill(name)
                hit = case.state() not in ENDED
                federation.start(name)
            else:
                hit = False
            case.succeeds()
            until(lambda spectator=spectator: spectator.whole or spectator.problems)
        assert not spectator.problems
        assert spectator.looks > 1
        if hit:
            return
    pytest.fail(f"the promotion was never met in {state}")
