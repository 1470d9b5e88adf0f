"""From when until when serving hosts said that they run a version, told in the log.

Responsible for one entry when the first host says that it runs a version, and one when the last has stopped
to say so: at once where a report shows it, else with the next look. So that hosts which go to and fro do not
fill the log, what began lasts a minute at least.

What runs and was never here is no version, and told as a drift (``carnet_server.aliases.reports``); and of
what drifted no more begins once ``TOLD_MAX`` versions run under one alias, since anybody who may read may
report. While a registry is down hosts cannot say anything: a look ends nothing before they had time to.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from carnet.errors import CarnetError
from carnet.translog.entry import SERVING_RUNNING, EntryType
from carnet_server.aliases import running_queries as queries
from carnet_server.aliases.serving import REPORT_TTL, Running
from carnet_server.log.transaction import EntryDraft

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from carnet.translog.entry import Actor
    from carnet_server.aliases.serving import Report
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

LOOK_EVERY_SECONDS: Final = 60.0
TOLD_MAX: Final = 20
_LASTS: Final = timedelta(minutes=1)
_ENDED_AT_A_TIME: Final = 500

logger = logging.getLogger(__name__)


class RunningVersions:
    """Tells the log what serving hosts run.

    Args:
        database: The environment's database.
        writer: Its writer.
        state: The environment, which notices what nobody says any more.
        clock: Tells the time.
    """

    def __init__(
        self, database: Database, writer: Writer, state: EnvironmentState, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._writer = writer
        self._state = state
        self._clock = clock
        self._started_at = clock()

    def note(
        self, tx: Transaction, actor: Actor, said: Report, held: Report | None, *, drifted: bool
    ) -> None:
        """Tell what a report changes, which is written already, with it.

        Args:
            tx: The change that the report is written with.
            actor: Who says it.
            said: What is said.
            held: What the same instance said before; None for nothing.
            drifted: Whether the alias neither points at what is said nor pointed at it before.
        """
        if queries.read_running(tx.connection, said) is None:
            version = queries.find_reported_version(tx.connection, said)
            if version is not None and not (drifted and _is_full(tx, said)):
                _begin(tx, actor, said, version)
        if held is None or held.bundle_digest == said.bundle_digest:
            return
        before = queries.read_running(tx.connection, held)
        if (
            before is not None
            and said.reported_at - before.since >= _LASTS
            and not queries.is_reported(tx.connection, before, since=said.reported_at - REPORT_TTL)
        ):
            _end(tx, actor, before)

    async def look(self) -> None:
        """Tell what no host has said for ``REPORT_TTL`` that it runs. Raises nothing."""
        now = self._clock()
        if now - self._started_at < REPORT_TTL:
            return
        unreported = partial(queries.list_unreported, since=now - REPORT_TTL, begun_before=now - _LASTS)

        def end(tx: Transaction) -> None:
            for running in unreported(tx.connection, limit=_ENDED_AT_A_TIME):
                _end(tx, self._state.actor, running)

        try:
            if await self._database.read(partial(unreported, limit=1)):
                await self._writer.commit(end)
        except CarnetError as error:
            logger.warning("what hosts do not run any more is not told yet: %s", error.message)


def _is_full(tx: Transaction, said: Report) -> bool:
    running = queries.list_running(tx.connection, said.namespace, said.model)
    return sum(each.alias == said.alias for each in running) >= TOLD_MAX


def _begin(tx: Transaction, actor: Actor, said: Report, version: int) -> None:
    draft = EntryDraft(EntryType.SERVING_OBSERVED, actor, _subject(said, version), new=SERVING_RUNNING)
    running = Running(
        said.namespace,
        said.model,
        said.alias,
        said.bundle_digest,
        version,
        said.reported_at,
        tx.append(draft),
    )
    queries.write_running(tx.connection, running)


def _end(tx: Transaction, actor: Actor, running: Running) -> None:
    queries.remove_running(tx.connection, running)
    subject = _subject(running, running.version)
    tx.append(EntryDraft(EntryType.SERVING_OBSERVED, actor, subject, old=SERVING_RUNNING))


def _subject(told: Report | Running, version: int) -> dict[str, str | int]:
    return {
        "namespace": told.namespace,
        "model": told.model,
        "version": version,
        "alias": told.alias,
        "bundle_digest": told.bundle_digest,
    }
