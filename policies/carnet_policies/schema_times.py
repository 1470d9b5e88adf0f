"""The schema of demands on the time of an admission: change windows and freezes.

Responsible for what a day, a time of day, a time zone and a moment are in a policy. What holds between them
is in ``contradictions``.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from carnet.errors import InvalidInputError
from carnet.signing.times import parse_foreign_time
from carnet_policies.schema_fields import Name, Part, Some, Text
from carnet_policies.schema_scope import When  # noqa: TC001 - pydantic reads it

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_MINUTES_OF_DAY = 24 * 60


def _minutes(value: Any) -> int:
    """Return the minutes since midnight of a time of day; ``24:00`` is the end of the day."""
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a time of day: write it like 09:00, up to 24:00")
    return int(match[1]) * 60 + int(match[2]) if match[1] else _MINUTES_OF_DAY


def _time_zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ValueError(
            f"{value[:80]!r} is no time zone that is known here: write an IANA name such as Europe/Berlin"
        ) from error
    return value


def _moment(value: Any) -> datetime:
    try:
        return parse_foreign_time(value if isinstance(value, str) else repr(value))
    except InvalidInputError as error:
        raise ValueError(
            f"{value!r} is not a moment: write it like 2026-12-18T18:00:00Z or with an offset such as +01:00"
        ) from error


ClockTime = Annotated[
    int, BeforeValidator(_minutes), WithJsonSchema({"type": "string", "pattern": f"^(?:{_CLOCK.pattern})$"})
]
TimeZone = Annotated[
    str, AfterValidator(_time_zone), Field(json_schema_extra={"examples": ["Europe/Berlin"]})
]
Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})
]


class Period(Part):
    """Hours of some days: from one time of day up to another, on each of the days.

    Attributes:
        days: The days of the week.
        from_: Minutes since midnight at which it opens; ``from`` in YAML.
        until: Minutes since midnight at which it closes; it is closed at that moment.
    """

    days: Some[Day]
    from_: ClockTime = Field(alias="from")
    until: ClockTime

    @property
    def hours(self) -> str:
        """The period as people write it."""
        first, last = (f"{each // 60:02}:{each % 60:02}" for each in (self.from_, self.until))
        return f"{', '.join(self.days)} {first}-{last}"


class WindowDemand(Part):
    """Admission only within certain hours of the week; outside of them it waits.

    Attributes:
        rule: The rule's id.
        when: What it is asked of.
        time_zone: The IANA time zone whose clock counts.
        open: The periods, in one of which it must be.
        remedy: What to do about it.
    """

    rule: Name
    when: When | None = None
    time_zone: TimeZone
    open: Some[Period]
    remedy: str = Field(default="", max_length=2000)


class FreezeDemand(Part):
    """No admission from one moment to another; meanwhile it waits.

    Attributes:
        rule: The rule's id.
        when: What it is asked of.
        from_: The moment from which it holds; ``from`` in YAML.
        until: The moment at which it is over.
        reason: Why.
        exempt: What it does not hold up; a label that is not known exempts nothing.
        remedy: What to do about it.
    """

    rule: Name
    when: When | None = None
    from_: Moment = Field(alias="from")
    until: Moment
    reason: Text
    exempt: When | None = None
    remedy: str = Field(default="", max_length=2000)
