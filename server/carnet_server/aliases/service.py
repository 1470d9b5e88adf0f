"""Reading, setting and removing aliases.

A protected alias is moved by an admission or a rollback only; the policy says which ones are. Rolling back is
in ``rollback``, telling of moves in ``watch``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import GateRefusedError, NotFoundError
from carnet.references import check_version_number
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet_policies.protection import needs_decision
from carnet_server.aliases import queries
from carnet_server.aliases.domain import (
    Move,
    Moved,
    MoveKind,
    check_expected_revision,
    check_request_id,
    request_digest,
)
from carnet_server.aliases.moves import find_repeated, move_alias
from carnet_server.aliases.rollback import Rollback
from carnet_server.aliases.watch import watch_alias
from carnet_server.models.notes import make_note
from carnet_server.models.queries import read_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias, AliasMove
    from carnet_server.blobs.domain import Blob
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer


class AliasesService:
    """Reads and moves aliases.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its policy.
        find_missing: Tells which blobs the store does not have whole; it blocks.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        find_missing: Callable[[Sequence[Blob]], list[Blob]],
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state
        self._rollback = Rollback(database, writer, log, find_missing)

    async def get(self, name: ResourceName) -> Alias:
        """Read where an alias points.

        Raises:
            NotFoundError: It is not set.
        """
        alias = await self._database.read(lambda connection: queries.read_alias(connection, name))
        if alias is None:
            raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set here")
        return alias

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
            if read_model(connection, parent.namespace, parent.model) is None:
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
    ) -> Moved:
        """Move an alias, protected or not, back to a version that it pointed at before.

        Args:
            caller: Who asks.
            name: The alias.
            version: The version to go back to; 0 for the last good one before the present.
            reason_code: Why, as a code for reports.
            note: Why, for people; may be empty.
            request_id: Makes a repeated request the same request; empty for none.

        Returns:
            The alias after it, the version before, and the receipt.

        Raises:
            InvalidInputError: An argument is malformed.
            NotFoundError: The alias never was set.
            PreconditionFailedError: There is nothing to roll back to, or the named version will not do.
            ConflictError: The alias keeps being moved by others.
            AlreadyExistsError: The request's id was used for another request.
        """
        return await self._rollback.run(
            caller, name, version=version, reason_code=reason_code, note=note, request_id=request_id
        )

    def watch(self, name: ResourceName, after_revision: int) -> AsyncGenerator[Alias, None]:
        """Tell of an alias: what it is now, then each move; see ``watch.watch_alias``."""
        return watch_alias(self._database, self._log, name, after_revision)

    async def _move_unprotected(self, move: Move) -> Moved:
        if needs_decision(self._state.policy.document, alias=move.alias):
            repeated = await self._database.read(
                lambda connection: find_repeated(connection, move.name, move.request_id, move.request_digest)
            )
            if repeated is None:
                raise self._protected(move)
        made = await self._writer.commit(lambda tx: move_alias(tx, move))
        return Moved(made.after, made.old_version, await self._log.signed_receipt(made.log_index))

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
