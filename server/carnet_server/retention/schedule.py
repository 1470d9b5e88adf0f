"""What the registry does by itself once a day: archival by age and disuse, where the policy has its terms.

A process asks every hour what is due, and takes the day's run by comparing and setting one row: of several
processes over one database one does it. What a process that died left of its run is done the day after. The
environment itself is the actor. Versions that are on their way to another environment are left alone.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import SQLModel

from carnet.errors import CarnetError
from carnet_server.models.archival_rules import ArchivalRule
from carnet_server.release.queries import list_released
from carnet_server.retention.purge_rules import span
from carnet_server.retention.tables import ScheduledRunRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.archival import Archival
    from carnet_server.models.archival_rules import Archived

ARCHIVE = "archive"

_RUNS = SQLModel.metadata.tables[str(ScheduledRunRow.__tablename__)]
_MOMENT = _RUNS.c.taken_at.type
_READ = select(_RUNS.c.taken_at).where(_RUNS.c.task == bindparam("wanted"))
_TAKE = (
    update(_RUNS)
    .where(_RUNS.c.task == bindparam("wanted"), _RUNS.c.taken_at < bindparam("day", type_=_MOMENT))
    .values(taken_at=bindparam("now", type_=_MOMENT))
)
_INSERT = insert(_RUNS)

logger = logging.getLogger(__name__)


class ScheduledArchival:
    """Archives once a day what the policy says.

    Args:
        database: The environment's database.
        writer: Its writer.
        state: Its policy.
        archival: Archives.
        clock: Tells the time; a day is one of UTC.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        state: EnvironmentState,
        archival: Archival,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._writer = writer
        self._state = state
        self._archival = archival
        self._clock = clock

    async def run_due(self) -> None:
        """Archive, if it is due and nobody has taken the day's run; says what failed, and raises nothing."""
        try:
            done = await self.run()
        except CarnetError as error:
            logger.warning("archiving by itself was put off to tomorrow: %s", error.message)
        else:
            for each in done or ():
                logger.info("archived %s: %s", each.version.name, each.why)

    async def run(self) -> list[Archived] | None:
        """Archive, if it is due.

        Returns:
            What was archived; None where it was not due.

        Raises:
            UnavailableError: The database failed; the rest is due the next day.
        """
        retention, now = self._state.policy.document.retention, self._clock()
        terms = retention.archive if retention is not None else None
        if terms is None or not await self._take(now):
            return None
        since = now - self._state.policy.document.request_max_age
        leaving = await self._database.read(lambda connection: list_released(connection, since=since))
        return await self._archival.run_everywhere(
            self._state.actor,
            ArchivalRule(terms.older_than, terms.unused_for),
            excluded=frozenset(map(str, leaving)),
            reason=f"the policy's retention.archive: arrived at least {span(terms.older_than)} ago, and not "
            f"used for {span(terms.unused_for)}",
        )

    async def _take(self, now: datetime) -> bool:
        """Take the run of a day; False where it was taken before."""
        day = datetime(now.year, now.month, now.day, tzinfo=UTC)

        def change(tx: Transaction) -> bool:
            asked = {"wanted": ARCHIVE}
            if tx.connection.execute(_READ, asked).first() is None:
                tx.connection.execute(_INSERT, {"task": ARCHIVE, "taken_at": now})
                return True
            return tx.connection.execute(_TAKE, asked | {"day": day, "now": now}).rowcount == 1

        return await self._writer.commit(change)
