"""Rolling back: the last good version again, at once.

A rollback waits for no policy, no peer and no approval, and protected aliases are no exception. It leads only
to what the alias pointed at before, is not revoked, and has all its blobs in the store.
"""

from __future__ import annotations

import asyncio
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
from carnet_server.models.queries import read_blobs, read_listed_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.blobs.domain import Blob
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer

MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that a rollback may lead to."""

    version: int
    revoked: bool
    blobs: Sequence[Blob]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rollback is decided on: where the alias stands, and where it may go, the best first."""

    revision: int
    candidates: Sequence[Candidate]


class Rollback:
    """Rolls aliases back.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        find_missing: Tells which blobs the store does not have whole; it blocks.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        find_missing: Callable[[Sequence[Blob]], list[Blob]],
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._find_missing = find_missing

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
            target = await asyncio.to_thread(self._choose, name, version, found)
            move = Move(
                name.namespace,
                name.model,
                name.alias,
                target,
                MoveKind.ROLLED_BACK,
                caller.actor,
                expected_revision=found.revision,
                reason_code=reason_code,
                note=document,
                request_id=request_id,
                request_digest=digest,
            )
            try:
                return await self._moved(await self._writer.commit(partial(move_alias, move=move)))
            except ConflictError:
                continue
        raise ConflictError(
            f"alias {name.alias!r} of {name.namespace}/{name.model} was moved by others {MAX_ATTEMPTS} times "
            "meanwhile: look at its history and try again"
        )

    async def _moved(self, made: AliasMove) -> Moved:
        return Moved(made.after, made.old_version, await self._log.signed_receipt(made.log_index))

    def _choose(self, name: ResourceName, wanted: int, standing: Standing) -> int:
        """Return the first candidate that will do; looks at the store."""
        faults: list[str] = []
        for candidate in standing.candidates:
            fault = self._fault(candidate)
            if not fault:
                return candidate.version
            faults.append(f"version {candidate.version} {fault}")
        model = f"{name.namespace}/{name.model}"
        if wanted:
            problem = f"cannot be rolled back to version {wanted}: {faults[0]}"
        elif faults:
            problem = f"has no version to roll back to: {', '.join(faults)}"
        else:
            problem = (
                "has nothing to roll back to: it never pointed at another version before the present one"
            )
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {model} {problem}", metadata={"subject": str(name)}
        )

    def _fault(self, candidate: Candidate) -> str:
        if candidate.revoked:
            return "is revoked"
        missing = self._find_missing(candidate.blobs)
        return f"is not whole: blob {missing[0].digest} is not in the store" if missing else ""


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
        numbers = [wanted]
    else:
        numbers = rollback_candidates(moves, moves[-1].new_version)
    return Standing(moves[-1].revision, [_candidate(connection, name, each) for each in numbers])


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


def _candidate(connection: Connection, name: ResourceName, number: int) -> Candidate:
    version = read_listed_version(connection, name.namespace, name.model, number)
    assert version is not None, "an alias pointed at a version that is not here"
    blobs = read_blobs(connection, name.namespace, name.model, number)
    return Candidate(number, version.revoked, blobs)
