"""Rehearsing a rollback: the alias is moved back and forward again, so that it is known to work.

Responsible for making of a drill what a rollback is, up to its reason: the same search for the version to
go back to, the same checks of it, the same move and entry. Invariant: both moves are one change, so that a
drill that dies leaves the alias where it was. A drill leads to nothing that a rollback would not lead to, and
leaves no trace in where later rollbacks lead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import ConflictError, NotFoundError, PreconditionFailedError
from carnet_policies.protection import needs_decision
from carnet_server.aliases import queries
from carnet_server.aliases.domain import (
    AliasMove,
    Move,
    MoveKind,
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
    from carnet.translog.receipt import Receipt
    from carnet_server.access.identity import Caller
    from carnet_server.aliases.domain import Alias, RollbackCheck
    from carnet_server.aliases.known_good import KnownGoodSearch
    from carnet_server.aliases.reports import ServingReports
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

REASON_CODE = "drill"


@dataclass(frozen=True, slots=True)
class Drilled:
    """What became of a drill.

    Attributes:
        alias: The alias after it: where it was, two revisions later.
        drilled_version: The version that it was moved back to.
        back: The receipt of the move back.
        forward: The receipt of the move forward.
        check: What was checked of the version; None where a repeated request is answered.
    """

    alias: Alias
    drilled_version: int
    back: Receipt
    forward: Receipt
    check: RollbackCheck | None


@dataclass(frozen=True, slots=True)
class _Standing:
    alias: Alias
    candidates: Sequence[int]
    instance_count: int


class Drill:
    """Rehearses rollbacks.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its policy.
        known_good: Finds the version to go back to, and makes sure of it.
        reports: Tells which serving hosts follow an alias.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        *,
        known_good: KnownGoodSearch,
        reports: ServingReports,
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state
        self._known_good = known_good
        self._reports = reports

    async def run(
        self, caller: Caller, name: ResourceName, *, note: str, confirmed: bool, request_id: str
    ) -> Drilled:
        """Rehearse a rollback of an alias; see ``AliasesService.drill``."""
        check_request_id(request_id)
        document = make_note(note, reason_code=REASON_CODE)
        digest = request_digest("drill", note=note) if request_id else None

        def read(connection: Connection) -> tuple[AliasMove, AliasMove] | _Standing:
            repeated = find_repeated(connection, name, request_id, digest)
            if repeated is None:
                return self._read_standing(connection, name)
            (forward, *_) = queries.read_moves(connection, name, after_revision=repeated.revision)
            return repeated, forward

        found = await self._database.read(read)
        if not isinstance(found, _Standing):
            return await self._drilled(*found)
        self._require_calm(name, found, confirmed=confirmed)
        target = await self._known_good.choose(name, found.candidates, wanted=0)
        move = partial(
            Move,
            name.namespace,
            name.model,
            name.alias,
            kind=MoveKind.DRILLED,
            actor=caller.actor,
            reason_code=REASON_CODE,
        )
        back = move(
            version=target.version,
            expected_revision=found.alias.revision,
            note=document,
            request_id=request_id,
            request_digest=digest,
        )
        forward = move(version=found.alias.version, expected_revision=found.alias.revision + 1)
        made = await self._writer.commit(lambda tx: _move_both(tx, back, forward))
        return await self._drilled(*made, check=target.check)

    def _read_standing(self, connection: Connection, name: ResourceName) -> _Standing:
        moves = queries.read_moves(connection, name)
        if not moves or not moves[-1].new_version:
            raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} is not set here")
        alias = moves[-1].after
        serving = self._reports.live_reports(connection, name, [alias])[name.alias]
        count = serving.instance_count if serving else 0
        return _Standing(alias, rollback_candidates(moves, alias.version), count)

    def _require_calm(self, name: ResourceName, standing: _Standing, *, confirmed: bool) -> None:
        protected = needs_decision(self._state.policy.document, alias=name.alias)
        if confirmed or not protected or not standing.instance_count:
            return
        raise PreconditionFailedError(
            f"alias {name.alias!r} of {name.namespace}/{name.model} is protected in {self._state.name}, and "
            f"{standing.instance_count} serving instances follow it, which a drill moves back and forward: "
            "drill in an environment that serves nobody, or confirm it (--yes)",
            metadata={"subject": str(name), "instances": str(standing.instance_count)},
        )

    async def _drilled(
        self, back: AliasMove, forward: AliasMove, *, check: RollbackCheck | None = None
    ) -> Drilled:
        return Drilled(
            forward.after,
            back.new_version,
            await self._log.receipt_of_change(back.log_index),
            await self._log.receipt_of_change(forward.log_index),
            check,
        )


def _move_both(tx: Transaction, back: Move, forward: Move) -> tuple[AliasMove, AliasMove]:
    made = move_alias(tx, back)
    if made.revision != (back.expected_revision or 0) + 1:
        raise ConflictError(
            f"request_id {back.request_id!r}: the same request was made by another call at this moment"
        )
    return made, move_alias(tx, forward)
