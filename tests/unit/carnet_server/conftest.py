"""A registry for the servicers' tests."""

from __future__ import annotations

import pytest

from tests.support.registry import Registry


@pytest.fixture
async def registry(tmp_path):
    registry = Registry(tmp_path)
    await registry.start()
    yield registry
    registry.stop()
