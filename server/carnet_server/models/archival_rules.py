"""When a version may be archived for its age and disuse: pure rules.

A version qualifies that is registered, candidate or approved, has no alias, is in no running promotion,
arrived long enough ago and was not used since. Being staged, told of by evidence, or admitted elsewhere is a
use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.translog.receipt import Receipt
    from carnet_server.models.domain import Version

LONGEST = timedelta(days=36500)


@dataclass(frozen=True, slots=True)
class ArchivalRule:
    """How old, and for how long out of use, a version is that may be archived.

    Raises:
        InvalidInputError: A time is negative, or longer than a hundred years.
    """

    min_age: timedelta
    min_unused: timedelta

    def __post_init__(self) -> None:
        """Refuse what is no such time."""
        for field in ("min_age", "min_unused"):
            value: timedelta = getattr(self, field)
            if not timedelta(0) <= value <= LONGEST:
                raise InvalidInputError(
                    f"{field}: {value} is not a time between none and {LONGEST.days} days",
                    metadata={"field": field},
                )


@dataclass(frozen=True, slots=True)
class Unused:
    """A version that a rule is about.

    Attributes:
        version: The version.
        told_at: When the newest evidence about it arrived; None where there is none.
        promoted_at: When another environment last admitted it from here; None where none did.
    """

    version: Version
    told_at: datetime | None
    promoted_at: datetime | None

    @property
    def last_used_at(self) -> datetime:
        """When it was last used."""
        return self._last_use[0]

    def why(self, now: datetime) -> str:
        """Say why it qualifies, for people."""
        used_at, use = self._last_use
        arrived = ago(now - self.version.created_at)
        return f"{self.version.stage}, no alias; arrived {arrived}, last used {ago(now - used_at)} ({use})"

    @property
    def _last_use(self) -> tuple[datetime, str]:
        uses = [
            (self.version.staged_at, f"became {self.version.stage}"),
            (self.told_at, "evidence arrived"),
            (self.promoted_at, "was admitted elsewhere"),
        ]
        return max(((at, use) for at, use in uses if at is not None), key=lambda each: each[0])


@dataclass(frozen=True, slots=True)
class Archived:
    """A version that was archived, or would be.

    Attributes:
        version: As it is then; as it stands where it was only told of.
        last_used_at: When it was last used.
        why: Why it qualifies.
        receipt: The receipt of its entry; None where it was only told of.
    """

    version: Version
    last_used_at: datetime
    why: str
    receipt: Receipt | None = None


def ago(span: timedelta) -> str:
    """Return how long ago something was, for people."""
    if span >= timedelta(days=1):
        return f"{span.days} days ago" if span.days > 1 else "1 day ago"
    minutes = max(int(span.total_seconds()) // 60, 0)
    return f"{minutes // 60} h ago" if minutes >= 60 else f"{minutes} min ago"
