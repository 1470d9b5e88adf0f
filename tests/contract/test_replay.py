"""Replaying a policy over past decisions, on every backend."""

from __future__ import annotations

import pytest

from carnet_policies.engine import PolicyEngine
from tests.unit.carnet_server.admission.registries import POLICIES, World

STAGING = POLICIES["staging"]
BETTER_BY_FAR = STAGING.replace(
    b'metrics["roc_auc"] >= baseline_metrics["roc_auc"]',
    b'metrics["roc_auc"] >= baseline_metrics["roc_auc"] + 0.5',
)


@pytest.fixture
async def world(tmp_path, storage):
    with PolicyEngine() as engine:
        world = await World(tmp_path, engine, storage=storage).start()
        yield world
        world.stop()


async def outcomes(world, policy: bytes) -> list[tuple[int, str, str]]:
    found, token = await world.staging.admission.replay(policy, page_size=0, page_token="")
    assert token == ""
    return [(each.past.version.version, each.past.result, str(each.evaluation.outcome)) for each in found]


async def test_each_decision_is_looked_at_with_what_was_known_then(world):
    for number in (1, 2):
        manifest = await world.publish(version=number)
        await world.attest(manifest, metrics={"roc_auc": 0.98})
        await world.promote(manifest)
    await world.attest(manifest, where=world.staging, result="FAILED")
    before = await world.staging.entries()
    assert await outcomes(world, STAGING) == [(2, "PASSED", "PASSED"), (1, "PASSED", "PASSED")]
    # Version 1 met no champion, and what came about version 2 afterwards was not known.
    assert await outcomes(world, BETTER_BY_FAR) == [(2, "PASSED", "FAILED"), (1, "PASSED", "PASSED")]
    assert await outcomes(world, STAGING.replace(b"count: 1", b"count: 2")) == [
        (2, "PASSED", "AWAITING"),
        (1, "PASSED", "AWAITING"),
    ]
    assert await world.staging.entries() == before
