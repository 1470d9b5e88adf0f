"""What monitors measured: the rules of a batch of points, and its sums.

Responsible for refusing a batch that is not whole in every point, and for adding points up by phase and by
window before anything is written. Times here are whole microseconds since 1970, and everything is done in one
walk along the points: a thousand of them come many times a second. Pure.

A point counts for the phase in which the middle of its window lies: what was measured before a step is no
figure of it, and a window that was open while a step began is of the one that it is mostly of. A window may
begin a minute before the rollout, and end a minute ahead of our clock, since clocks differ.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from carnet.canonical import sha256_hex
from carnet.errors import InvalidInputError
from carnet.serving.columns import EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from carnet_server.rollouts.domain import Rollout

MAX_POINTS = 1000
MAX_METRICS = 50
MAX_REQUEST_ID = 64
CLOCK_SKEW_MICROSECONDS = 60_000_000
# Squares of what is larger could not be added up any more.
MAX_SUM = 1e150
MAX_SQUARES = 1e300
# How much smaller than sum² / count a sum of squares may be by rounding.
_ROUNDING = 1e-6
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")

Key = TypeVar("Key")


class MetricPoint(NamedTuple):
    """The sums of some samples of one version in a window of time.

    Attributes:
        version: The version.
        metric: The metric.
        start: When the window began, in microseconds since 1970; None where that is not said.
        end: When it ended.
        sample_count: How many samples.
        total: Their sum.
        total_of_squares: The sum of their squares.
        direction: ``higher_is_better``, ``lower_is_better``, or empty where it is not said.
    """

    version: int
    metric: str
    start: int | None
    end: int | None
    sample_count: int
    total: float
    total_of_squares: float
    direction: str


@dataclass(frozen=True, slots=True)
class Sums:
    """A batch, added up.

    Attributes:
        totals: Count, sum and sum of squares by phase, version and metric.
        windows: The same by version, metric and window.
    """

    totals: Mapping[tuple[int, int, str], Sequence[float]]
    windows: Mapping[tuple[int, str, int], Sequence[float]]


def check_batch_id(value: str) -> str:
    """Return a batch's id if it is one.

    Raises:
        InvalidInputError: It is not 1 to ``MAX_REQUEST_ID`` printable characters.
    """
    if not 1 <= len(value) <= MAX_REQUEST_ID or not value.isprintable():
        raise InvalidInputError(
            f"request_id: {len(value)} characters; 1 to {MAX_REQUEST_ID} printable ones are wanted, and each "
            "batch has its own",
            metadata={"field": "request_id"},
        )
    return value


def check_size(count: int) -> None:
    """Insist that a batch has as many points as one may.

    Raises:
        InvalidInputError: It has none, or more than ``MAX_POINTS``.
    """
    if not 1 <= count <= MAX_POINTS:
        raise InvalidInputError(
            f"points: {count} are given; 1 to {MAX_POINTS} are wanted", metadata={"field": "points"}
        )


def digest_of(points: Sequence[MetricPoint]) -> str:
    """Return a digest of a batch, by which the same one is known."""
    return sha256_hex(json.dumps(points).encode())


def check_points(
    rollout: Rollout, points: Sequence[MetricPoint], known: Mapping[str, str], *, now: datetime
) -> dict[str, str]:
    """Insist that every point of a batch is one of a rollout.

    Args:
        rollout: The rollout.
        points: The batch.
        known: Which way the metrics are better that were reported before.
        now: Our clock.

    Returns:
        Which way the metrics are better that are new.

    Raises:
        InvalidInputError: A point is malformed, of another version or time, or says another direction than
            before; ``metadata["field"]`` names it, such as ``points[3].sum``.
    """
    directions = dict(known) | {each.metric: each.direction for each in rollout.plan.guardrails}
    versions = (rollout.champion_version, rollout.challenger_version)
    earliest = microseconds(rollout.created_at) - CLOCK_SKEW_MICROSECONDS
    latest = microseconds(now) + CLOCK_SKEW_MICROSECONDS
    settled: set[tuple[str, str]] = set()
    for index, point in enumerate(points):
        problem = _version_problem(point, versions) or _time_problem(point, earliest, latest)
        problem = problem or _number_problem(point)
        said = (point.metric, point.direction)
        if problem is None and said not in settled:
            problem = _metric_problem(point, directions)
            directions.setdefault(point.metric, point.direction)
            settled.add(said)
        if problem is not None:
            field = f"points[{index}].{problem[0]}"
            raise InvalidInputError(f"{field}: {problem[1]}", metadata={"field": field})
    new = {metric: directions[metric] for metric, _ in settled if metric not in known}
    if len(known) + len(new) > MAX_METRICS:
        raise InvalidInputError(
            f"points: with these the rollout has {len(known) + len(new)} metrics; {MAX_METRICS} at most",
            metadata={"field": "points"},
        )
    return new


def add_up(points: Sequence[MetricPoint], phase_times: Sequence[datetime], interval: timedelta) -> Sums:
    """Add a batch up.

    Args:
        points: The batch, which was checked.
        phase_times: When each phase of the rollout began.
        interval: How long the windows are.
    """
    # What began before the rollout, by a clock that is not ours, counts for its first phase.
    begins = [microseconds(at) for at in phase_times[1:]]
    length = interval // timedelta(microseconds=1)
    together: dict[tuple[int, int, int, str], list[float]] = {}
    for point in points:
        start, end = point.start or 0, point.end or 0
        key = (bisect_right(begins, (start + end) // 2), start - start % length, point.version, point.metric)
        _add(together, key, (point.sample_count, point.total, point.total_of_squares))
    totals: dict[tuple[int, int, str], list[float]] = {}
    windows: dict[tuple[int, str, int], list[float]] = {}
    for (phase, window, version, metric), sums in together.items():
        _add(totals, (phase, version, metric), sums)
        _add(windows, (version, metric, window), sums)
    return Sums(totals, windows)


def _add(sums: dict[Key, list[float]], key: Key, added: Sequence[float]) -> None:
    stood = sums.get(key)
    if stood is None:
        sums[key] = list(added)
        return
    stood[0] += added[0]
    stood[1] += added[1]
    stood[2] += added[2]


def microseconds(at: datetime) -> int:
    """Return a moment in whole microseconds since 1970."""
    apart = at - EPOCH
    return apart.days * 86_400_000_000 + apart.seconds * 1_000_000 + apart.microseconds


def _version_problem(point: MetricPoint, versions: tuple[int, int]) -> tuple[str, str] | None:
    """Say why a point is of another version; None where it is not."""
    if point.version in versions:
        return None
    return "version", (
        f"{point.version} is neither the champion, {versions[0]}, nor the challenger, {versions[1]}"
    )


def _number_problem(point: MetricPoint) -> tuple[str, str] | None:
    """Say which number of a point is no figure, and why; None where all are."""
    total, squares = point.total, point.total_of_squares
    if point.sample_count < 1:
        return "count", f"{point.sample_count}: a window without samples is not reported"
    if not -MAX_SUM <= total <= MAX_SUM:
        return "sum", f"{total} is no finite sum of {MAX_SUM:g} at most"
    if not 0 <= squares <= MAX_SQUARES:
        return "sum_of_squares", f"{squares} is no finite sum of squares of {MAX_SQUARES:g} at most"
    least = total * total / point.sample_count
    if squares < least * (1 - _ROUNDING):
        return "sum_of_squares", f"{squares:g} is less than sum² / count, {least:g}, which it never is"
    return None


def _time_problem(point: MetricPoint, earliest: int, latest: int) -> tuple[str, str] | None:
    """Say which time of a point cannot be, and why; None where both can."""
    if point.start is None:
        return "start_time", "when the window began is wanting"
    if point.end is None:
        return "end_time", "when the window ended is wanting"
    if point.end < point.start:
        return "end_time", "the window ends before it begins"
    if point.start < earliest:
        return "start_time", "the window began before the rollout did: report what was measured since"
    if point.end > latest:
        return "end_time", "the window ends in the future: set the monitor's clock"
    return None


def _metric_problem(point: MetricPoint, directions: Mapping[str, str]) -> tuple[str, str] | None:
    """Say why a point's metric or its direction will not do; None where both will."""
    if not _METRIC.fullmatch(point.metric):
        return "metric", (
            f"{point.metric[:80]!r} is no metric's name: 1 to 64 letters, digits, '.', '_' and '-', "
            "beginning with a letter"
        )
    settled = directions.get(point.metric)
    if settled is None and not point.direction:
        return "direction", f"no guardrail says which way {point.metric} is better: say it"
    if settled is not None and point.direction and point.direction != settled:
        return "direction", f"{point.metric} is {settled} in this rollout, not {point.direction}"
    return None
