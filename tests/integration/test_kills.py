"""``kill -9`` of any one process at any step of a promotion, and of a client in the middle of a push.

What must hold: after the process was started again the promotion ends well, the target shows all of a version or
nothing of it, bytes that had arrived are gone on with, and the logs begin with what was verified before.
``make chaos`` does it with nobody held still, again and again.
"""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from carnet.client.results import PromotionState
from carnet.errors import NotFoundError
from tests.support.federation import CARNET, LocalFederation
from tests.support.interruption import (
    ATTEMPTS,
    IN_THE_MIDDLE_BYTES,
    NAMESPACE,
    VICTIMS,
    Case,
    Spectator,
    committed_upload,
    go_on_where_it_stood,
    make_bundle,
    outlive_a_kill,
    size_of,
    unheard_of,
    until,
)

LARGE_BYTES = 24 << 20


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


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("moment", ["PENDING", "CHECKING", "ADMITTING", "ADMITTED"])
def test_a_promotion_outlives_a_kill_at(moment, victim, federation, tmp_path):
    outlive_a_kill(federation, tmp_path, moment, victim, held=True)


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_transfer_that_a_kill_interrupts_goes_on_where_it_stood(victim, federation, tmp_path):
    go_on_where_it_stood(federation, tmp_path, victim, large_bytes=LARGE_BYTES, held=True)


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
    for _ in range(ATTEMPTS):
        name = unheard_of("pushed")
        folder, digest = make_bundle(tmp_path, name, LARGE_BYTES)
        if push_is_killed_in_the_middle(federation, name, folder, digest):
            break
    else:
        pytest.fail("the push was never killed in the middle")
    reference = f"dev/{NAMESPACE}/{name}"
    part = federation.part_file("dev", NAMESPACE, digest)
    with federation.client("ci") as ci:
        upload = committed_upload(federation, "dev", "identities/ci", digest, LARGE_BYTES)
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


def push_is_killed_in_the_middle(federation, name: str, folder, digest: str) -> bool:
    """Kill a push while the registry is held still, where the upload is in its middle then."""
    part = federation.part_file("dev", NAMESPACE, digest)
    with subprocess.Popen(
        [CARNET, "push", f"dev/{NAMESPACE}/{name}", str(folder)],
        env=os.environ | {"CARNET_DIR": str(federation.folder), "CARNET_IDENTITY": "ci"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as pushing:
        until(lambda: size_of(part) > IN_THE_MIDDLE_BYTES or pushing.poll() is not None)
        with federation.frozen("dev"):
            in_the_middle = IN_THE_MIDDLE_BYTES < size_of(part) < LARGE_BYTES
            if in_the_middle:
                pushing.kill()
                assert pushing.wait(30) == -signal.SIGKILL
        return in_the_middle
