"""Reporting what a serving host observes of a rollout's two versions.

Responsible for summing up in memory, sending a window at a time, and sending a window that may not have
arrived again under the same id, so that nothing is counted twice. Never holds up the host: memory is bounded,
and what cannot be kept is dropped, the oldest first, and counted. Judges nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from carnet.client.serving import alias_reference
from carnet.errors import CarnetError, DeadlineExceededError, UnavailableError
from carnet.hosting.background import Background
from carnet.hosting.metric_sums import MetricSums

if TYPE_CHECKING:
    from carnet.client.async_client import AsyncClient
    from carnet.client.client import Client
    from carnet.client.results import MetricPoint, Rollout
    from carnet.references import Reference

DEFAULT_INTERVAL = timedelta(seconds=10)
MAX_PENDING = 60

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """A window on its way to a rollout."""

    request_id: str
    rollout: int
    points: list[MetricPoint]

    @property
    def sample_count(self) -> int:
        return sum(point.count for point in self.points)


class MetricsReporter:
    """Reports a host's observations to the rollout of an alias, while it has one; thread-safe.

    What is observed while there is no rollout, or of a version that it is not about, is forgotten. Close it,
    or use it with ``with``: the last window is sent then.

    Args:
        client: Whose federation and identity are used; the identity needs the role ``monitor``.
        reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
        interval: How often to report at least; it follows the registry's where that is shorter.
        max_pending: How many windows are kept while the registry is away.
    """

    def __init__(
        self,
        client: Client | AsyncClient,
        reference: str | Reference,
        *,
        interval: timedelta = DEFAULT_INTERVAL,
        max_pending: int = MAX_PENDING,
    ) -> None:
        self._reference = alias_reference(reference)
        self._interval = interval
        self._max_pending = max_pending
        self._sums = MetricSums(datetime.now(UTC))
        self._pending: deque[_Batch] = deque()
        self._dropped_count = 0
        self._rollout: Rollout | None = None
        self._sending = asyncio.Lock()
        self._background = Background(client, name="carnet-metrics")
        self._background.begin(self._report_on())

    @property
    def dropped_count(self) -> int:
        """How many observations were lost: for want of memory, or because a registry refused them."""
        return self._dropped_count + self._sums.dropped_count

    def observe(self, version: int, metric: str, value: float, direction: str = "") -> None:
        """Take an observation; it costs a lock and some additions, and sends nothing.

        Args:
            version: The version that answered, or was mirrored to.
            metric: The metric: 1 to 64 letters, digits, ``.``, ``_`` and ``-``, beginning with a letter.
            value: What was seen of it; finite. A rate is reported as 0 and 1.
            direction: ``higher_is_better`` or ``lower_is_better``; needed once of a metric that no guardrail
                names.

        Raises:
            InvalidInputError: The metric, the value or the direction is none.
        """
        self._sums.add(version, metric, value, direction)

    def flush(self) -> None:
        """Send what was observed until now, and wait for the answer.

        Raises:
            CarnetError: It could not be sent now; the window is kept, and sent again later.
            PreconditionFailedError: The reporter is closed.
        """
        self._background.run(self._flush())

    def close(self, *, timeout: float = 5.0) -> None:
        """Send the last window, and stop; what cannot be sent within the time is lost, and said so.

        Args:
            timeout: How long to try, in seconds.
        """
        if self._background.closed:
            return
        try:
            self._background.run(asyncio.wait_for(self._flush(), timeout))
        except (CarnetError, TimeoutError) as error:
            lost = sum(batch.sample_count for batch in self._pending)
            logger.warning("%s: %d observations could not be reported: %s", self._reference, lost, error)
        finally:
            self._background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _report_on(self) -> None:
        while True:
            await asyncio.sleep(self._interval.total_seconds())
            try:
                await self._flush()
            except CarnetError as error:
                logger.warning("%s: metrics could not be reported: %s", self._reference, error.message)

    async def _flush(self) -> None:
        async with self._sending:
            try:
                rollout = await self._present_rollout()
            except (UnavailableError, DeadlineExceededError):
                # It can be assumed to go on: if not, its registry says so when it is back.
                self._keep(self._rollout)
                raise
            self._keep(rollout)
            while self._pending:
                await self._send(self._pending[0])
                self._pending.popleft()

    async def _present_rollout(self) -> Rollout | None:
        active = await self._background.client.rollouts(self._reference, active=True)
        self._rollout = active[0] if active else None
        return self._rollout

    def _keep(self, rollout: Rollout | None) -> None:
        """Put the window that ends now behind those that wait, if it is a rollout's."""
        began = self._sums.started_at
        points = self._sums.take(datetime.now(UTC))
        if rollout is None or (rollout.created_at and began < rollout.created_at):
            return
        wanted = (rollout.champion_version, rollout.challenger_version)
        chosen = [point for point in points if point.version in wanted]
        if chosen:
            self._pending.append(_Batch(uuid4().hex, rollout.number, chosen))
        while len(self._pending) > self._max_pending:
            self._drop(self._pending.popleft(), "the registry has been away for too long")

    async def _send(self, batch: _Batch) -> None:
        try:
            report = await self._background.client.report_metrics(
                self._reference, batch.points, number=batch.rollout, request_id=batch.request_id
            )
        except (UnavailableError, DeadlineExceededError):
            raise
        except CarnetError as error:
            self._drop(batch, error.message)
            return
        if report.reporting_interval:
            self._interval = min(self._interval, report.reporting_interval)

    def _drop(self, batch: _Batch, reason: str) -> None:
        self._dropped_count += batch.sample_count
        logger.warning("%s: %d observations are dropped: %s", self._reference, batch.sample_count, reason)
