"""A registry of its own for each test."""

from __future__ import annotations

import pytest

from tests.support.registry import Registry, make_policy


@pytest.fixture
async def registry(tmp_path):
    purge = {"keep_last": 0, "archived_for": "1s", "min_age": "1s"}
    registry = Registry(tmp_path, policy=make_policy(retention={"purge": purge}))
    await registry.start()
    yield registry
    registry.stop()
