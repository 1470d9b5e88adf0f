"""A fake federation in which dev has an alias, and clients of it."""

from __future__ import annotations

import os
import time

import pytest

import carnet
from tests.unit.carnet.client.fake_federation import FakeFederation

CHAMPION = "dev/risk/fraud@champion"
ALIAS = "namespaces/risk/models/fraud/aliases/champion"


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    """What the developer's shell says must not decide a test."""
    for name in [name for name in os.environ if name.startswith("CARNET_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def federation(tmp_path):
    federation = FakeFederation(tmp_path / "federation")
    yield federation
    federation.stop()


@pytest.fixture
def book(federation):
    """What dev holds of rollouts."""
    return federation.dev.rollouts


@pytest.fixture
def client(federation):
    with carnet.connect(federation.folder) as client:
        yield client


@pytest.fixture
def until():
    """Wait for what happens on another thread."""

    def until(holds):
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.005)

    return until
