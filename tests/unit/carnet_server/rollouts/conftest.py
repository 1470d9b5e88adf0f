"""A registry with rollouts for the tests of their parts."""

from __future__ import annotations

import pytest

from tests.support.rollouts import RolloutRegistry


@pytest.fixture
async def house(tmp_path):
    house = RolloutRegistry(tmp_path)
    await house.start()
    await house.fill()
    yield house
    await house.rollouts.close()
    house.stop()
