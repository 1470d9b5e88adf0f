"""The table of stages: what is legal by hand, with the aliases, and by an admission."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import IllegalTransitionError
from carnet.stages import BY_HAND, Stage, admitting, check_by_hand, following

LEGAL = {
    ("registered", "candidate"),
    ("registered", "approved"),
    ("registered", "archived"),
    ("candidate", "registered"),
    ("candidate", "approved"),
    ("candidate", "archived"),
    ("approved", "registered"),
    ("approved", "candidate"),
    ("approved", "archived"),
    ("archived", "registered"),
}
EVERY = [(old, new) for old in Stage for new in Stage]


@pytest.mark.parametrize(("old", "new"), EVERY, ids=str)
def test_what_an_operator_may_do_and_what_an_illegal_move_says(old, new):
    if (old, new) in LEGAL:
        check_by_hand("3 of risk/fraud", old, new)
        return
    with pytest.raises(IllegalTransitionError) as caught:
        check_by_hand("3 of risk/fraud", old, new)
    error = caught.value
    assert error.message.startswith(f"version 3 of risk/fraud is {old} and ")
    legal = {legal for known, legal in LEGAL if known == old}
    assert set(filter(None, error.metadata["legal"].split(","))) == legal
    for each in legal or {"no stage can be set by hand"}:
        assert each in error.message
    assert (error.metadata["stage"], error.metadata["wanted"]) == (old, new)


def test_deployed_and_revoked_are_reached_by_no_hand():
    assert not {Stage.DEPLOYED, Stage.REVOKED} & {new for legal in BY_HAND.values() for new in legal}
    assert set(BY_HAND) == set(Stage)


@given(moves=st.lists(st.booleans(), max_size=8), start=st.sampled_from(Stage))
def test_a_version_is_deployed_just_while_it_is_live(moves, start):
    stage = start
    for live in moves:
        stage = following(stage, live=live)
        assert (stage is Stage.DEPLOYED) is (live and start is not Stage.REVOKED)
    if True in moves and start is not Stage.REVOKED and not moves[-1]:
        assert stage is Stage.ARCHIVED
    if start is Stage.REVOKED:
        assert stage is Stage.REVOKED


def test_an_approved_admission_lifts_what_is_neither_live_nor_revoked():
    assert {stage: admitting(stage) for stage in Stage} == {
        Stage.REGISTERED: Stage.APPROVED,
        Stage.CANDIDATE: Stage.APPROVED,
        Stage.APPROVED: Stage.APPROVED,
        Stage.DEPLOYED: Stage.DEPLOYED,
        Stage.ARCHIVED: Stage.APPROVED,
        Stage.REVOKED: Stage.REVOKED,
    }
