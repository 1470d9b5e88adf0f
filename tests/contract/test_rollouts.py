"""Rollouts over real storage: begun, judged, ended, and what the log and the aliases tell of it afterwards."""

from __future__ import annotations

import pytest

from carnet.rollouts import RolloutState
from carnet_server.rollouts.plan import RolloutSuccess
from tests.support.rollouts import CHALLENGER, CHAMPION, MINUTE, RolloutRegistry

MOVE = RolloutSuccess.MOVE


@pytest.fixture
async def house(tmp_path, storage):
    house = RolloutRegistry(tmp_path, storage=storage)
    await house.start()
    await house.fill()
    yield house
    await house.rollouts.close()
    house.stop()


async def test_a_rollout_begins_with_an_entry_its_plan_and_the_challengers_alias(house):
    rollout = await house.begin(0.05, 0.5, note="try it")
    assert (rollout.state, rollout.rollout, rollout.step, rollout.share) == (RolloutState.RUNNING, 1, 0, 0.05)
    assert await house.points_at(CHALLENGER) == 2
    assert await house.shares() == {1: 0.95, 2: 0.05}
    started, moved, staged = (await house.told())[-3:]
    print(started, moved, staged)


async def test_walk(house):
    rollout = await house.begin(0.05, 0.5, on_success=MOVE, bake_duration=5 * MINUTE)
    house.clock.now += MINUTE
    await house.report_both(rollout, 0.1, 0.1)
    rollout = await house.at(rollout)
    assert (rollout.state, rollout.share) == (RolloutState.RUNNING, 0.5)
    house.clock.now += MINUTE
    await house.report_both(rollout, 0.1, 0.1)
    rollout = await house.at(rollout)
    assert (rollout.state, rollout.share) == (RolloutState.BAKING, 1)
    assert await house.points_at(CHAMPION) == 2
    house.clock.now += MINUTE
    await house.report_both(rollout, 0.1, 0.2)
    rollout = await house.at(rollout)
    assert rollout.state is RolloutState.ROLLED_BACK, rollout
    assert await house.points_at(CHAMPION) == 1
    assert await house.points_at(CHALLENGER) == 0
    for each in await house.told():
        print(each.type, dict(each.subject), each.old, each.new)
