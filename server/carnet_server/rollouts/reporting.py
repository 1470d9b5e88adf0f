"""Taking what monitors measured.

Responsible for whole batches: all of a batch's points are added, or none, and the same batch only once. A
report is no log entry. After it is committed the rollout is judged in the same call, so that a breach is
acted on within the report that shows it; where that fails, the next look does it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import AlreadyExistsError, CarnetError, NotFoundError
from carnet_server.rollouts import figure_queries, queries
from carnet_server.rollouts.metrics import (
    add_up,
    check_batch_id,
    check_points,
    check_size,
    digest_of,
    microseconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.rollouts import RolloutState
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.rollouts.controller import RolloutController
    from carnet_server.rollouts.domain import Rollout
    from carnet_server.rollouts.metrics import MetricPoint, Sums

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a batch.

    Attributes:
        state: Where the rollout stands after it.
        accepted_count: How many points were taken.
        reporting_interval: How long the windows are that the rollout counts by.
    """

    state: RolloutState
    accepted_count: int
    reporting_interval: timedelta


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch as it came."""

    subject: str
    request_id: str
    digest: str
    points: Sequence[MetricPoint]


@dataclass(frozen=True, slots=True)
class _Added:
    """A batch that was checked and added up, and what of the rollout that rests on."""

    phase_times: tuple[datetime, ...]
    known: Mapping[str, str]
    new: Mapping[str, str]
    sums: Sums


class MetricReports:
    """Takes batches.

    Args:
        database: The environment's database.
        writer: Its writer.
        controller: Judges rollouts.
        clock: Tells the time.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        controller: RolloutController,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._writer = writer
        self._controller = controller
        self._clock = clock

    async def report(
        self, caller: Caller, name: ResourceName, *, request_id: str, points: Sequence[MetricPoint]
    ) -> Reported:
        """Take a batch; see ``RolloutsService.report``."""
        check_batch_id(request_id)
        check_size(len(points))
        batch = _Batch(caller.subject, request_id, digest_of(points), points)
        rollout, known, taken = await self._database.read(lambda connection: _read(connection, name, batch))
        accepted = 0
        if not taken and not rollout.state.ended:
            added = _add(rollout, batch, known, now=self._clock())
            accepted = await self._writer.commit(partial(_take, name=name, batch=batch, added=added))
        return Reported(await self._judge(rollout), accepted, rollout.plan.reporting_interval)

    async def _judge(self, rollout: Rollout) -> RolloutState:
        """Judge the rollout; what was taken stays taken, whatever comes of that."""
        try:
            judged = await self._controller.judge(rollout.name)
        except (CarnetError, ArithmeticError) as error:
            logger.warning("%s was not judged after a report: %s", rollout.name, error)
            return rollout.state
        return judged.state if judged else rollout.state


def _read(connection: Connection, name: ResourceName, batch: _Batch) -> tuple[Rollout, dict[str, str], bool]:
    """Read a rollout, which way its metrics are better, and whether a batch was taken before."""
    rollout = queries.read_rollout(connection, name)
    if rollout is None:
        raise NotFoundError(f"there is no rollout {name} here", metadata={"subject": str(name)})
    return rollout, figure_queries.read_directions(connection, name), _was_taken(connection, name, batch)


def _was_taken(connection: Connection, name: ResourceName, batch: _Batch) -> bool:
    digest = figure_queries.read_report(connection, name, batch.subject, batch.request_id)
    if digest is not None and digest != batch.digest:
        raise AlreadyExistsError(
            f"request_id {batch.request_id!r} was used for another batch of {name}: give each its own id",
            metadata={"field": "request_id"},
        )
    return digest is not None


def _add(rollout: Rollout, batch: _Batch, known: Mapping[str, str], *, now: datetime) -> _Added:
    new = check_points(rollout, batch.points, known, now=now)
    sums = add_up(batch.points, rollout.phase_times, rollout.plan.reporting_interval)
    return _Added(rollout.phase_times, known, new, sums)


def _take(tx: Transaction, *, name: ResourceName, batch: _Batch, added: _Added) -> int:
    """Add a batch, and say how many points were taken: none where that was done, or the rollout ended."""
    rollout, known, taken = _read(tx.connection, name, batch)
    if taken or rollout.state.ended:
        return 0
    if (rollout.phase_times, known) != (added.phase_times, added.known):
        added = _add(rollout, batch, known, now=tx.now)
    figure_queries.insert_directions(tx.connection, name, added.new)
    figure_queries.add_sums(tx.connection, name, added.sums)
    figure_queries.insert_report(tx.connection, name, batch.subject, batch.request_id, batch.digest)
    _note_times(tx, rollout, batch.points)
    return len(batch.points)


def _note_times(tx: Transaction, rollout: Rollout, points: Sequence[MetricPoint]) -> None:
    """Write when figures came that a guardrail reads; where there are none, any figure is one.

    What ended longer ago than a rollout may be silent says nothing of how it fares now.
    """
    watched = {each.metric for each in rollout.plan.guardrails}
    since = microseconds(tx.now - rollout.plan.max_silence)
    versions = {
        each.version for each in points if (not watched or each.metric in watched) and (each.end or 0) > since
    }
    if not versions:
        return
    of_champion = rollout.champion_version in versions
    of_challenger = rollout.challenger_version in versions
    queries.write_reported(
        tx.connection,
        rollout.name,
        champion_at=tx.now if of_champion else rollout.champion_reported_at,
        challenger_at=tx.now if of_challenger else rollout.challenger_reported_at,
    )
