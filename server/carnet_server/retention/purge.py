"""Purging: told of first, then one version after the other.

Responsible for the order of things: what may go is read and judged, and each version is purged in a change of
its own, which judges once more by what holds then. A purge takes a version's files; its manifest, signature,
evidence and log entries stay. The bytes go later, by the collector, once nobody has them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from carnet.canonical import canonical_json
from carnet.errors import NotFoundError, PreconditionFailedError
from carnet.references import ResourceName
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet.translog.entry import EntryType
from carnet_server.access.authorize import require_acting
from carnet_server.log.revisions import bundle_scope, model_scope
from carnet_server.log.transaction import EntryDraft
from carnet_server.models.archival import parse_excluded
from carnet_server.models.domain import check_reason, purged_text
from carnet_server.models.queries import has_model, list_namespaces, read_blobs
from carnet_server.retention import queries
from carnet_server.retention.kept import Kept, Place
from carnet_server.retention.purge_rules import Purged, PurgeRule, Verdict, judge, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from carnet.translog.entry import Actor
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.retention.purge_rules import Looked

PURGE_MEDIA_TYPE = "application/vnd.carnet.purge+json"
PURGED = "purged"
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of every version."""

    rule: PurgeRule
    spared: frozenset[str]
    reason: str | None
    actor: Actor


class Purge:
    """Purges versions.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its policy.
        clock: Tells the time of what is only told of.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state
        self._clock = clock

    async def run(
        self,
        caller: Caller,
        place: ResourceName | None,
        *,
        keep_last: int | None,
        excluded: Sequence[str],
        reason: str,
        validate_only: bool,
        page_size: int,
        page_token: str,
    ) -> tuple[list[Purged], str]:
        """Purge a page of the versions that the policy lets go, or tell which those are.

        Args:
            caller: Who asks.
            place: A namespace, a model, or one version; None for every namespace in which the caller may act
                as operator.
            keep_last: How many archived versions of a model to keep at least; None for what the policy says.
            excluded: The resource names of versions that are left alone.
            reason: Why, for people; may be empty where nothing is purged.
            validate_only: Whether to tell only.
            page_size: How many versions to look at; 0 for the default.
            page_token: The token of the answer before; empty for the first.

        Returns:
            Every archived or revoked version that was looked at, with what became of it and why; and the
            token that goes on, empty at the end.

        Raises:
            InvalidInputError: An argument is malformed, or the reason is missing.
            PermissionDeniedError: The caller may not act as operator in the namespace.
            NotFoundError: There is no such model or version.
            PreconditionFailedError: The policy lets nothing be purged, or the one version that was named
                must be kept; the message says why, and nothing is changed.
        """
        if place is not None:
            require_acting(caller, "operator", namespace=place.namespace)
        rule = rule_of(self._state.policy.document.retention, keep_last, environment=self._state.name)
        said = None if validate_only else check_reason(reason, field="reason")
        question = _Question(rule, parse_excluded(excluded), said, caller.actor)
        if place is not None and place.version:
            return [await self._one(question, place)], ""
        query = f"purge {place or '-'} {rule} {sorted(question.spared)} {validate_only}"
        position = decode_page_token(page_token, query, str, str, int)
        after = (position[0], position[1], position[2]) if position else ("", "", 0)
        limit = page_limit(page_size)

        def read(connection: Connection) -> list[tuple[Looked, Purged]]:
            there = _allowed(connection, caller, place)
            model = place.model if place is not None else ""
            found = queries.look_at_versions(connection, there, model=model, after=after, limit=limit + 1)
            return self._look(connection, question, found)

        found = await self._database.read(read)
        told = [await self._act(question, looked, outcome) for looked, outcome in found[:limit]]
        if len(found) <= limit:
            return told, ""
        last = told[-1].version
        return told, encode_page_token(query, (last.namespace, last.model, last.version))

    async def _one(self, question: _Question, name: ResourceName) -> Purged:
        """Purge the one version that was named; whoever named it is told why where it must be kept."""

        def read(connection: Connection) -> list[tuple[Looked, Purged]]:
            looked = queries.look_at_version(connection, name)
            return [] if looked is None else self._look(connection, question, [looked])

        found = await self._database.read(read)
        if not found:
            raise NotFoundError(f"there is no version {name.version} of {name.namespace}/{name.model} here")
        ((looked, outcome),) = found
        version = looked.version
        if version.purge_log_index is not None:
            receipt = await self._log.receipt_of_change(version.purge_log_index)
            return Purged(version, purged=True, why=purged_text(version), receipt=receipt)
        done = await self._act(question, looked, outcome)
        if question.reason is not None and not done.purged:
            raise PreconditionFailedError(
                f"version {name.version} of {name.namespace}/{name.model} is not purged: {done.why}",
                metadata={"field": "parent", "subject": str(name)},
            )
        return done

    def _look(
        self, connection: Connection, question: _Question, found: Sequence[Looked]
    ) -> list[tuple[Looked, Purged]]:
        """Judge versions, and read what would be freed; the reasons are read once a model."""
        now = self._clock()
        kept: dict[tuple[str, str], Kept] = {}
        told = []
        for looked in found:
            version = looked.version
            key = (version.namespace, version.model)
            if key not in kept:
                kept[key] = self._kept(connection, *key, now=now)
            verdict = _verdict(question, looked, kept[key], now)
            freed = queries.read_freed_bytes(connection, _name_of(looked)) if verdict.goes else 0
            told.append((looked, Purged(version, verdict.goes, verdict.why, freed)))
        return told

    def _kept(self, connection: Connection, namespace: str, model: str, *, now: datetime) -> Kept:
        since = now - self._state.policy.document.request_max_age
        return Kept(Place(connection, namespace, model, now, since))

    async def _act(self, question: _Question, looked: Looked, outcome: Purged) -> Purged:
        """Purge one version, unless it is kept or only told of."""
        if question.reason is None or not outcome.purged:
            return outcome
        write = partial(
            self._write, question=question, name=_name_of(looked), salt=secrets.token_hex(_SALT_BYTES)
        )
        done = await self._writer.commit(write)
        if not done.purged or done.version.purge_log_index is None:
            return done
        return replace(done, receipt=await self._log.receipt_of_change(done.version.purge_log_index))

    def _write(self, tx: Transaction, *, question: _Question, name: ResourceName, salt: str) -> Purged:
        """Judge once more, and take the files; what came into use meanwhile is left alone."""
        connection, rule = tx.connection, question.rule
        looked = queries.look_at_version(connection, name)
        assert looked is not None, "versions are never deleted"
        version = looked.version
        kept = self._kept(connection, name.namespace, name.model, now=tx.now)
        verdict = _verdict(question, looked, kept, tx.now)
        if not verdict.goes:
            return Purged(version, purged=False, why=verdict.why)
        freed = queries.read_freed_bytes(connection, name)
        document = {
            "salt": salt,
            "note": question.reason or "",
            "why": verdict.why,
            "rule": rule.to_json(),
            "file_count": version.file_count,
            "blob_count": len(read_blobs(connection, name.namespace, name.model, name.version)),
            "size_bytes": version.size_bytes,
            "freed_bytes": freed,
        }
        index = tx.append(
            EntryDraft(
                EntryType.VERSION_PURGED,
                question.actor,
                version.subject,
                old=str(version.stage),
                new=PURGED,
                envelope_digest=tx.store_document(canonical_json(document), PURGE_MEDIA_TYPE),
            )
        )
        went = queries.let_go(connection, name, now=tx.now, until=tx.now + rule.grace, log_index=index)
        assert went, "it was judged in this very transaction"
        tx.touch(model_scope(name.namespace, name.model), bundle_scope(version.bundle_digest))
        purged = replace(version, purged_at=tx.now, purge_log_index=index)
        return Purged(purged, purged=True, why=verdict.why, freed_bytes=freed)


def _verdict(question: _Question, looked: Looked, kept: Kept, now: datetime) -> Verdict:
    reasons = kept.reasons(looked.version.version)
    if looked.version.name in question.spared:
        reasons.append("it was asked to be left alone")
    return judge(question.rule, looked, reasons, now)


def _allowed(connection: Connection, caller: Caller, place: ResourceName | None) -> list[str]:
    """Return the namespaces in which a caller may purge at a place."""
    if place is None:
        trust, who = caller.trust, caller.subject
        return [
            each for each in list_namespaces(connection) if "operator" in trust.acting_roles(who, each, "")
        ]
    if place.model and not has_model(connection, place.namespace, place.model):
        raise NotFoundError(f"there is no model {place.namespace}/{place.model} here")
    return [place.namespace]


def _name_of(looked: Looked) -> ResourceName:
    version = looked.version
    return ResourceName(version.namespace, version.model, version.version)
