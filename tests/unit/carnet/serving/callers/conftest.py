"""An OIDC issuer, and a trust document that takes its tokens."""

from __future__ import annotations

import pytest
import yaml

from carnet_server.access.trust import load_trust
from tests.support.oidc import Issuer


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.stop()


@pytest.fixture
def make_trust(issuer):
    def make(**fields):
        document = {
            "schema": "carnet.trust/v1",
            "environment": "dev",
            "version": 1,
            "oidc": [{"issuer": issuer.url, "audience": "carnet-dev"} | fields.pop("issuer", {})],
        } | fields
        return load_trust(yaml.safe_dump(document).encode(), environment="dev")

    return make
