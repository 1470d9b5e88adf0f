"""Rolling back: the last good version again, at once.

A rollback waits for no policy, no peer and no approval, and protected aliases are no exception. It leads only
to what the alias pointed at before, and what will do is decided by ``known_good``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import ConflictError, NotFoundError, PreconditionFailedError
from carnet.references import check_version_number
from carnet_server.aliases import queries
from carnet_server.aliases.domain import (
    AliasMove,
    Move,
    Moved,
    MoveKind,
    check_reason_code,
    check_request_id,
    request_digest,
    rollback_candidates,
)
from carnet_server.aliases.moves import find_repeated, move_alias
from carnet_server.models.notes import make_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import RollbackCheck
    from carnet_server.aliases.known_good import KnownGoodSearch
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer

MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rollback is decided on: where the alias stands, and where it may go, the best first."""

    revision: int
    candidates: Sequence[int]


class Rollback:
    """Rolls aliases back.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        known_good: Finds the version to go back to, and makes sure of it.
    """

    def __init__(
        self, database: Database, writer: Writer, log: LogService, known_good: KnownGoodSearch
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._known_good = known_good

    async def run(
        self,
        caller: Caller,
        name: ResourceName,
        *,
        version: int,
        reason_code: str,
        note: str,
        request_id: str,
    ) -> Moved:
        """Roll an alias back; see ``AliasesService.roll_back``."""
        if version:
            check_version_number(version)
        check_reason_code(reason_code)
        check_request_id(request_id)
        document = make_note(note, reason_code=reason_code)
        asked = request_digest("rollback", version=version, reason_code=reason_code, note=note)
        digest = asked if request_id else None
        for _ in range(MAX_ATTEMPTS):
            found = await self._database.read(
                lambda connection: _read(connection, name, version, request_id, digest)
            )
            if isinstance(found, AliasMove):
                return await self._moved(found)
            target = await self._known_good.choose(name, found.candidates, wanted=version)
            move = Move(
                name.namespace,
                name.model,
                name.alias,
                target.version,
                MoveKind.ROLLED_BACK,
                caller.actor,
                expected_revision=found.revision,
                reason_code=reason_code,
                note=document,
                request_id=request_id,
                request_digest=digest,
            )
            try:
                made = await self._writer.commit(partial(move_alias, move=move))
                return await self._moved(made, target.check)
            except ConflictError:
                continue
        raise ConflictError(
            f"alias {name.alias!r} of {name.namespace}/{name.model} was moved by others {MAX_ATTEMPTS} times "
            "meanwhile: look at its history and try again"
        )

    async def _moved(self, made: AliasMove, check: RollbackCheck | None = None) -> Moved:
        receipt = await self._log.signed_receipt(made.log_index)
        return Moved(made.after, made.old_version, receipt, check)


def _read(
    connection: Connection, name: ResourceName, wanted: int, request_id: str, digest: str | None
) -> AliasMove | Standing:
    """Read the move that this request made before, or else what the rollback is decided on."""
    repeated = find_repeated(connection, name, request_id, digest)
    if repeated is not None:
        return repeated
    moves = queries.read_moves(connection, name)
    if not moves:
        raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} never was set here")
    if wanted:
        _require_once_live(name, wanted, moves)
    return Standing(moves[-1].revision, rollback_candidates(moves, moves[-1].new_version))


def _require_once_live(name: ResourceName, wanted: int, moves: Sequence[AliasMove]) -> None:
    model = f"{name.namespace}/{name.model}"
    if wanted == moves[-1].new_version:
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {model} points at version {wanted} already",
            metadata={"subject": str(name)},
        )
    live = sorted({move.new_version for move in moves if move.new_version})
    if wanted not in live:
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {model} never pointed at version {wanted}: a rollback leads to one of "
            f"{', '.join(map(str, live))}; anything else needs a promotion",
            metadata={"subject": str(name)},
        )
