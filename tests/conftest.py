"""Fixtures for whatever keeps data; ``tests.support.storage`` is loaded only by the tests that use them."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

from tests.support.fuzzing import examples

# What is started as another user is forked, and gRPC's handlers for that break the child before it is run.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

# A machine that is busy with other things is no defect of what is tested.
settings.register_profile("carnet", deadline=None, max_examples=examples(100))
settings.load_profile("carnet")


def pytest_collection_finish() -> None:
    """Keep the collector from looking through thousands of collected tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def postgresql(tmp_path):
    """Fresh PostgreSQL databases, dropped behind the test."""
    from tests.support.storage import Databases

    databases = Databases("postgresql", tmp_path)
    yield databases
    databases.drop()


@pytest.fixture(params=["directory", "s3"])
def bench(request, tmp_path, monkeypatch):
    """A place for blobs, of either kind."""
    from tests.support.storage import give_credentials, make_bench

    if request.param == "s3":
        give_credentials(monkeypatch)
    return make_bench(request.param, tmp_path / "store")
