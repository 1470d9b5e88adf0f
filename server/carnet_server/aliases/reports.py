"""Taking the reports of serving hosts, and telling what runs.

Responsible for one row for each instance, written only when it says something new or is due; and for the log
entry of a drift, once an hour for an instance at most. What the log tells of versions that run is in
``carnet_server.aliases.running``. A report moves nothing and opens no gate: what a host
says of itself is believed for the sake of those who wait for it, and of nobody else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import NotFoundError
from carnet.translog.entry import EntryType
from carnet_server.aliases import observation_queries, queries
from carnet_server.aliases.serving import (
    FORGOTTEN_AFTER,
    REPORT_TTL,
    Report,
    Reported,
    check_instance,
    check_reported_revision,
    check_room,
    has_drifted,
    summarise,
)
from carnet_server.log.transaction import EntryDraft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias
    from carnet_server.aliases.running import RunningVersions
    from carnet_server.aliases.serving import Serving
    from carnet_server.database.engine import Database
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer


class ServingReports:
    """Takes reports and counts them.

    Args:
        database: The environment's database.
        writer: Its writer.
        running: Tells the log what they come to.
        clock: Tells the time.
    """

    def __init__(
        self, database: Database, writer: Writer, running: RunningVersions, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._writer = writer
        self._running = running
        self._clock = clock

    async def report(
        self, caller: Caller, name: ResourceName, *, instance: str, bundle_digest: str, revision: int
    ) -> Reported:
        """Take what a caller says of one of its instances; see ``AliasesService.report_serving``."""
        said = Report(
            name.namespace,
            name.model,
            name.alias,
            caller.subject,
            check_instance(instance),
            check_digest(bundle_digest, field="bundle_digest"),
            revision,
            self._clock(),
        )

        def look(connection: Connection) -> tuple[Reported, bool]:
            reported = _judge(connection, name, said)
            return reported, said.is_news(
                observation_queries.read_report(connection, name, said.subject, said.instance)
            )

        reported, is_news = await self._database.read(look)
        if is_news:
            await self._writer.commit(lambda tx: self._write(tx, caller, name, said))
        return reported

    def live_reports(
        self, connection: Connection, name: ResourceName, aliases: Sequence[Alias]
    ) -> dict[str, Serving | None]:
        """Count what runs for some aliases of one model, by the reports that have not expired; by alias."""
        names = [alias.alias for alias in aliases]
        since = self._clock() - REPORT_TTL
        found = observation_queries.read_reports(connection, name, names, since=since)
        return {alias.alias: summarise(alias, found[alias.alias]) for alias in aliases}

    def _write(self, tx: Transaction, caller: Caller, name: ResourceName, said: Report) -> None:
        """Write a report, and an entry where it shows a drift that was not told of lately."""
        held = observation_queries.read_report(tx.connection, name, said.subject, said.instance)
        if held is None:
            observation_queries.forget_reports(tx.connection, name, before=said.reported_at - FORGOTTEN_AFTER)
            counts = observation_queries.count_reports(tx.connection, name)
            check_room(name, instances=sum(counts.values()), of_subject=counts.get(said.subject, 0))
        reported = _judge(tx.connection, name, said)
        logged_at = held.drift_logged_at if held else None
        if reported.drifted and (logged_at is None or said.reported_at - logged_at >= FORGOTTEN_AFTER):
            tx.append(
                EntryDraft(
                    EntryType.SERVING_DRIFTED,
                    caller.actor,
                    {
                        "namespace": name.namespace,
                        "model": name.model,
                        "alias": name.alias,
                        "bundle_digest": said.bundle_digest,
                    },
                    old=reported.alias.bundle_digest,
                    new=said.instance,
                )
            )
            logged_at = said.reported_at
        observation_queries.write_report(
            tx.connection, replace(said, drift_logged_at=logged_at), is_new=held is None
        )
        self._running.note(tx, caller.actor, said, held, drifted=reported.drifted)


def _judge(connection: Connection, name: ResourceName, said: Report) -> Reported:
    moves = queries.read_newest_digests(connection, name)
    if not moves:
        raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} never was set here")
    alias = moves[0].after
    check_reported_revision(said.revision, alias)
    return Reported(alias, has_drifted(said.bundle_digest, moves))
