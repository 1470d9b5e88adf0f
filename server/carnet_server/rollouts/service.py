"""Rollouts as their callers use them.

Starting is in ``starting``, what monitors report in ``reporting``, what changes by itself in ``controller``,
and who gets which traffic in ``traffic`` and ``watch``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import ConflictError, NotFoundError
from carnet.rollouts import RolloutKind, RolloutState
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet_server.access.authorize import require_acting
from carnet_server.access.permissions import READERS
from carnet_server.aliases.domain import check_reason_code
from carnet_server.models.notes import make_note
from carnet_server.models.queries import list_namespaces
from carnet_server.rollouts import queries
from carnet_server.rollouts.changes import write_change
from carnet_server.rollouts.controller import RolloutController
from carnet_server.rollouts.domain import Outcome
from carnet_server.rollouts.judging import read_view, unmeasured_view
from carnet_server.rollouts.permission import needs_promotion
from carnet_server.rollouts.reporting import MetricReports
from carnet_server.rollouts.starting import Start
from carnet_server.rollouts.traffic import read_traffic
from carnet_server.rollouts.transitions import completion, due_change, stopping
from carnet_server.rollouts.watch import TrafficWatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.notes import Note
    from carnet_server.rollouts.domain import Rollout, RolloutView
    from carnet_server.rollouts.metrics import MetricPoint
    from carnet_server.rollouts.reporting import Reported
    from carnet_server.rollouts.start_request import StartRequest
    from carnet_server.rollouts.traffic import Traffic
    from carnet_server.rollouts.transitions import Change, Facts


def _now() -> datetime:
    return datetime.now(UTC)


class RolloutsService:
    """Begins, reads and ends rollouts.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its name and policy.
        clock: Tells the time.

    Attributes:
        controller: Makes the changes that are due.
    """

    def __init__(
        self,
        database: Database,
        writer: Writer,
        log: LogService,
        state: EnvironmentState,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state
        self._clock = clock
        self.controller = RolloutController(database, writer, log, state, clock=clock)
        self._reports = MetricReports(database, writer, self.controller, clock=clock)
        self._watch = TrafficWatch(database, log)

    async def start_rollout(self, caller: Caller, request: StartRequest, *, validate_only: bool) -> Outcome:
        """Begin a rollout of an alias.

        Args:
            caller: Who begins it; an operator for the alias and for the challenger's.
            request: What is asked for.
            validate_only: Check all and begin nothing.

        Returns:
            The rollout, and the receipt of its entry; without one where it was only validated.

        Raises:
            PermissionDeniedError: The caller may not move the challenger's alias.
            CarnetError: See ``Start.prepare``.
        """
        alias = request.challenger_alias
        require_acting(caller, "operator", namespace=alias.namespace, alias=alias.alias)
        start = Start(self._state, caller.actor, request)
        if validate_only:
            now = self._clock()
            rollout, _ = await self._database.read(lambda connection: start.prepare(connection, now))
            return Outcome(unmeasured_view(rollout), None)
        begun = await self._writer.commit(start.write)
        receipt = await self._log.receipt_of_change(begun.start_log_index)
        return Outcome(await self.get(begun.name), receipt)

    async def get(self, name: ResourceName) -> RolloutView:
        """Read a rollout with its figures.

        Raises:
            NotFoundError: There is none of that name.
        """
        now = self._clock()

        def read(connection: Connection) -> RolloutView:
            rollout = queries.read_noted_rollout(connection, name)
            if rollout is None:
                raise _unknown(name)
            return read_view(connection, rollout, now=now)

        return await self._database.read(read)

    async def list_page(
        self,
        caller: Caller,
        parent: ResourceName | None,
        *,
        active: bool,
        page_size: int,
        page_token: str,
    ) -> tuple[list[Rollout], str]:
        """List rollouts by namespace, model and alias, the newest first.

        Args:
            caller: Who asks; only what it may read is listed.
            parent: The namespace, model or alias; None for everywhere.
            active: Only those that have not ended.
            page_size: How many at most; 0 for the default.
            page_token: The token of the page before; empty for the first.

        Returns:
            The rollouts, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The size or the token is malformed.
        """
        query = f"rollouts {parent or '-'} {active}"
        position = decode_page_token(page_token, query, str, str, str, int)
        limit = page_limit(page_size)

        def read(connection: Connection) -> list[Rollout]:
            there = [parent.namespace] if parent else list_namespaces(connection)
            return queries.list_rollouts(
                connection,
                [each for each in there if caller.roles_in(each) & READERS],
                model=parent.model if parent else "",
                alias=parent.alias if parent else "",
                active=active,
                after=(position[0], position[1], position[2], position[3]) if position else None,
                limit=limit + 1,
            )

        found = await self._database.read(read)
        if len(found) <= limit:
            return found, ""
        last = found[limit - 1]
        return found[:limit], encode_page_token(query, (last.namespace, last.model, last.alias, last.rollout))

    async def stop_rollout(
        self, caller: Caller, name: ResourceName, *, reason_code: str, note: str
    ) -> Outcome:
        """End a rollout; one that has ended stays as it was.

        Args:
            caller: Who ends it.
            name: The rollout.
            reason_code: Why, as a code for reports; empty for ``stopped``.
            note: Why, for people; may be empty.

        Raises:
            InvalidInputError: The reason code or the note is malformed.
            NotFoundError: There is no such rollout.
        """
        code = check_reason_code(reason_code) if reason_code else ""

        def decide(rollout: Rollout, _: Facts) -> Change | None:
            return None if rollout.state.ended else stopping(rollout, reason_code=code)

        return await self._command(caller, name, decide, note=note)

    async def complete(self, caller: Caller, name: ResourceName, *, note: str) -> Outcome:
        """Move the alias to the challenger of a rollout that waits for it.

        One whose alias was moved already, and whose challenger stands, stays as it is.

        Args:
            caller: Who moves it.
            name: The rollout.
            note: Why, for people; may be empty.

        Raises:
            InvalidInputError: The note is malformed.
            NotFoundError: There is no such rollout.
            IllegalTransitionError: It does not wait for that.
            GateRefusedError: The policy protects the alias, and no decision lets it be moved.
        """

        def decide(rollout: Rollout, facts: Facts) -> Change | None:
            succeeded = rollout.kind is RolloutKind.SPLIT and rollout.state is RolloutState.SUCCEEDED
            if succeeded or rollout.state is RolloutState.BAKING:
                return None
            change = completion(rollout, facts)
            if not facts.permission.allowed:
                raise needs_promotion(
                    self._state.name, rollout.alias_name, rollout.challenger_version, share=1.0
                )
            return change

        return await self._command(caller, name, decide, note=note)

    async def report(
        self, caller: Caller, name: ResourceName, *, request_id: str, points: Sequence[MetricPoint]
    ) -> Reported:
        """Take what a monitor measured; all points, or none.

        Args:
            caller: The monitor.
            name: The rollout.
            request_id: The monitor's own id of the batch.
            points: What was measured, ``metrics.MAX_POINTS`` at most.

        Raises:
            InvalidInputError: A point is not one of this rollout; ``metadata["field"]`` names it.
            NotFoundError: There is no such rollout.
            AlreadyExistsError: The id was used for another batch.
        """
        return await self._reports.report(caller, name, request_id=request_id, points=points)

    async def traffic(self, name: ResourceName) -> Traffic:
        """Read who gets which traffic of an alias.

        Raises:
            NotFoundError: The alias never was set.
        """
        traffic = await self._database.read(lambda connection: read_traffic(connection, name))
        if not traffic.revision:
            raise NotFoundError(f"alias {name.alias!r} of {name.namespace}/{name.model} never was set here")
        return traffic

    def watch_traffic(self, name: ResourceName, after_revision: int) -> AsyncGenerator[Traffic, None]:
        """Tell who gets which traffic of an alias, as it changes; see ``TrafficWatch.watch``."""
        return self._watch.watch(name, after_revision)

    async def close(self) -> None:
        """End what follows the log."""
        await self.controller.stop()
        await self._watch.stop()

    async def _command(
        self,
        caller: Caller,
        name: ResourceName,
        decide: Callable[[Rollout, Facts], Change | None],
        *,
        note: str,
    ) -> Outcome:
        """Make what is due of a rollout, and then what somebody asks for."""
        document = make_note(note)
        await self.controller.judge(name)
        changed = await self._writer.commit(
            partial(self._change, caller=caller, name=name, decide=decide, note=document, text=note)
        )
        receipt = await self._log.receipt_of_change(changed.log_index)
        return Outcome(await self.get(name), receipt)

    def _change(
        self,
        tx: Transaction,
        *,
        caller: Caller,
        name: ResourceName,
        decide: Callable[[Rollout, Facts], Change | None],
        note: Note | None,
        text: str,
    ) -> Rollout:
        rollout = queries.read_rollout(tx.connection, name)
        if rollout is None:
            raise _unknown(name)
        facts = self.controller.facts(tx.connection, rollout, now=tx.now)
        due = due_change(rollout, facts)
        if due is not None and due.state.ended:
            return write_change(tx, self._state.actor, rollout, due, facts)
        if due is not None:
            raise ConflictError(f"{name} is about to change at this moment: try again")
        change = decide(rollout, facts)
        if change is None:
            return rollout
        return write_change(tx, caller.actor, rollout, change, facts, note=note, note_text=text)


def _unknown(name: ResourceName) -> NotFoundError:
    return NotFoundError(f"there is no rollout {name} here", metadata={"subject": str(name)})
