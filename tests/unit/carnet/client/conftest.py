"""A fake federation for each test, and clients of it."""

from __future__ import annotations

import os

import pytest

import carnet
from tests.unit.carnet.client.fake_federation import FakeFederation


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
def fraud(federation, tmp_path):
    """The manifest of ``dev/risk/fraud@1``, which is published."""
    return federation.publish(tmp_path)


@pytest.fixture
async def client(federation):
    async with carnet.connect_async(federation.folder) as client:
        yield client
