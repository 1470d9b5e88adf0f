"""``kill -9`` of any one process at any step of a promotion, and of a client in the middle of a push.

What must hold: after the process was started again the promotion ends well, the target shows all of a version or
nothing of it, bytes that had arrived are gone on with, and the logs begin with what was verified before.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import threading
import time
import zlib
from pathlib import Path

import pytest

from carnet.client.results import PromotionState
from carnet.errors import CancelledError, CarnetError, DeadlineExceededError, NotFoundError, UnavailableError
from carnet.registry.v1 import blobs_pb2
from tests.support.bundles import make_bundle_directory
from tests.support.federation import CARNET, LocalFederation

NAMESPACE = "risk"
LARGE_BYTES = 64 << 20
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
            if client.verify(self._version).bundle_digest != aliased.bundle_digest:
                self.problems.append("the alias points at another bundle than the version is")
            self.whole = True


class Case:
    """One promotion of a new model from dev to staging, and the eye that is kept on it."""

    def __init__(self, federation, tmp_path, name: str, *, evaluated: bool = True, large: bool = False):
        self.federation = federation
        self.model = f"{NAMESPACE}/{name}"
        folder = make_bundle_directory(tmp_path, seed=seed_of(name))
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


def seed_of(name: str) -> int:
    """A seed of its own for each name; its last digit is a letter, so that YAML takes it for no number."""
    return zlib.crc32(name.encode()) << 4 | 0xA


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


def committed_bytes(federation, environment: str, certificates: str, digest: str):
    """Ask a registry how much of the upload of a large file it holds."""

    async def ask():
        async with federation.connection(environment, certificates) as registry:
            blob = blobs_pb2.BlobRef(digest=digest, size_bytes=LARGE_BYTES)
            return await registry.call(
                registry.blobs.GetUpload,
                blobs_pb2.GetUploadRequest(parent=f"namespaces/{NAMESPACE}", blob=blob),
            )

    return asyncio.run(ask())


def in_state(case: Case, state: str) -> str:
    """Tell whether a case is in a state now: the state, an end that came before it, or nothing yet."""
    now = case.state()
    return now if now in {state, *ENDED} else ""


def committed_at_target(case: Case, _: str) -> str:
    """Tell whether the target has committed the admission, however little anybody else knows of it."""
    rows = case.federation.query("staging", "SELECT 1 FROM versions WHERE model = ?", case.reference.model)
    return "ADMITTED" if rows else ""


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize(
    ("moment", "look"),
    [
        ("PENDING", in_state),
        ("CHECKING", in_state),
        ("ADMITTING", in_state),
        ("ADMITTED", committed_at_target),
    ],
)
def test_a_promotion_outlives_a_kill_at(moment, look, victim, federation, tmp_path):
    name = VICTIMS[victim]
    for attempt in range(15):
        case = Case(federation, tmp_path, f"{moment}-{victim}-{attempt}".lower())
        with Spectator(federation, "staging", case.model) as spectator:
            case.ask()
            seen = until(lambda case=case: look(case, moment))
            federation.kill(name)
            met = seen == moment and case.state() not in ENDED
            federation.start(name)
            case.succeeds()
            until(lambda spectator=spectator: spectator.whole or spectator.problems)
        assert not spectator.problems
        if met:
            return
    pytest.fail(f"{name} was never killed before the promotion was over")


def in_the_middle(case, part):
    """What the target holds of a transfer that a kill just interrupted; None where the kill came too late."""
    with contextlib.suppress(FileNotFoundError):
        held = part.stat()
        if case.state() == "TRANSFERRING" and held.st_size < LARGE_BYTES:
            return held
    return None


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_transfer_that_a_kill_interrupts_goes_on_where_it_stood(victim, federation, tmp_path):
    name = VICTIMS[victim]
    for attempt in range(10):
        case = Case(federation, tmp_path, f"transferring-{victim}-{attempt}", large=True)
        part = federation.part_file("staging", NAMESPACE, case.large_digest)
        lengths: list[int] = []
        with Spectator(federation, "staging", case.model) as spectator:
            case.ask()
            until(lambda part=part: size_of(part) > IN_THE_MIDDLE_BYTES)
            federation.kill(name)
            held = in_the_middle(case, part)
            if held is None:
                federation.start(name)
                case.succeeds()
                continue
            if victim == "target":
                # With nobody to go on with it, the target says what it kept.
                with federation.frozen("sync"):
                    federation.start(name)
                    upload = committed_bytes(federation, "staging", "sync", case.large_digest)
                    assert (upload.committed_bytes, upload.complete) == (held.st_size, False)
            else:
                federation.start(name)
            until(lambda lengths=lengths, part=part: lengths.append(size_of(part)) or lengths[-1] == 0)
            promotion = case.succeeds()
            until(lambda spectator=spectator: spectator.whole or spectator.problems)
        assert not spectator.problems
        assert min(lengths[:-1], default=held.st_size) >= held.st_size, "the upload began anew"
        stored = federation.blob_file("staging", case.large_digest).stat()
        assert (stored.st_ino, stored.st_size) == (held.st_ino, LARGE_BYTES), "another file was begun"
        assert promotion.transferred_bytes == promotion.total_bytes > LARGE_BYTES
        return
    pytest.fail(f"{name} was never killed in the middle of the transfer")


def test_what_waits_for_people_outlives_the_kill_of_everybody_involved(federation, tmp_path):
    case = Case(federation, tmp_path, "awaiting")
    with federation.client("ci") as ci:
        ci.wait(ci.promote(str(case.reference), "staging").id, timeout=60)
        federation.test_integration(f"staging/{case.model}@1")
        with Spectator(federation, "prod", case.model) as spectator:
            asked = ci.promote(f"staging/{case.model}@1", "prod", alias="champion").id
            assert federation.wait_for_dossier(ci, asked).state is PromotionState.AWAITING
            dossier = dossier_of(federation, asked)
            for name, approvers in (("prod", ("bob",)), ("staging", ()), ("sync", ("carol",))):
                federation.kill(name)
                assert not federation.query("prod", "SELECT 1 FROM versions WHERE model = 'awaiting'")
                federation.start(name)
                assert dossier_of(federation, asked) == dossier
                federation.approve(asked, *approvers)
            promotion = ci.wait(asked, timeout=60)
            assert promotion.state is PromotionState.SUCCEEDED, promotion.message
            until(lambda: spectator.whole or spectator.problems)
        assert not spectator.problems
        assert spectator.looks > 10


def dossier_of(federation, promotion: str) -> str:
    with federation.client("bob") as bob:
        return bob.admission(promotion, target="prod").dossier_digest


def test_a_push_that_a_kill_interrupts_shows_nothing_and_goes_on_where_it_stood(federation, tmp_path):
    folder = make_bundle_directory(tmp_path, seed=seed_of("pushed"))
    make_large(folder / "model.bin")
    digest = digest_of(folder / "model.bin")
    part = federation.part_file("dev", NAMESPACE, digest)
    reference = f"dev/{NAMESPACE}/pushed"
    with subprocess.Popen(
        [CARNET, "push", reference, str(folder)],
        env=os.environ | {"CARNET_DIR": str(federation.folder), "CARNET_IDENTITY": "ci"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as pushing:
        until(lambda: size_of(part) > IN_THE_MIDDLE_BYTES)
        pushing.kill()
        assert pushing.wait(30) == -signal.SIGKILL
    with federation.client("ci") as ci:
        upload = committed_bytes(federation, "dev", "identities/ci", digest)
        assert IN_THE_MIDDLE_BYTES < upload.committed_bytes < LARGE_BYTES
        assert not upload.complete
        for look in (ci.resolve, ci.verify):
            with pytest.raises(NotFoundError):
                look(f"{reference}@1")
        assert reference not in {str(model.reference) for model in ci.models("dev")}
        held = part.stat()
        pushed = ci.push(reference, folder)
        assert not pushed.already_published
        assert federation.blob_file("dev", digest).stat().st_ino == held.st_ino, "another file was begun"
        assert ci.verify(f"{reference}@1").bundle_digest == pushed.bundle_digest
