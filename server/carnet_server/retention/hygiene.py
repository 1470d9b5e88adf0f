"""Hygiene: what looks neglected in an environment, and what its namespaces store.

Responsible for one answer out of one reading of the database, about what the caller may read. Changes
nothing, and reads no store: uploads that nobody goes on with are cleared away by the collector, which alone
can tell them from those that are under way.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING

from carnet.references import ResourceName
from carnet_server.access.authorize import require
from carnet_server.access.permissions import READERS
from carnet_server.aliases.observation_queries import list_unused
from carnet_server.aliases.stale_rules import StaleAlias, StaleReason, judge_standing
from carnet_server.blobs.collector import GRACE
from carnet_server.retention import hygiene_queries
from carnet_server.retention.hygiene_rules import (
    FINDINGS_MAX,
    Finding,
    HygieneKind,
    HygieneReport,
    check_stale_days,
    judge_alias_names,
    judge_names,
    judge_storage,
)
from carnet_server.retention.quotas import quota_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState

_PAGE = 1_000
_WORDS = {
    StaleReason.UNMOVED: "nobody moved it",
    StaleReason.UNRESOLVED: "nobody resolved it",
    StaleReason.REVOKED: "it points at a revoked version",
}


class Hygiene:
    """Tells what looks neglected.

    Args:
        database: The environment's database.
        state: Its policy, for quotas.
        clock: Tells the time.
    """

    def __init__(
        self,
        database: Database,
        state: EnvironmentState,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._state = state
        self._clock = clock

    async def report(self, caller: Caller, namespace: str, *, stale_days: int) -> HygieneReport:
        """Tell what looks neglected.

        Args:
            caller: Who asks; only what it may read is told.
            namespace: Where; empty for everywhere.
            stale_days: For how many days an alias must be still to be stale, or its rollback not rehearsed;
                0 for 30.

        Raises:
            InvalidInputError: The days are not such a number.
            PermissionDeniedError: The caller may not read in the namespace.
        """
        days, now = check_stale_days(stale_days), self._clock()
        if namespace:
            require(caller, *READERS, namespace=namespace)

        def read(connection: Connection) -> HygieneReport:
            used = [namespace] if namespace else hygiene_queries.list_used_namespaces(connection)
            there = [each for each in used if caller.roles_in(each) & READERS]
            quotas = self._state.policy.document.quotas
            storage = hygiene_queries.read_storage_of(connection, there, lambda each: quota_of(quotas, each))
            limit = FINDINGS_MAX + 1
            findings = chain(
                hygiene_queries.find_orphans(connection, there, before=now - GRACE, now=now, limit=limit),
                _find_stale(connection, there, days, now),
                hygiene_queries.find_unowned(connection, there, limit=limit),
                _find_names(connection, there),
                hygiene_queries.find_duplicates(connection, there, limit=limit),
                judge_storage(storage),
                hygiene_queries.find_unrehearsed(
                    connection,
                    there,
                    self._state.policy.document.protected_aliases,
                    since=now - timedelta(days=days),
                    now=now,
                    limit=limit,
                ),
            )
            found = tuple(islice(findings, limit))
            return HygieneReport(found[:FINDINGS_MAX], tuple(storage), truncated=len(found) == limit)

        return await self._database.read(read)


def _find_names(connection: Connection, namespaces: Sequence[str]) -> list[Finding]:
    models = hygiene_queries.read_model_names(connection, namespaces)
    aliases = hygiene_queries.read_alias_names(connection, namespaces, limit=FINDINGS_MAX + 1)
    return sorted(chain(judge_names(models), judge_alias_names(aliases)), key=lambda each: each.subject)


def _find_stale(
    connection: Connection, namespaces: Sequence[str], days: int, now: datetime
) -> Iterator[Finding]:
    """Yield stale aliases by name, a page of rows after the other."""
    since, behind = now - timedelta(days=days), ("", "", "")
    while True:
        rows = list_unused(connection, namespaces, since=since, after=behind, limit=_PAGE)
        for row in rows:
            stale = judge_standing(row, since)
            if stale is not None:
                yield _stale_finding(stale, days)
        if len(rows) < _PAGE:
            return
        last = rows[-1].alias
        behind = (last.namespace, last.model, last.alias)


def _stale_finding(stale: StaleAlias, days: int) -> Finding:
    alias = stale.standing.alias
    why = " and ".join(_WORDS[reason] for reason in stale.reasons)
    return Finding(
        HygieneKind.STALE_ALIAS,
        str(ResourceName(alias.namespace, alias.model, alias=alias.alias)),
        f"points at version {alias.version}; for {days} days {why}",
        "remove it, or move it; an alias keeps its version from being archived and purged",
    )
