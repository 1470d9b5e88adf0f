"""Moments in JSON: RFC 3339, in UTC, ending in ``Z``.

Responsible for the one text form of a moment, and for reading the forms that other tools write. Microseconds
are written only where there are any.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from carnet.errors import InvalidInputError

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z", re.ASCII)
_FOREIGN_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII
)


def format_time(moment: datetime) -> str:
    """Return a moment as text, such as ``2026-03-01T12:30:00Z``.

    Raises:
        InvalidInputError: The moment has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidInputError(f"{moment.isoformat()} has no time zone: use one in UTC")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_time(text: str) -> datetime:
    """Read a moment; the answer is aware, in UTC.

    Raises:
        InvalidInputError: The text is not of that form.
    """
    if _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise InvalidInputError(f"{text[:80]!r} is not a time like 2026-03-01T12:30:00Z (RFC 3339, in UTC)")


def parse_foreign_time(text: str) -> datetime:
    """Read a moment as other tools write it: RFC 3339 with any offset, and up to nanoseconds.

    What is below a microsecond is dropped. The answer is aware, in UTC.

    Raises:
        InvalidInputError: The text is not of that form.
    """
    if _FOREIGN_TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise InvalidInputError(f"{text[:80]!r} is not a time like 2026-03-01T12:30:00Z (RFC 3339)")
