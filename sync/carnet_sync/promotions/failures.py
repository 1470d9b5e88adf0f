"""What an error in a step means for the promotion: try again, or fail.

Responsible for that one decision, as a pure rule. Invariants: whoever is absent or busy is waited for, as
long as the service's patience lasts; everything else ends the promotion until a person retries it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import (
    CancelledError,
    CarnetError,
    ConflictError,
    DeadlineExceededError,
    UnavailableError,
)
from carnet_sync.promotions.domain import State, wait_seconds
from carnet_sync.promotions.outcome import Outcome

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from carnet_sync.promotions.domain import Promotion

# A registry that stops cancels the calls that are under way.
WAITED_FOR = (UnavailableError, DeadlineExceededError, CancelledError, ConflictError)


def outcome_of_error(
    promotion: Promotion, error: CarnetError, *, now: datetime, patience: timedelta
) -> Outcome:
    """Return what becomes of a promotion whose step raised an error.

    Args:
        promotion: The promotion, as the step found it.
        error: What the step raised; never a ``StaleEpochError``, after which nothing may be stored.
        now: The time.
        patience: How long nothing but retries may happen.
    """
    if not isinstance(error, WAITED_FOR):
        return _failed(error.message, error)
    since = promotion.retrying_since or now
    if now - since >= patience:
        return _failed(f"gave up after retrying since {since:%Y-%m-%d %H:%M:%S} UTC: {error.message}", error)
    intent = _intent(error, since)
    # The first error's text is kept while the same party is waited for, so that a long absence is one event.
    message = promotion.message if promotion.message.startswith(intent) else f"{intent}: {error.message}"
    return Outcome(
        promotion.state,
        message,
        wait_seconds=wait_seconds(promotion.attempts),
        retrying_since=since,
    )


def _intent(error: CarnetError, since: datetime) -> str:
    environment = error.metadata.get("environment", "")
    at = f"since {since:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(error, ConflictError):
        return f"trying again {at}, because something changed under way"
    if environment:
        return f"waiting {at} for {environment}, which cannot be reached"
    return f"waiting {at} for what cannot be reached"


def _failed(message: str, error: CarnetError) -> Outcome:
    return Outcome(State.FAILED, message, error_reason=error.reason)
