"""When a change window is open, and when it opens next: pure rules over a time zone's clock.

Responsible for daylight saving too: what counts is the clock on the wall, so an hour that is skipped has no
openings of its own, and one that comes twice is open twice. Invariants: at the moment that ``next_opening``
gives the window is open, and at none between then and now.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from carnet_policies.schema_times import DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from carnet_policies.schema_times import Period

_MINUTE = timedelta(minutes=1)
_MINUTES_OF_DAY = 24 * 60
# A week and a day: a window whose only hours are skipped by the clock opens a week later, or two.
_DAYS_AHEAD = 22


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone, read once."""
    return ZoneInfo(name)


def is_open(periods: Iterable[Period], zone: ZoneInfo, moment: datetime) -> bool:
    """Return whether a moment lies in one of the periods.

    Args:
        periods: The periods.
        zone: The time zone whose clock counts.
        moment: A timezone-aware moment.
    """
    local = moment.astimezone(zone)
    minute, day = local.hour * 60 + local.minute, DAYS[local.weekday()]
    return any(day in period.days and period.from_ <= minute < period.until for period in periods)


def next_opening(periods: Sequence[Period], zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return the first moment from now on at which a window is open, in UTC; None when it never opens.

    Args:
        periods: The periods.
        zone: The time zone whose clock counts.
        now: A timezone-aware moment.
    """
    if is_open(periods, zone, now):
        return now
    today = now.astimezone(zone).date()
    for ahead in range(_DAYS_AHEAD):
        day = datetime.combine(today + timedelta(days=ahead), time())
        moments = [*_beginnings(periods, day, zone), *_clock_changes(day, zone)]
        found = [moment for moment in moments if moment > now and is_open(periods, zone, moment)]
        if found:
            return min(found)
    return None


def next_boundary(periods: Iterable[Period], zone: ZoneInfo, now: datetime) -> datetime:
    """Return the moment up to which a window that is open now surely stays open, in UTC.

    It may be open beyond that, where another period goes on; that is for another look.

    Args:
        periods: The periods.
        zone: The time zone whose clock counts.
        now: A timezone-aware moment at which it is open.
    """
    day = datetime.combine(now.astimezone(zone).date(), time())
    moments = [day + timedelta(minutes=period.until) for period in periods]
    moments.append(day + timedelta(days=1))
    ends = [each.replace(tzinfo=zone, fold=fold).astimezone(UTC) for each in moments for fold in (0, 1)]
    return min(moment for moment in (*ends, *_clock_changes(day, zone)) if moment > now)


def _beginnings(periods: Iterable[Period], day: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the moments of a day at which the clock shows the beginning of a period, once or twice."""
    for period in periods:
        if DAYS[day.weekday()] in period.days and period.from_ < _MINUTES_OF_DAY:
            for fold in (0, 1):
                shown = day + timedelta(minutes=period.from_)
                yield shown.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _clock_changes(day: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the moment of a day at which the clock is set, to the minute; a day has one at most."""
    first, last = (each.replace(tzinfo=zone).astimezone(UTC) for each in (day, day + timedelta(days=1)))
    before = first.astimezone(zone).utcoffset()
    if last.astimezone(zone).utcoffset() == before:
        return
    while last - first > _MINUTE:
        middle = first + int((last - first) / _MINUTE / 2) * _MINUTE
        if middle.astimezone(zone).utcoffset() == before:
            first = middle
        else:
            last = middle
    yield last
