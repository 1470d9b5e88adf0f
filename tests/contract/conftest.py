"""The storage that the suites run over."""

from __future__ import annotations

import pytest

from tests.support.storage import storage_of


@pytest.fixture(params=["sqlite-directory", "postgresql-s3"])
def storage(request, tmp_path, monkeypatch):
    """Where the registries of a test keep what they have.

    Each kind of database and of store is met; what is marked ``ALL_FOUR`` meets every combination of them.
    """
    with storage_of(request.param, tmp_path, monkeypatch) as storage:
        yield storage
