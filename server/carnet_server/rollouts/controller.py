"""Making the changes of rollouts that are due.

Responsible for looking, and for having what is due written: after every report, whenever an alias was moved
or a version revoked, and every few seconds for what only time brings about and for what a killed process
left. It keeps nothing in memory: whether something is due is read once to look, and once more inside the
transaction that writes it, behind the log's locked head. So any number of processes may look at the same
rollout at the same moment, and each change is made once.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, UnavailableError
from carnet.translog.entry import EntryType
from carnet_server.rollouts import figure_queries, queries
from carnet_server.rollouts.changes import write_change
from carnet_server.rollouts.judging import read_facts
from carnet_server.rollouts.transitions import due_change

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService, Subscription
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.rollouts.domain import Rollout
    from carnet_server.rollouts.transitions import Change, Facts

TICK_EVERY_SECONDS = 2.0
# As many as a plan has steps, and the end; the next look would make the rest.
_MOST_CHANGES = 30
_FORGOTTEN_AT_ONCE = 5_000
_STIRRING = frozenset({EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED, EntryType.VERSION_REVOKED})

logger = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class RolloutController:
    """Looks at rollouts, and has what is due written.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its name and policy.
        clock: Tells the time.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state
        self._clock = clock
        self._following: asyncio.Task[None] | None = None

    async def judge(self, name: ResourceName) -> Rollout | None:
        """Make the changes of a rollout that are due.

        Args:
            name: The rollout.

        Returns:
            The rollout as it stands then; None where there is none.

        Raises:
            CarnetError: The database failed, or the log could not be written.
        """
        for _ in range(_MOST_CHANGES):
            rollout, change = await self._database.read(lambda connection: self._look(connection, name))
            if rollout is None or change is None:
                return rollout
            await self._writer.commit(lambda tx: self.settle(tx, name))
        return rollout

    def settle(self, tx: Transaction, name: ResourceName) -> Rollout | None:
        """Make the one change of a rollout that is due, inside a transaction.

        Args:
            tx: The transaction.
            name: The rollout.

        Returns:
            The rollout after it; None where there is none.
        """
        rollout = queries.read_rollout(tx.connection, name)
        if rollout is None or rollout.state.ended:
            return rollout
        facts = self.facts(tx.connection, rollout, now=tx.now)
        change = due_change(rollout, facts)
        if change is None:
            return rollout
        return write_change(tx, self._state.actor, rollout, change, facts)

    def facts(self, connection: Connection, rollout: Rollout, *, now: datetime) -> Facts:
        """Read what a rollout is judged by; see ``judging.read_facts``."""
        document = self._state.policy.document
        return read_facts(connection, rollout, environment=self._state.name, document=document, now=now)

    async def tick(self) -> None:
        """Look at every rollout that has not ended. Raises nothing: what fails is looked at again."""
        try:
            due = await self._database.read(self._find_due)
            await self._judge_all(due)
            if await self._database.read(figure_queries.has_ended_reports):
                await self._writer.commit(
                    lambda tx: figure_queries.forget_ended_reports(tx.connection, limit=_FORGOTTEN_AT_ONCE)
                )
        except CarnetError as error:
            logger.warning("rollouts were not looked at: %s", error.message)

    def start(self) -> None:
        """Look whenever an alias was moved or a version revoked; needs a running loop."""
        self._following = asyncio.create_task(self._follow(self._log.subscribe()))

    async def stop(self) -> None:
        """Stop looking."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    def _look(self, connection: Connection, name: ResourceName) -> tuple[Rollout | None, Change | None]:
        rollout = queries.read_rollout(connection, name)
        if rollout is None or rollout.state.ended:
            return rollout, None
        return rollout, due_change(rollout, self.facts(connection, rollout, now=self._clock()))

    def _find_due(self, connection: Connection) -> list[ResourceName]:
        active = queries.read_active_rollouts(connection)
        return [rollout.name for rollout in active if self._is_due(connection, rollout)]

    def _is_due(self, connection: Connection, rollout: Rollout) -> bool:
        try:
            return due_change(rollout, self.facts(connection, rollout, now=self._clock())) is not None
        except ArithmeticError:
            logger.exception("%s cannot be judged", rollout.name)
            return False

    async def _judge_all(self, names: list[ResourceName]) -> None:
        """Make what is due of some rollouts; one that fails keeps no other from it."""
        for name in names:
            try:
                await self.judge(name)
            except (CarnetError, ArithmeticError) as error:
                logger.warning("%s was not judged: %s", name, error)

    async def _follow(self, subscription: Subscription) -> None:
        try:
            while not await self._follow_to_its_end(subscription):
                subscription.close()
                subscription = self._log.subscribe()
        finally:
            subscription.close()

    async def _follow_to_its_end(self, subscription: Subscription) -> bool:
        """Look at what is stirred up; False where we fell behind, and the tick sees what there was."""
        try:
            async for new in subscription:
                stirred = {
                    (str(entry.subject["namespace"]), str(entry.subject["model"]))
                    for _, entry in (new, *subscription.take())
                    if entry.type in _STIRRING
                }
                if stirred:
                    await self._look_at_models(stirred)
        except UnavailableError:
            return False
        return True

    async def _look_at_models(self, models: set[tuple[str, str]]) -> None:
        """Judge the active rollouts of some models; one statement finds them all."""

        def read(connection: Connection) -> list[Rollout]:
            if len(models) == 1:
                return queries.read_active_rollouts_of(connection, *next(iter(models)))
            active = queries.read_active_rollouts(connection)
            return [rollout for rollout in active if (rollout.name.namespace, rollout.name.model) in models]

        try:
            active = await self._database.read(read)
        except CarnetError as error:
            logger.warning("the rollouts of %d models were not looked at: %s", len(models), error.message)
        else:
            await self._judge_all([rollout.name for rollout in active])
