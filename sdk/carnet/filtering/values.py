"""The values that fields are compared with, as people write them.

Each function returns the value, or None where the text is no such value; who calls says so, with the place.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta

from carnet.errors import InvalidInputError
from carnet.signing.times import parse_foreign_time

MAX_AGE = timedelta(days=36_525)

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,6})?[wdhms])+", re.ASCII)
_DURATION_PART = re.compile(r"([\d.]+)([wdhms])", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
FLAGS = {"true": True, "false": False}


def number(text: str) -> float | None:
    """Read a number such as ``0.95``, ``-3`` or ``1e-4``; one that is not finite is none."""
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def moment(text: str) -> datetime | None:
    """Read a date, which stands for its first moment in UTC, or an RFC 3339 time with any offset."""
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        return parse_foreign_time(text)
    except (ValueError, InvalidInputError):
        return None


def duration(text: str) -> timedelta | None:
    """Read a duration such as ``7d``, ``1.5s`` or ``1h30m``, of 100 years at most."""
    if not _DURATION.fullmatch(text):
        return None
    seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(text))
    return timedelta(seconds=seconds) if seconds <= MAX_AGE.total_seconds() else None
