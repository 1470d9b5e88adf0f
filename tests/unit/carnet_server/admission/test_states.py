"""A promotion at the target goes only where it may, and what has ended stays so."""

from __future__ import annotations

import pytest

from carnet.errors import IllegalTransitionError
from carnet_policies.evaluation import RuleStatus
from carnet_server.admission.states import AdmissionState, check_open, check_transition, state_of

ENDED = [AdmissionState.REFUSED, AdmissionState.ADMITTED, AdmissionState.CANCELLED]
OPEN = [AdmissionState.AWAITING, AdmissionState.READY]


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("wanted", list(AdmissionState))
def test_nothing_leads_out_of_an_end(state, wanted):
    assert state.ended
    with pytest.raises(IllegalTransitionError, match=f"is {state.lower()} and stays so"):
        check_transition("1" * 32, state, wanted)


@pytest.mark.parametrize("state", ENDED)
def test_what_has_ended_is_not_open(state):
    with pytest.raises(IllegalTransitionError):
        check_open("1" * 32, state)


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("wanted", ENDED)
def test_what_is_open_can_end_in_every_way(state, wanted):
    assert not state.ended
    check_open("1" * 32, state)
    check_transition("1" * 32, state, wanted)


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (RuleStatus.PASSED, AdmissionState.READY),
        (RuleStatus.AWAITING, AdmissionState.AWAITING),
        (RuleStatus.FAILED, AdmissionState.REFUSED),
    ],
)
def test_an_outcome_never_admits_by_itself(outcome, state):
    assert state_of(outcome) is state
