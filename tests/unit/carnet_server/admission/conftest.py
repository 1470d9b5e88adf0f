"""A source and a target registry for tests of what stands around the use cases."""

from __future__ import annotations

import pytest

from carnet_policies.engine import PolicyEngine
from tests.unit.carnet_server.admission.registries import World


@pytest.fixture
async def world(tmp_path):
    with PolicyEngine() as engine:
        world = await World(tmp_path, engine).start()
        yield world
        world.stop()
