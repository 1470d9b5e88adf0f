"""A running federation, shared by the tests that leave it in order."""

from __future__ import annotations

import pytest

from tests.support.federation import LocalFederation


@pytest.fixture(scope="session")
def federation(tmp_path_factory):
    """dev, staging, prod and the promotion service, running; tests use namespaces or models of their own."""
    federation = LocalFederation(tmp_path_factory.mktemp("federation") / "carnet")
    federation.start()
    yield federation
    federation.stop()
