"""The stamps of a bundle: pulled from prod by its alias, verified with no server, and damaged in every way."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from carnet.errors import CarnetError, IntegrityError
from carnet.client.federation import Federation
from carnet.client.folders import PinnedKeys, verify_bundle_folder
from tests.support.bundles import make_document

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def promoted(federation, tmp_path_factory) -> dict[str, str]:
    """stamps/fraud@1 in prod as its champion, and @2 in staging; the promotions by their target."""
    folder = tmp_path_factory.mktemp("stamps")
    version = federation.publish(folder, "stamps/fraud", seed=31)
    to_staging = federation.to_staging(version, alias="champion")
    assert to_staging.state == "SUCCEEDED"
    federation.test_integration("staging/stamps/fraud@1")
    with federation.client("ci") as ci:
        promotion = ci.promote("staging/stamps/fraud@1", "prod", alias="champion").id
        assert federation.wait_for_dossier(ci, promotion).state == "AWAITING"
    federation.approve(promotion, "bob", "carol")
    with federation.client("ci") as ci:
        assert ci.wait(promotion, timeout=60).state == "SUCCEEDED"
    other = federation.publish(folder, "stamps/fraud", seed=32)
    assert federation.to_staging(other).state == "SUCCEEDED"
    return {"staging": to_staging.id, "prod": promotion}


@pytest.fixture(scope="module")
def pulled(federation, promoted, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("pulled") / "fraud"
    with federation.client("ci") as ci:
        found = ci.pull("prod/stamps/fraud@champion", target)
    assert found.stamps_problem == ""
    assert found.stamps_path == target.with_name("fraud.carnet")
    return target


def test_it(federation, pulled, promoted):
    print(federation.cli("verify", str(pulled)).stdout)
    for each in sorted(pulled.with_name("fraud.carnet").rglob("*")):
        print(each)
    print(json.dumps(json.loads((pulled.with_name("fraud.carnet") / "index.json").read_text()), indent=1))
