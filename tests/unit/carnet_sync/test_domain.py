from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import IllegalTransitionError
from carnet_sync.promotions.domain import (
    ACTIVE_STATES,
    TRANSITIONS,
    State,
    check_transition,
    state_to_retry,
    wait_seconds,
)
from tests.support.simulator import make_promotion as promotion

ENDED_FOR_GOOD = (State.SUCCEEDED, State.REJECTED, State.CANCELLED)


def test_every_state_has_its_transitions_stated() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", sorted(ENDED_FOR_GOOD))
def test_what_has_ended_for_good_goes_nowhere(state: State) -> None:
    assert not state.active
    for other in State:
        with pytest.raises(IllegalTransitionError, match="a new promotion is needed"):
            check_transition(promotion(state=state), other)


@pytest.mark.parametrize("state", sorted([*ACTIVE_STATES, State.FAILED]))
def test_whatever_has_not_ended_for_good_can_be_cancelled(state: State) -> None:
    check_transition(promotion(state=state), State.CANCELLED)


@pytest.mark.parametrize("state", sorted(ACTIVE_STATES))
def test_every_step_may_fail_and_may_stay(state: State) -> None:
    check_transition(promotion(state=state), State.FAILED)
    check_transition(promotion(state=state), state)


def test_nothing_is_admitted_unchecked() -> None:
    assert all(
        State.SUCCEEDED not in targets
        for state, targets in TRANSITIONS.items()
        if state is not State.ADMITTING
    )
    into_admitting = {state for state, targets in TRANSITIONS.items() if State.ADMITTING in targets}
    assert into_admitting == {State.CHECKING, State.AWAITING, State.TRANSFERRING}


def test_an_illegal_step_names_the_legal_ones() -> None:
    with pytest.raises(IllegalTransitionError, match="CANCELLED, CHECKING, FAILED"):
        check_transition(promotion(state=State.PENDING), State.SUCCEEDED)


@given(st.lists(st.sampled_from(list(State)), max_size=30))
def test_whatever_is_tried_what_ended_for_good_stays_ended(wishes: list[State]) -> None:
    state, ended = State.PENDING, None
    for wish in wishes:
        try:
            check_transition(promotion(state=state), wish)
        except IllegalTransitionError:
            continue
        state = wish
        assert ended is None
        ended = state if state in ENDED_FOR_GOOD else None


def test_every_state_can_come_to_an_end() -> None:
    reached = set(ENDED_FOR_GOOD)
    for _ in State:
        reached |= {state for state, targets in TRANSITIONS.items() if targets & reached}
    assert reached == set(State)


def test_a_retry_starts_where_the_bundle_is_known_or_from_the_beginning() -> None:
    assert state_to_retry(promotion(state=State.FAILED)) is State.PENDING
    assert state_to_retry(promotion(state=State.FAILED, manifest=b"{}")) is State.CHECKING


@given(st.integers(min_value=0, max_value=10**9))
def test_waits_grow_from_one_second_to_ten(attempts: int) -> None:
    assert 1.0 <= wait_seconds(attempts) <= wait_seconds(attempts + 1) <= 10.0
    assert wait_seconds(0) == 1.0
    assert wait_seconds(10**6) == 10.0
