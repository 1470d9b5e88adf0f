from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from carnet.client.status import every_error_class
from carnet.errors import (
    CancelledError,
    CarnetError,
    ConflictError,
    DeadlineExceededError,
    NotFoundError,
    StaleEpochError,
    UnavailableError,
)
from carnet_sync.promotions.domain import Promotion, State
from carnet_sync.promotions.failures import outcome_of_error
from tests.support.simulator import make_promotion

if TYPE_CHECKING:
    from carnet_sync.promotions.outcome import Outcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WAITED_FOR = (UnavailableError, DeadlineExceededError, CancelledError, ConflictError)


def judge(promotion: Promotion, error: CarnetError, now: datetime = NOW) -> Outcome:
    return outcome_of_error(promotion, error, now=now, patience=HOUR)


@pytest.mark.parametrize("family", [each for each in every_error_class() if each is not StaleEpochError])
def test_only_absence_and_change_are_waited_for(family: type[CarnetError]) -> None:
    outcome = judge(make_promotion(state=State.CHECKING), family("it did not work"))
    if issubclass(family, WAITED_FOR):
        assert (outcome.state, outcome.wait_seconds, outcome.error_reason) == (State.CHECKING, 1.0, "")
        assert outcome.retrying_since == NOW
    else:
        assert (outcome.state, outcome.wait_seconds) == (State.FAILED, None)
        assert outcome.error_reason == family.reason


def test_the_message_says_who_is_away_and_since_when() -> None:
    error = UnavailableError("no answer", metadata={"environment": "staging"})
    message = judge(make_promotion(state=State.CHECKING), error).message
    assert message == "waiting since 2026-03-01 12:00:00 UTC for staging, which cannot be reached: no answer"


def test_a_long_absence_keeps_its_first_message_so_that_it_is_one_event() -> None:
    error = UnavailableError("connection refused", metadata={"environment": "staging"})
    first = judge(make_promotion(state=State.CHECKING), error)
    waiting = make_promotion(
        state=State.CHECKING, message=first.message, attempts=3, retrying_since=first.retrying_since
    )
    other_text = UnavailableError("connection reset", metadata={"environment": "staging"})
    later = judge(waiting, other_text, NOW + timedelta(minutes=5))
    assert later.message == first.message
    assert later.retrying_since == NOW
    assert later.wait_seconds == pytest.approx(3.375)
    someone_else = UnavailableError("no answer", metadata={"environment": "dev"})
    assert "for dev" in judge(waiting, someone_else, NOW + timedelta(minutes=5)).message


@pytest.mark.parametrize("family", WAITED_FOR)
def test_patience_ends(family: type[CarnetError]) -> None:
    waiting = make_promotion(state=State.ADMITTING, retrying_since=NOW)
    assert judge(waiting, family("no"), NOW + HOUR - timedelta(seconds=1)).state is State.ADMITTING
    outcome = judge(waiting, family("no"), NOW + HOUR)
    assert outcome.state is State.FAILED
    assert outcome.error_reason == family.reason
    assert "gave up after retrying since 2026-03-01 12:00:00 UTC" in outcome.message


def test_a_failure_repeats_the_errors_own_words() -> None:
    outcome = judge(replace(make_promotion(), state=State.PENDING), NotFoundError("risk/fraud@9 is not here"))
    assert outcome.message == "risk/fraud@9 is not here"
