"""When an alias is stale; pure rules over what was read of it.

An alias that was never resolved is counted from its last move on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.translog.entry import parse_entry

if TYPE_CHECKING:
    from datetime import datetime

    from carnet_server.aliases.domain import Alias

DAYS_MAX = 36_500


class StaleReason(StrEnum):
    """Why an alias is stale."""

    UNMOVED = "unmoved"
    UNRESOLVED = "unresolved"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an alias's use.

    Attributes:
        alias: The alias, which points somewhere.
        resolve_count: How often it was resolved.
        resolved_at: When last; None for never.
        revocation: The log entry that revoked the version that it points at; None where that is not revoked.
    """

    alias: Alias
    resolve_count: int
    resolved_at: datetime | None
    revocation: bytes | None


@dataclass(frozen=True, slots=True)
class StaleAlias:
    """A stale alias, and why; at least one reason."""

    standing: Standing
    reasons: tuple[StaleReason, ...]


def check_days(value: int) -> int:
    """Return a number of days if it is 0 to ``DAYS_MAX``.

    Raises:
        InvalidInputError: It is not.
    """
    if not 0 <= value <= DAYS_MAX:
        raise InvalidInputError(f"days: {value}: 0 to {DAYS_MAX} are wanted", metadata={"field": "days"})
    return value


def judge_standing(standing: Standing, since: datetime) -> StaleAlias | None:
    """Say whether an alias has been stale since a time; None where it is not.

    Args:
        standing: What is known of it.
        since: The time.
    """
    moved_at = standing.alias.updated_at
    assert moved_at is not None, "an alias that points somewhere was moved there"
    pointed_at_revoked = standing.revocation is not None and (
        max(parse_entry(standing.revocation).time, moved_at) <= since
    )
    found = {
        StaleReason.UNMOVED: moved_at <= since,
        StaleReason.UNRESOLVED: (standing.resolved_at or moved_at) <= since,
        StaleReason.REVOKED: pointed_at_revoked,
    }
    reasons = tuple(reason for reason, holds in found.items() if holds)
    return StaleAlias(standing, reasons) if reasons else None
