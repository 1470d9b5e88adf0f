"""Archiving what is old and out of use: told of first, then one version after the other.

Each version is archived in a transaction of its own, which looks once more: what came into use meanwhile is
left alone. Archiving takes nothing away; an operator takes it back by making the version registered again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.references import ResourceName, parse_resource_name
from carnet.serving.paging import MAX_PAGE_SIZE, decode_page_token, encode_page_token, page_limit
from carnet.stages import Stage
from carnet_server.access.authorize import require_acting
from carnet_server.models.archival_queries import find_unused, still_unused
from carnet_server.models.archival_rules import Archived
from carnet_server.models.domain import check_reason
from carnet_server.models.notes import make_note
from carnet_server.models.queries import list_namespaces
from carnet_server.models.stages import set_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from carnet.translog.entry import Actor
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.archival_rules import ArchivalRule, Unused
    from carnet_server.models.domain import Version
    from carnet_server.models.notes import Note

EXCLUDED_MAX = 10_000


class Archival:
    """Archives versions by age and disuse.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        clock: Tells the time.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._clock = clock

    async def run(
        self,
        caller: Caller,
        namespace: str,
        rule: ArchivalRule,
        *,
        excluded: Sequence[str],
        reason: str,
        validate_only: bool,
        page_size: int,
        page_token: str,
    ) -> tuple[list[Archived], str]:
        """Archive a page of the versions that a rule is about, or tell which those are.

        Args:
            caller: Who asks.
            namespace: Where; empty for every namespace in which the caller may act as operator.
            rule: How old, and how long out of use.
            excluded: The resource names of versions that are left alone.
            reason: Why, for people; may be empty where nothing is archived.
            validate_only: Whether to tell only.
            page_size: How many versions to look at; 0 for the default.
            page_token: The token of the answer before; empty for the first.

        Returns:
            What was or would be archived, and the token that goes on; empty at the end.

        Raises:
            InvalidInputError: An argument is malformed, or the reason is missing.
            PermissionDeniedError: The caller may not act as operator in the namespace.
        """
        if namespace:
            require_acting(caller, "operator", namespace=namespace)
        note = None if validate_only else make_note(check_reason(reason, field="reason"))
        spared = parse_excluded(excluded)
        query = f"archival {namespace or '-'} {rule} {sorted(spared)} {validate_only}"
        position = decode_page_token(page_token, query, str, str, int)
        after = (position[0], position[1], position[2]) if position else ("", "", 0)
        limit, now = page_limit(page_size), self._clock()

        def allowed(connection: Connection) -> list[str]:
            there = [namespace] if namespace else list_namespaces(connection)
            trust, who = caller.trust, caller.subject
            return [each for each in there if "operator" in trust.acting_roles(who, each, "")]

        told, last = await self._page(
            caller.actor, allowed, rule, spared=spared, note=note, after=after, limit=limit, now=now
        )
        return told, encode_page_token(query, last) if last else ""

    async def run_everywhere(
        self, actor: Actor, rule: ArchivalRule, *, excluded: frozenset[str], reason: str
    ) -> list[Archived]:
        """Archive all versions that a rule is about, in every namespace.

        Args:
            actor: Who archives.
            rule: How old, and how long out of use.
            excluded: The resource names of versions that are left alone.
            reason: Why, for people.

        Raises:
            InvalidInputError: The reason is missing.
        """
        note = make_note(check_reason(reason, field="reason"))
        now = self._clock()
        done: list[Archived] = []
        after: tuple[str, str, int] | None = ("", "", 0)
        while after is not None:
            page, after = await self._page(
                actor,
                list_namespaces,
                rule,
                spared=excluded,
                note=note,
                after=after,
                limit=MAX_PAGE_SIZE,
                now=now,
            )
            done += page
        return done

    async def _page(
        self,
        actor: Actor,
        namespaces: Callable[[Connection], Sequence[str]],
        rule: ArchivalRule,
        *,
        spared: frozenset[str],
        note: Note | None,
        after: tuple[str, str, int],
        limit: int,
        now: datetime,
    ) -> tuple[list[Archived], tuple[str, str, int] | None]:
        """Archive a page; return what was, and where the next page begins, None at the end."""
        found = await self._database.read(
            lambda connection: find_unused(
                connection, rule, namespaces(connection), after=after, limit=limit + 1, now=now
            )
        )
        told: list[Archived] = []
        for each in found[:limit]:
            if each.version.name not in spared:
                done = await self._archive(actor, rule, each, note, now)
                told += [] if done is None else [done]
        if len(found) <= limit:
            return told, None
        last = found[limit - 1].version
        return told, (last.namespace, last.model, last.version)

    async def _archive(
        self, actor: Actor, rule: ArchivalRule, unused: Unused, note: Note | None, now: datetime
    ) -> Archived | None:
        """Archive one version; with no note it is only told of. None where it came into use meanwhile."""
        why = unused.why(now)
        if note is None:
            return Archived(unused.version, unused.last_used_at, why)
        write = partial(_write, actor=actor, rule=rule, version=unused.version, note=note)
        version = await self._writer.commit(write)
        if version is None:
            return None
        receipt = await self._log.receipt_of_change(version.stage_log_index)
        return Archived(version, unused.last_used_at, why, receipt)


def _write(
    tx: Transaction, *, actor: Actor, rule: ArchivalRule, version: Version, note: Note
) -> Version | None:
    if not still_unused(tx.connection, rule, version, now=tx.now):
        return None
    name = ResourceName(version.namespace, version.model, version.version)
    return set_stage(tx, actor, name, Stage.ARCHIVED, note, expected=None)


def parse_excluded(names: Sequence[str]) -> frozenset[str]:
    """Return the resource names of versions that are left alone.

    Raises:
        InvalidInputError: There are more than ``EXCLUDED_MAX``, or one is no version's name.
    """
    if len(names) > EXCLUDED_MAX:
        raise InvalidInputError(
            f"excluded: {len(names)} versions; {EXCLUDED_MAX} at most", metadata={"field": "excluded"}
        )
    return frozenset(str(parse_resource_name(name, field="excluded", want="version")) for name in names)
