"""A registry on PostgreSQL and S3 that is killed in the middle of an upload in parts."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from carnet.errors import NotFoundError
from tests.support.bundles import make_bundle_directory
from tests.support.federation import CARNET, LocalFederation

LARGE_BYTES = 96 << 20
REFERENCE = "dev/risk/large"


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    federation = LocalFederation(
        tmp_path_factory.mktemp("objects") / "carnet", database="postgres", blobs="s3"
    )
    federation.start("postgres", "s3", "dev")
    yield federation
    federation.stop()


def until(condition, *, timeout_seconds: float = 60.0):
    end = time.monotonic() + timeout_seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {timeout_seconds} s"
        time.sleep(0.002)
    return found


def test_a_registry_that_is_killed_in_the_middle_shows_nothing_and_goes_on_at_a_part(federation, tmp_path):
    folder = make_bundle_directory(tmp_path, seed=7)
    with (folder / "model.bin").open("wb") as file:
        for _ in range(LARGE_BYTES >> 20):
            file.write(os.urandom(1 << 20))
    bucket = federation.folder / "backends" / "s3" / "carnet-dev"

    def parts() -> dict[str, int]:
        """The parts that are there, and what tells a file from another of its name."""
        found = (bucket / "parts").rglob("*-*")
        return {path.name: path.stat().st_mtime_ns for path in found if path.name[0].isdigit()}

    with subprocess.Popen(
        [CARNET, "push", REFERENCE, str(folder)],
        env=os.environ | {"CARNET_DIR": str(federation.folder), "CARNET_IDENTITY": "ci"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as pushing:
        until(lambda: len(parts()) >= 3)
        federation.kill("dev")
        held = parts()
        assert 3 <= len(held) < LARGE_BYTES >> 23
        assert list(bucket.rglob("indexes/**/*")) == []
        federation.start("dev")
        with federation.client("ci") as ci, pytest.raises(NotFoundError):
            ci.resolve(f"{REFERENCE}@1")
        _, said = pushing.communicate(timeout=100)
        assert pushing.returncode == 0, said
    now = parts()
    assert len(now) == LARGE_BYTES >> 23
    assert {name: now[name] for name in held} == held, "parts that had arrived were written again"
    with federation.client("ci") as ci:
        pulled = tmp_path / "pulled"
        ci.pull(f"{REFERENCE}@1", pulled)
    assert (pulled / "model.bin").read_bytes() == (folder / "model.bin").read_bytes()
