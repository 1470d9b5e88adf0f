"""Who gets which traffic follows from the alias and its newest rollout, also before that was judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carnet.rollouts import RolloutKind, RolloutState
from carnet_server.aliases.domain import Alias
from carnet_server.rollouts.traffic import traffic_of
from tests.unit.carnet_server.rollouts.test_transitions import CHALLENGER, CHAMPION, START, THIRD, rollout

ENDED = [state for state in RolloutState if state.ended]


def pointing_at(version):
    return Alias("risk", "fraud", "champion", version, f"{version}" * 64 if version else "", 4, START, 3)


def told(held, version):
    traffic = traffic_of(rollout().alias_name, pointing_at(version), held)
    answering, mirrored = (
        {each.version: each.share for each in targets} for targets in (traffic.answering, traffic.mirrored)
    )
    return answering, mirrored, traffic.rollout is not None


@pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.AWAITING])
def test_a_split_gives_the_challenger_its_share_and_a_shadow_its_mirror(state):
    assert told(rollout(state, shares=(0.25,)), CHAMPION) == ({1: 0.75, 2: 0.25}, {}, True)
    assert told(rollout(state, shares=(1.0,), guardrails=()), CHAMPION) == ({2: 1.0}, {}, True)
    shadow = rollout(state, shares=(0.25,), kind=RolloutKind.SHADOW)
    assert told(shadow, CHAMPION) == ({1: 1.0}, {2: 0.25}, True)


def test_what_bakes_has_all_and_what_ended_says_nothing():
    assert told(rollout(RolloutState.BAKING, phase=2), CHALLENGER) == ({2: 1.0}, {}, True)
    for state in ENDED:
        assert told(replace(rollout(), state=state), CHAMPION) == ({1: 1.0}, {}, False)
    assert told(None, CHAMPION) == ({1: 1.0}, {}, False)


@pytest.mark.parametrize(
    ("state", "version"),
    [
        (RolloutState.RUNNING, THIRD),
        (RolloutState.RUNNING, CHALLENGER),
        (RolloutState.AWAITING, CHALLENGER),
        (RolloutState.BAKING, CHAMPION),
    ],
)
def test_an_alias_that_something_else_moved_is_followed_before_the_rollout_is_judged(state, version):
    assert told(rollout(state), version) == ({version: 1.0}, {}, False)


def test_an_alias_that_points_nowhere_has_no_traffic_and_one_that_never_was_no_revision():
    assert told(rollout(), 0) == ({}, {}, False)
    assert traffic_of(rollout().alias_name, None, None).revision == 0


def test_the_revision_is_behind_the_last_entry_that_changed_it():
    assert traffic_of(rollout().alias_name, pointing_at(1), None).revision == 4
    assert traffic_of(rollout().alias_name, pointing_at(1), replace(rollout(), log_index=9)).revision == 10
