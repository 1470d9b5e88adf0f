"""Rolling back: the last good version again, at once.

A rollback waits for no policy, no peer and no approval, and protected aliases are no exception. It leads only
to what the alias pointed at before, its marked version among that, and what will do is decided by
``known_good``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import ConflictError, InvalidInputError, NotFoundError, PreconditionFailedError
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
from carnet_server.aliases.mark_queries import read_marked_version
from carnet_server.aliases.marks import check_marked
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
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

MAX_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rollback is asked for.

    Attributes:
        version: The version to go back to; 0 for the last good one before the present, or for the marked one.
        to_mark: Go back to the marked version.
        accept_untested: Accept a version without the smoke test that the policy requires.
        reason_code: Why, as a code for reports.
        note: Why, for people; may be empty.
        request_id: Makes a repeated request the same request; empty for none.
    """

    version: int
    to_mark: bool
    accept_untested: bool
    reason_code: str
    note: str
    request_id: str

    @property
    def digest(self) -> str | None:
        """The digest by which a repeated request is known; None where there is no id."""
        if not self.request_id:
            return None
        # What is left out is not in it, so that requests of earlier clients keep their digests.
        chosen = {each: 1 for each in ("to_mark", "accept_untested") if getattr(self, each)}
        return request_digest(
            "rollback", version=self.version, reason_code=self.reason_code, note=self.note, **chosen
        )

    def check(self) -> None:
        """Refuse what is malformed.

        Raises:
            InvalidInputError: An argument is malformed, or a version is named beside the mark.
        """
        if self.version:
            check_version_number(self.version)
            if self.to_mark:
                raise InvalidInputError(
                    f"version: {self.version} is named, and so is the marked version: name one of the two",
                    metadata={"field": "version"},
                )
        check_reason_code(self.reason_code)
        check_request_id(self.request_id)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rollback is decided on.

    Attributes:
        revision: Where the alias stands.
        candidates: Where it may go, the best first.
        wanted: The version that was named, or is marked; 0 for the best that will do.
    """

    revision: int
    candidates: Sequence[int]
    wanted: int


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

    async def run(self, caller: Caller, name: ResourceName, asked: Asked) -> Moved:
        """Roll an alias back; see ``AliasesService.roll_back``."""
        asked.check()
        document = make_note(asked.note, reason_code=asked.reason_code)
        accepting = make_note(asked.note, reason_code=asked.reason_code, accepted_untested=True)
        for _ in range(MAX_ATTEMPTS):
            found = await self._database.read(lambda connection: _read(connection, name, asked))
            if isinstance(found, AliasMove):
                return await self._moved(found)
            target = await self._known_good.choose(
                name, found.candidates, wanted=found.wanted, accept_untested=asked.accept_untested
            )
            move = Move(
                name.namespace,
                name.model,
                name.alias,
                target.version,
                MoveKind.ROLLED_BACK,
                caller.actor,
                expected_revision=found.revision,
                reason_code=asked.reason_code,
                note=accepting if target.untested else document,
                request_id=asked.request_id,
                request_digest=asked.digest,
            )
            try:
                made = await self._writer.commit(partial(_move, move=move, to_mark=asked.to_mark))
                return await self._moved(made, target.check)
            except ConflictError:
                continue
        raise ConflictError(
            f"alias {name.alias!r} of {name.namespace}/{name.model} was moved by others {MAX_ATTEMPTS} times "
            "meanwhile: look at its history and try again"
        )

    async def _moved(self, made: AliasMove, check: RollbackCheck | None = None) -> Moved:
        receipt = await self._log.receipt_of_change(made.log_index)
        return Moved(made.after, made.old_version, receipt, check)


def _move(tx: Transaction, move: Move, *, to_mark: bool) -> AliasMove:
    if to_mark:
        check_marked(move.name, move.version, read_marked_version(tx.connection, move.name))
    return move_alias(tx, move)


def _read(connection: Connection, name: ResourceName, asked: Asked) -> AliasMove | Standing:
    """Read the move that this request made before, or else what the rollback is decided on."""
    repeated = find_repeated(connection, name, asked.request_id, asked.digest)
    if repeated is not None:
        return repeated
    moves = queries.read_moves(connection, name)
    if not moves:
        raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} never was set here")
    wanted = _require_mark(connection, name) if asked.to_mark else asked.version
    if wanted:
        _require_once_live(name, wanted, moves, marked=asked.to_mark)
    return Standing(moves[-1].revision, rollback_candidates(moves, moves[-1].new_version), wanted)


def _require_mark(connection: Connection, name: ResourceName) -> int:
    marked = read_marked_version(connection, name)
    if not marked:
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {name.namespace}/{name.model} has no marked version to go back to: "
            "name a version, or none for the last good one (carnet alias mark marks one)",
            metadata={"subject": str(name)},
        )
    return marked


def _require_once_live(name: ResourceName, wanted: int, moves: Sequence[AliasMove], *, marked: bool) -> None:
    model = f"{name.namespace}/{name.model}"
    if wanted == moves[-1].new_version:
        which = ", which is the marked one" if marked else ""
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {model} points at version {wanted} already{which}",
            metadata={"subject": str(name)},
        )
    live = sorted({move.new_version for move in moves if move.new_version})
    if wanted not in live:
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {model} never pointed at version {wanted}: a rollback leads to one of "
            f"{', '.join(map(str, live))}; anything else needs a promotion",
            metadata={"subject": str(name)},
        )
