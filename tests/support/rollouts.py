"""A registry with rollouts, a clock that a test moves, and monitors that report what a test says."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from carnet.references import ResourceName
from carnet.rollouts import RolloutKind
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.log.queries import READ_ENTRIES
from carnet_server.log.writer import Writer
from carnet_server.rollouts.metrics import MetricPoint, microseconds
from carnet_server.rollouts.plan import RolloutSuccess, Step
from carnet_server.rollouts.service import RolloutsService
from carnet_server.rollouts.start_request import StartRequest
from tests.support.registry import OPERATOR, Registry, make_policy

if TYPE_CHECKING:
    from carnet.translog.entry import Entry
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService
    from carnet_server.rollouts.domain import Rollout
    from carnet_server.rollouts.reporting import Reported
    from carnet_server.rollouts.traffic import Traffic

CHAMPION = ResourceName("risk", "fraud", alias="champion")
CHALLENGER = ResourceName("risk", "fraud", alias="challenger")
MONITOR = "spiffe://carnet.test/service/monitor"
ERRORS = {
    "rule": "errors",
    "metric": "error_rate",
    "direction": "lower_is_better",
    "max_regression": 0.01,
    "min_samples": 100,
}
LATENCY = {
    "rule": "latency",
    "metric": "latency_ms",
    "direction": "lower_is_better",
    "at_most": 200,
    "min_samples": 100,
}
TERMS: dict[str, Any] = {
    "reporting_interval": "1m",
    "max_silence": "10m",
    "max_duration": "7d",
    "guardrails": [ERRORS],
}
MINUTE = timedelta(minutes=1)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class RolloutRegistry(Registry):
    """A registry whose policy has guardrails; versions 1 to 3, and ``champion`` at 1."""

    def __init__(self, folder: Any, *, terms: dict[str, Any] | None = None, **options: Any) -> None:
        self.clock = Clock()
        self._ids = itertools.count()
        fields = options.pop("policy_fields", {})
        policy = make_policy(rollouts=TERMS if terms is None else terms, **fields)
        super().__init__(folder, policy=policy, **options)

    async def start(self) -> None:
        await super().start()
        self.writer.stop()
        self.writer = self.open_writer(self.database, self.log)
        self.wire()

    def open_writer(self, database: Database, log: LogService) -> Writer:
        """A writer that goes by this registry's clock, attached to a log."""
        key = self.state.log_key
        writer = Writer(database, environment="dev", key=key, on_commit=log.on_commit, clock=self.clock)
        log.attach(writer, asyncio.get_running_loop())
        return writer

    def wire(self) -> None:
        super().wire()
        self.rollouts = RolloutsService(self.database, self.writer, self.log, self.state, clock=self.clock)

    async def fill(self, *, versions: int = 3) -> None:
        """Publish versions, and point ``champion`` at the first."""
        for number in range(1, versions + 1):
            await self.add_version(number)
        await self.point(CHAMPION, 1)

    async def point(self, alias: ResourceName, version: int) -> None:
        """Point an alias at a version; 0 takes it away."""
        caller, any_revision = (
            self.caller(OPERATOR),
            {"expected_revision": None, "note": "", "request_id": ""},
        )
        if version:
            await self.aliases.set_alias(caller, alias, version, **any_revision)
        else:
            await self.aliases.delete_alias(caller, alias, **any_revision)

    async def points_at(self, alias: ResourceName) -> int:
        """Where an alias points; 0 for nowhere."""
        page, _ = await self.aliases.list_page(ResourceName("risk", "fraud"), page_size=0, page_token="")
        return next((each.version for each in page if each.alias == alias.alias), 0)

    async def begin(
        self, *steps: float | tuple[float, timedelta], by: str = OPERATOR, **fields: Any
    ) -> Rollout:
        """Begin a rollout of ``champion`` with version 2; steps without a duration last a minute at least."""
        validate_only, service = fields.pop("validate_only", False), fields.pop("through", self.rollouts)
        asked: dict[str, Any] = {
            "kind": RolloutKind.SPLIT,
            "challenger_version": 2,
            "challenger_alias": "",
            "steps": tuple(Step(*each) if isinstance(each, tuple) else Step(each, MINUTE) for each in steps),
            "on_success": RolloutSuccess.HOLD,
            "bake_duration": timedelta(0),
            "note": "",
            "request_id": "",
        }
        request = StartRequest.of(fields.pop("alias", CHAMPION), **(asked | fields))
        outcome = await service.start_rollout(self.caller(by), request, validate_only=validate_only)
        return outcome.view.rollout

    async def at(self, rollout: Rollout) -> Rollout:
        """A rollout as it stands now."""
        return (await self.rollouts.get(rollout.name)).rollout

    async def judge(self, rollout: Rollout, *, after: timedelta = timedelta(0)) -> Rollout:
        """Let time pass, and look at every rollout as the scheduler does."""
        self.clock.now += after
        await self.rollouts.controller.tick()
        return await self.at(rollout)

    def measured(
        self,
        version: int,
        mean: float,
        count: int = 1000,
        *,
        metric: str = "error_rate",
        deviation: float | None = None,
        ago: timedelta = timedelta(0),
        length: timedelta = timedelta(0),
        direction: str = "",
    ) -> MetricPoint:
        """A window of samples; without a deviation they are yes or no."""
        total = mean * count
        squares = total if deviation is None else count * (mean**2 + deviation**2)
        end = microseconds(self.clock() - ago)
        start = end - length // timedelta(microseconds=1)
        return MetricPoint(version, metric, start, end, count, total, squares, direction)

    async def report(self, rollout: Rollout, *points: MetricPoint, request_id: str = "") -> Reported:
        """Report points as the monitor does."""
        return await self.rollouts.report(
            self.caller(MONITOR),
            rollout.name,
            request_id=request_id or f"batch-{next(self._ids)}",
            points=points,
        )

    async def report_both(
        self, rollout: Rollout, champion: float, challenger: float, count: int = 1000
    ) -> Reported:
        """Report the error rates of both versions."""
        return await self.report(
            rollout,
            self.measured(rollout.champion_version, champion, count),
            self.measured(rollout.challenger_version, challenger, count),
        )

    async def shares(self, alias: ResourceName = CHAMPION) -> dict[int, float]:
        """Who answers, with which share."""
        traffic: Traffic = await self.rollouts.traffic(alias)
        return {each.version: each.share for each in traffic.answering}

    async def told(self, *types: EntryType, since: int = 3) -> list[Entry]:
        """The log's entries of some types, or all, since the documents were recorded."""
        span = {"first": since, "end": 1000}
        rows = await self.database.read(lambda connection: connection.execute(READ_ENTRIES, span).all())
        found = [parse_entry(row.entry) for row in rows]
        return [each for each in found if not types or each.type in types]

    async def standings(self) -> list[tuple[str | None, str | None]]:
        """From where to where rollouts went, as the log tells it."""
        kinds = (EntryType.ROLLOUT_STARTED, EntryType.ROLLOUT_CHANGED)
        return [(each.old, each.new) for each in await self.told(*kinds)]
