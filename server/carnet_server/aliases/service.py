"""Reading, setting and removing aliases.

A protected alias is moved by an admission or a rollback only; the policy says which ones are. Rolling back is
in ``rollback``, rehearsing it in ``drill``, marking what is known-good in ``marking``, telling of moves in
``watch``, what serving hosts say in ``reports``, and what nobody uses in ``stale``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from carnet.errors import GateRefusedError, InvalidInputError, NotFoundError
from carnet.references import check_version_number
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet_policies.protection import needs_decision
from carnet_server.aliases import mark_queries, observation_queries, queries
from carnet_server.aliases.ahead import LookAhead
from carnet_server.aliases.blob_checks import BlobChecks
from carnet_server.aliases.domain import (
    Move,
    Moved,
    MoveKind,
    check_expected_revision,
    check_request_id,
    request_digest,
)
from carnet_server.aliases.drill import Drill
from carnet_server.aliases.known_good import KnownGoodSearch
from carnet_server.aliases.marking import ChampionMarks
from carnet_server.aliases.moves import find_repeated, move_alias
from carnet_server.aliases.reports import ServingReports
from carnet_server.aliases.resolves import ResolveCounts
from carnet_server.aliases.rollback import Asked, Rollback
from carnet_server.aliases.running import RunningVersions
from carnet_server.aliases.stale import StaleAliases
from carnet_server.aliases.warm import warm_set
from carnet_server.aliases.watch import AliasWatch
from carnet_server.models.notes import make_note
from carnet_server.models.queries import has_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias, AliasMove
    from carnet_server.aliases.drill import Drilled
    from carnet_server.aliases.marks import Mark
    from carnet_server.aliases.serving import Reported, Serving
    from carnet_server.aliases.stale_rules import StaleAlias
    from carnet_server.blobs.port import BlobStore
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer

_Told = TypeVar("_Told")


WARM_MAX = 20


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class AliasState:
    """An alias as pointer and as fact.

    Attributes:
        alias: Where it points.
        serving: What serving hosts run; None where none reports.
        drilled_at: When a rollback of it was last rehearsed; None for never.
        mark: Its known-good version; None where none is marked.
        warm: The last stable versions with their digests, the present one first.
    """

    alias: Alias
    serving: Serving | None
    drilled_at: datetime | None
    mark: Mark | None
    warm: tuple[tuple[int, str], ...] = ()


class AliasesService:
    """Reads and moves aliases.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its policy and trust document.
        store: Its blobs.
        clock: Tells the time of what is observed.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        store: BlobStore,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state
        self._checks = BlobChecks(store, clock=clock)
        self._known_good = KnownGoodSearch(database, state, self._checks)
        self._rollback = Rollback(database, writer, log, self._known_good)
        self.running = RunningVersions(database, writer, state, clock=clock)
        self._reports = ServingReports(database, writer, self.running, clock=clock)
        self._drill = Drill(database, writer, log, state, known_good=self._known_good, reports=self._reports)
        self._stale = StaleAliases(database, clock=clock)
        self._ahead = LookAhead(database, self._known_good)
        self._watch = AliasWatch(database, log)
        self.marks = ChampionMarks(writer, log)
        self.resolves = ResolveCounts(writer, clock=clock)

    async def get(self, name: ResourceName) -> Alias:
        """Read where an alias points.

        Raises:
            NotFoundError: It is not set.
        """
        alias = await self._database.read(lambda connection: queries.read_alias(connection, name))
        if alias is None:
            raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set here")
        return alias

    async def get_state(self, name: ResourceName, *, warm: int = 0) -> AliasState:
        """Read an alias as pointer and as fact; counts as a resolve.

        Args:
            name: The alias.
            warm: How many versions of the warm set are wanted, ``WARM_MAX`` at most.

        Raises:
            InvalidInputError: Too many versions are wanted, or fewer than none.
            NotFoundError: It is not set.
        """
        if not 0 <= warm <= WARM_MAX:
            raise InvalidInputError(f"warm: {warm}: 0 to {WARM_MAX} are wanted", metadata={"field": "warm"})

        def read(connection: Connection) -> AliasState:
            alias = queries.read_alias(connection, name)
            if alias is None:
                raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set here")
            (state,) = self._states(connection, name, [alias])
            return AliasState(
                alias,
                state.serving,
                state.drilled_at,
                state.mark,
                warm_set(connection, name, alias, warm) if warm else (),
            )

        state = await self._database.read(read)
        self.resolves.count(name)
        return state

    async def describe(self, parent: ResourceName, aliases: Sequence[Alias]) -> list[AliasState]:
        """Read what is observed of some aliases of one model; without their warm sets."""
        return await self._database.read(lambda connection: self._states(connection, parent, aliases))

    def _states(
        self, connection: Connection, name: ResourceName, aliases: Sequence[Alias]
    ) -> list[AliasState]:
        serving = self._reports.live_reports(connection, name, aliases)
        names = [each.alias for each in aliases]
        drills = observation_queries.read_last_drills(connection, name, names)
        marks = mark_queries.read_marks(connection, name, names)
        return [
            AliasState(each, serving[each.alias], drills.get(each.alias), marks.get(each.alias))
            for each in aliases
        ]

    async def list_page(
        self, parent: ResourceName, *, page_size: int, page_token: str
    ) -> tuple[list[Alias], str]:
        """List a model's aliases by name.

        Args:
            parent: The model.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The aliases, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The size or the token is malformed.
            NotFoundError: There is no such model.
        """
        query = f"aliases {parent}"
        position = decode_page_token(page_token, query, str)
        limit = page_limit(page_size)

        def read(connection: Connection) -> list[Alias]:
            if not has_model(connection, parent.namespace, parent.model):
                raise NotFoundError(f"there is no model {parent.namespace}/{parent.model} here")
            after = str(position[0]) if position else ""
            return queries.list_aliases(connection, parent, after=after, limit=limit + 1)

        found = await self._database.read(read)
        if len(found) <= limit:
            return found, ""
        return found[:limit], encode_page_token(query, (found[limit - 1].alias,))

    async def list_moves(
        self, name: ResourceName, *, page_size: int, page_token: str
    ) -> tuple[list[AliasMove], str]:
        """List an alias's moves, the newest first, with their notes.

        Args:
            name: The alias.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The moves, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The size or the token is malformed.
            NotFoundError: The alias never was set.
        """
        query = f"moves {name}"
        position = decode_page_token(page_token, query, int)
        before = position[0] if position else None
        limit = page_limit(page_size)
        found = await self._database.read(
            lambda connection: queries.list_moves(connection, name, before_revision=before, limit=limit + 1)
        )
        if not found and position is None:
            raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} never was set here")
        if len(found) <= limit:
            return found, ""
        return found[:limit], encode_page_token(query, (found[limit - 1].revision,))

    async def set_alias(
        self,
        caller: Caller,
        name: ResourceName,
        version: int,
        *,
        expected_revision: int | None,
        note: str,
        request_id: str,
    ) -> Moved:
        """Point an alias that is not protected at a version, or make it.

        Args:
            caller: Who asks.
            name: The alias.
            version: The version.
            expected_revision: The revision that the caller saw; 0 for an alias that must not exist, None for
                any.
            note: Why, for people; may be empty.
            request_id: Makes a repeated request the same request; empty for none.

        Returns:
            The alias after the move, and the receipt.

        Raises:
            InvalidInputError: An argument is malformed.
            GateRefusedError: The policy protects the alias.
            ConflictError: The alias is not at the expected revision.
            NotFoundError: The version is not here.
            PreconditionFailedError: The version is revoked.
            PurgedError: Its files were purged.
            AlreadyExistsError: The request's id was used for another request.
        """
        check_version_number(version)
        asked = request_digest("set", version=version, expected_revision=expected_revision, note=note)
        move = Move(
            name.namespace,
            name.model,
            name.alias,
            version,
            MoveKind.SET,
            caller.actor,
            expected_revision=check_expected_revision(expected_revision),
            note=make_note(note),
            request_id=check_request_id(request_id),
            request_digest=asked if request_id else None,
        )
        return await self._move_unprotected(move)

    async def delete_alias(
        self,
        caller: Caller,
        name: ResourceName,
        *,
        expected_revision: int | None,
        note: str,
        request_id: str,
    ) -> Moved:
        """Remove an alias that is not protected; its history stays.

        The arguments and errors are those of ``set_alias``; an alias that is not set is not found.
        """
        asked = request_digest("delete", expected_revision=expected_revision, note=note)
        move = Move(
            name.namespace,
            name.model,
            name.alias,
            0,
            MoveKind.REMOVED,
            caller.actor,
            expected_revision=check_expected_revision(expected_revision),
            note=make_note(note),
            request_id=check_request_id(request_id),
            request_digest=asked if request_id else None,
        )
        return await self._move_unprotected(move)

    async def roll_back(
        self,
        caller: Caller,
        name: ResourceName,
        *,
        version: int,
        reason_code: str,
        note: str,
        request_id: str,
        to_mark: bool = False,
        accept_untested: bool = False,
    ) -> Moved:
        """Move an alias, protected or not, back to a version that it pointed at before.

        Args:
            caller: Who asks.
            name: The alias.
            version: The version to go back to; 0 for the last good one before the present.
            reason_code: Why, as a code for reports.
            note: Why, for people; may be empty.
            request_id: Makes a repeated request the same request; empty for none.
            to_mark: Go back to the marked version, where no version is named.
            accept_untested: Accept a version without the smoke test that the policy requires.

        Returns:
            The alias after it, the version before, the receipt, and what was checked.

        Raises:
            InvalidInputError: An argument is malformed.
            NotFoundError: The alias never was set.
            PreconditionFailedError: There is nothing to roll back to, or no mark, or the named or marked
                version will not do: it is revoked, not whole, failed its latest smoke test, or holds none
                where the policy requires one.
            PurgedError: The files of the named or marked version were purged.
            DataLossError: A blob of it is damaged (``metadata["digest"]``).
            ConflictError: The alias keeps being moved by others.
            AlreadyExistsError: The request's id was used for another request.
        """
        asked = Asked(version, to_mark, accept_untested, reason_code, note, request_id)
        return await self._rollback.run(caller, name, asked)

    async def drill(
        self, caller: Caller, name: ResourceName, *, note: str, confirmed: bool, request_id: str
    ) -> Drilled:
        """Rehearse a rollback: move an alias back and forward again, in one change.

        Args:
            caller: Who asks.
            name: The alias.
            note: Why, for people; may be empty.
            confirmed: Drill a protected alias even though serving hosts follow it here.
            request_id: Makes a repeated request the same request; empty for none.

        Raises:
            InvalidInputError: An argument is malformed.
            NotFoundError: The alias is not set.
            PreconditionFailedError: There is nothing to roll back to; or the alias is protected, serving
                hosts follow it, and that was not confirmed.
            DataLossError: A blob of the version to go back to is damaged.
            ConflictError: The alias was moved by others meanwhile.
            AlreadyExistsError: The request's id was used for another request.
        """
        return await self._drill.run(caller, name, note=note, confirmed=confirmed, request_id=request_id)

    async def report_serving(
        self, caller: Caller, name: ResourceName, *, instance: str, bundle_digest: str, revision: int
    ) -> Reported:
        """Take what a caller says of one of its serving instances.

        Args:
            caller: Who says it.
            name: The alias that the instance follows.
            instance: Which of the caller's instances.
            bundle_digest: What runs there.
            revision: The alias's revision that it follows.

        Raises:
            InvalidInputError: An argument is malformed, or the alias has not had that revision.
            NotFoundError: The alias never was set.
            ResourceExhaustedError: There are as many instances as are kept.
        """
        return await self._reports.report(
            caller, name, instance=instance, bundle_digest=bundle_digest, revision=revision
        )

    async def list_stale(
        self, caller: Caller, namespace: str, *, days: int, page_size: int, page_token: str
    ) -> tuple[list[StaleAlias], str]:
        """List the aliases that for some days nobody moved or resolved, or that pointed at what is revoked.

        Args:
            caller: Who asks; only what it may read is listed.
            namespace: Where; empty for everywhere.
            days: For how many days.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The aliases by name, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The days, the size or the token is malformed.
        """
        return await self._stale.list_page(
            caller, namespace, days=days, page_size=page_size, page_token=page_token
        )

    async def check_ahead(self) -> None:
        """Hash what rollbacks would lead to, so that they find it fresh. Raises nothing."""
        await self._ahead.run()

    def close(self) -> None:
        """End the threads that hash blobs."""
        self._checks.close()

    def watch(
        self, name: ResourceName, after_revision: int, tell: Callable[[Alias], _Told]
    ) -> AsyncGenerator[_Told, None]:
        """Tell of an alias: what it is now, then each move (``AliasWatch.watch``); counts as a resolve."""
        self.resolves.count(name)
        return self._watch.watch(name, after_revision, tell)

    async def _move_unprotected(self, move: Move) -> Moved:
        if needs_decision(self._state.policy.document, alias=move.alias):
            repeated = await self._database.read(
                lambda connection: find_repeated(connection, move.name, move.request_id, move.request_digest)
            )
            if repeated is None:
                raise self._protected(move)
        made = await self._writer.commit(lambda tx: move_alias(tx, move))
        return Moved(made.after, made.old_version, await self._log.receipt_of_change(made.log_index))

    def _protected(self, move: Move) -> GateRefusedError:
        environment = self._state.name
        model = f"{move.namespace}/{move.model}"
        version = str(move.version) if move.version else "VERSION"
        return GateRefusedError(
            f"alias {move.alias!r} is protected in {environment}: only a promotion moves it, or a rollback. "
            f"Run: carnet promote SOURCE/{model}@{version} --to {environment} --alias {move.alias}, or: "
            f"carnet rollback {environment}/{model}@{move.alias} --reason-code CODE",
            metadata={"subject": str(move.name), "alias": move.alias},
        )
