"""How old a signed statement may be: neither kept back for later, nor from the future."""

from __future__ import annotations

from datetime import datetime, timedelta

from carnet.errors import PreconditionFailedError, StatementInvalidError

# How far the clocks of two parties may differ.
CLOCK_SKEW = timedelta(seconds=60)


def check_age(
    what: str, stated_at: datetime, *, field: str, max_age: timedelta, now: datetime, mend: str
) -> None:
    """Insist that a statement is neither too old nor from the future.

    Args:
        what: The statement, for messages: ``the release statement of dev``.
        stated_at: The time that its signer states.
        field: The field of that time.
        max_age: How old the policy takes one.
        now: This environment's clock.
        mend: What to do about one that is too old.

    Raises:
        PreconditionFailedError: It is older than the policy takes.
        StatementInvalidError: It was signed later than now, by more than clocks may differ.
    """
    if stated_at > now + CLOCK_SKEW:
        raise StatementInvalidError(
            f"{what} is from the future ({stated_at.isoformat()}, now is {now.isoformat()}): set the clocks",
            metadata={"field": field},
        )
    if now - stated_at > max_age:
        raise PreconditionFailedError(
            f"{what} is of {stated_at.isoformat()}, and none is taken that is older than {max_age}: {mend}",
            metadata={"field": field},
        )
