"""What was observed since the last time it was taken, as sums: cheap, thread-safe, bounded. Does no I/O."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.client.results import MetricPoint
from carnet.client.rollout_messages import DIRECTIONS
from carnet.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime

_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
# A sum of a billion squares of it is finite still.
_VALUE_MAX = 1e140
# As many as a registry takes in one batch.
MAX_SERIES = 1000


@dataclass(slots=True)
class _Sums:
    """The sums of one metric of one version."""

    count: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0


class MetricSums:
    """The sums of a window that began when they were last taken.

    Args:
        now: When the first window begins.

    Attributes:
        dropped_count: How many observations were of more versions and metrics than are kept.
    """

    def __init__(self, now: datetime) -> None:
        self.dropped_count = 0
        self._lock = threading.Lock()
        self._started_at = now
        self._sums: dict[tuple[int, str], _Sums] = {}
        self._directions: dict[str, str] = {}

    @property
    def started_at(self) -> datetime:
        """When the present window began."""
        return self._started_at

    def add(self, version: int, metric: str, value: float, direction: str) -> None:
        """Add an observation.

        Args:
            version: The version that answered.
            metric: The metric.
            value: What was seen of it; finite.
            direction: Which way is better; empty to leave it as it was given before.

        Raises:
            InvalidInputError: The metric's name, the value or the direction is none, or the direction is
                not the one from before.
        """
        # Compared so that NaN is refused too.
        if not -_VALUE_MAX <= value <= _VALUE_MAX:
            raise _invalid("value", f"{value!r} of {metric[:64]!r} is no figure that can be summed up")
        with self._lock:
            series = self._sums.get((version, metric))
            if series is None or (direction and self._directions.get(metric) != direction):
                series = self._begin(version, metric, direction)
                if series is None:
                    self.dropped_count += 1
                    return
            series.count += 1
            series.total += value
            series.total_of_squares += value * value

    def _begin(self, version: int, metric: str, direction: str) -> _Sums | None:
        if not _METRIC.fullmatch(metric):
            raise _invalid(
                "metric",
                f"{metric[:80]!r} names no metric: use 1 to 64 letters, digits, '.', '_' and '-', beginning "
                "with a letter",
            )
        known = self._directions.get(metric)
        wanted = (known,) if known else DIRECTIONS
        if direction and direction not in wanted:
            raise _invalid("direction", f"{direction[:80]!r} of {metric}: {' or '.join(wanted)} is wanted")
        if (version, metric) not in self._sums and len(self._sums) >= MAX_SERIES:
            return None
        if direction:
            self._directions[metric] = direction
        return self._sums.setdefault((version, metric), _Sums())

    def take(self, now: datetime) -> list[MetricPoint]:
        """Return the window's points, and begin the next window.

        Args:
            now: When the one ends and the other begins.
        """
        with self._lock:
            sums, self._sums = self._sums, {}
            started_at, self._started_at = self._started_at, now
        return [
            MetricPoint(
                version=version,
                metric=metric,
                started_at=started_at,
                # A clock that was set back makes no window that ends before it began.
                ended_at=max(now, started_at),
                count=each.count,
                sum=each.total,
                # Rounded apart, the two can miss what they are bound to by a hair.
                sum_of_squares=max(each.total_of_squares, each.total**2 / each.count),
                direction=self._directions.get(metric, ""),
            )
            for (version, metric), each in sums.items()
        ]


def _invalid(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {problem}", metadata={"field": field})
