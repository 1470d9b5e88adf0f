"""Having this environment's checkpoints cosigned: committed is effective, witnessed by a quorum is final.

Responsible for asking every witness of the policy file, in parallel and each with its own patience, where
the log has entries that are not anchors; for proving the new checkpoint from what each holds; and for keeping
the newest checkpoint that a quorum cosigned. Nothing waits for it: reads, rollbacks and revocations go on
while no witness answers.

A witness that holds a larger checkpoint, signed by this log's *own* key, or another one of the same size,
shows that the database is an older one than the log once was, or that the key signed two histories. Then an
alarm is raised and nothing is added to the log any more. A witness that only says so shows nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, ConflictError, ProofInvalidError
from carnet.translog.checkpoint import parse_checkpoint, unverified_checkpoint
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.note import parse_note
from carnet.translog.witness_policy import with_cosignatures
from carnet.translog.witness_request import WitnessRequest
from carnet_server.log.queries import READ_ENTRIES
from carnet_server.witnessing import queries
from carnet_server.witnessing.domain import Alarm, Cosignature
from carnet_server.witnessing.history import contradiction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from carnet.translog.witness_policy import WitnessPolicy
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.witnessing.links import WitnessLink

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
_ATTEMPTS = 3
_ENTRIES_AT_ONCE = 1000

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class WitnessStanding:
    """How it stands with a witness.

    Attributes:
        size: The size that it cosigned last.
        cosigned_at: When; None for never.
        problem: Why it could not be asked the last time; empty where it could.
        line: Its signature line.
    """

    size: int = 0
    cosigned_at: datetime | None = None
    problem: str = ""
    line: str = field(default="", repr=False)
    _pause: float = field(default=0.0, repr=False)
    _next: float = field(default=0.0, repr=False)

    @property
    def is_due(self) -> bool:
        """Whether it may be asked again by now."""
        return time.monotonic() >= self._next

    def failed(self, problem: str) -> None:
        """Note a failure: the next attempt waits twice as long."""
        self.problem = problem
        self._pause = min(max(self._pause * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._next = time.monotonic() + self._pause

    def cosigned(self, cosignature: Cosignature) -> None:
        """Note a cosignature."""
        self.size, self.cosigned_at, self.problem = cosignature.size, cosignature.cosigned_at, ""
        self.line = cosignature.line
        self._pause = self._next = 0.0


class Asking:
    """Asks the witnesses of this environment's log.

    Args:
        state: The environment's log key.
        database: Its database.
        writer: Its writer.
        log: Its log.
        policy: Who the witnesses are, and how many make a checkpoint final.
        links: The way to each, by its name in the policy file.
        every_seconds: How often they are asked; each second until there is something final at all, so that a
            new log does not stand unwitnessed for long.
        clock: Tells the time.

    Attributes:
        standing: How it stands with each, by name.
        alarms: What is wrong with this log itself, since the start.
        final_size: The size of the newest checkpoint that a quorum cosigned.
        final_checkpoint: That checkpoint; empty for none.
    """

    def __init__(
        self,
        state: EnvironmentState,
        database: Database,
        writer: Writer,
        log: LogService,
        *,
        policy: WitnessPolicy,
        links: Mapping[str, WitnessLink],
        every_seconds: float = FIRST_PAUSE_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._verifier = state.log_key.verifier
        self._database = database
        self._writer = writer
        self._log = log
        self._policy = policy
        self._links = links
        self._every_seconds = every_seconds
        self._asked_at = -every_seconds
        self._clock = clock
        self.standing = {name: WitnessStanding() for name in policy.witnesses}
        self.alarms: list[Alarm] = []
        self.final_size = 0
        self.final_checkpoint = ""

    async def load(self) -> None:
        """Take up what is stored of cosignatures.

        Raises:
            UnavailableError: The database cannot be asked.
        """

        def read(connection: Connection) -> tuple[list[Cosignature], tuple[int, str]]:
            return queries.read_cosignatures(connection), queries.read_witnessed_head(connection)

        held, (size, checkpoint) = await self._database.read(read)
        if checkpoint and self._is_final(checkpoint):
            self.final_size, self.final_checkpoint = size, checkpoint
        for each in held:
            if each.witness in self.standing:
                self.standing[each.witness].cosigned(each)

    def _is_final(self, checkpoint: str) -> bool:
        """Whether a stored checkpoint is final by the policy of today, which may name others than before."""
        try:
            parse_checkpoint(checkpoint, self._verifier)
            return self._policy.demands_witnesses and self._policy.is_final(checkpoint)
        except CarnetError as error:
            logger.warning("the stored checkpoint that was witnessed counts for nothing: %s", error.message)
            return False

    def cosigned(self, checkpoint: str) -> str:
        """Return a checkpoint of this log with the cosignatures that there are of it."""
        size = unverified_checkpoint(checkpoint).size
        lines = [each.line for each in self.standing.values() if each.size == size and each.line]
        try:
            return with_cosignatures(checkpoint, lines, self._policy)
        except ProofInvalidError:
            return checkpoint  # They are of another history: whoever compares what is witnessed will see it.

    async def look(self) -> None:
        """Ask the witnesses where it is time to; called every second or so."""
        now = time.monotonic()
        hurried = self._policy.demands_witnesses and not self.final_size
        if hurried or now - self._asked_at >= self._every_seconds:
            self._asked_at = now
            await self.tick()

    async def tick(self) -> None:
        """Ask whoever has not cosigned what is new, if anything but anchors is; never raises for a peer."""
        checkpoint = self._log.checkpoint
        size = unverified_checkpoint(checkpoint).size
        if not self._links or self.alarms:
            return
        if not await self._has_news(min(self.standing[name].size for name in self._links), size):
            return
        due = [name for name in self._links if self.standing[name].size < size and self.standing[name].is_due]
        answers = await asyncio.gather(*(self._ask(name, checkpoint, size) for name in due))
        lines = {name: line for name, line in zip(due, answers, strict=True) if line}
        if lines and not self.alarms:  # Nothing is added any more to a log that one of them contradicts.
            await self._keep(checkpoint, size, lines)

    async def awaits_quorum(self) -> bool:
        """Tell whether anything but anchors is not final yet, where a quorum makes it so.

        Raises:
            UnavailableError: The database cannot be asked.
        """
        return self._policy.demands_witnesses and await self._has_news(self.final_size, self._log.size)

    async def _has_news(self, position: int, size: int) -> bool:
        """Whether there are entries that are not anchors from a place on, up to a size."""

        def read(connection: Connection) -> list[bytes]:
            span = {"first": position, "end": min(position + _ENTRIES_AT_ONCE, size)}
            return [row.entry for row in connection.execute(READ_ENTRIES, span)]

        while position < size:
            entries = await self._database.read(read)
            if any(parse_entry(data).type is not EntryType.ANCHOR_RECORDED for data in entries):
                return True
            position += len(entries)
            if not entries:
                break
        return False

    async def _ask(self, name: str, checkpoint: str, size: int) -> str:
        """Ask one witness; its signature line, or nothing."""
        standing, link = self.standing[name], self._links[name]
        held = standing.size
        try:
            for _ in range(_ATTEMPTS):
                _, proof = await self._log.consistency(held, size)
                request = WitnessRequest(held, proof, checkpoint)
                try:
                    lines = await link.add_checkpoint(request, anchor=True)
                except ConflictError as error:
                    if await self._is_contradicted(name, link):
                        return ""
                    told = error.metadata.get("size", "")
                    if not told.isdigit() or not 0 <= int(told) <= size:
                        raise
                    held = int(told)
                    continue
                except ProofInvalidError:
                    if await self._is_contradicted(name, link):
                        return ""
                    raise
                return self._line_of(name, checkpoint, lines)
            standing.failed("it holds another size each time it is asked")
        except CarnetError as error:
            standing.failed(error.message)
            logger.warning("the witness %s did not cosign: %s", name, error.message)
        return ""

    def _line_of(self, name: str, checkpoint: str, lines: list[str]) -> str:
        """Return the line of an answer that is the witness's own, and verifies."""
        note = parse_note(checkpoint)
        for line in lines:
            merged = with_cosignatures(checkpoint, [line], self._policy)
            if name in self._policy.cosigners(merged) and len(parse_note(merged).signatures) > len(
                note.signatures
            ):
                return line
        self.standing[name].failed("it answered without its own cosignature")
        return ""

    async def _is_contradicted(self, name: str, link: WitnessLink) -> bool:
        """Whether a witness shows a checkpoint by this log's own key that this log does not continue."""
        shown = await link.newest(self._verifier.name)
        if not shown:
            return False
        theirs = parse_checkpoint(shown, self._verifier)
        self._writer.look()
        problem = await contradiction(self._database, self._log, theirs)
        if problem is None:
            return False
        kind, message = problem
        said = f"{name}: {message}"
        self._alarm(Alarm(kind, self._verifier.name, said, shown, self._log.checkpoint, self._clock()))
        return True

    def _alarm(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)
        logger.error("alarm: %s", alarm.message)
        self._writer.refuse(alarm.message)

    async def _keep(self, checkpoint: str, size: int, lines: Mapping[str, str]) -> None:
        now = self._clock()
        fresh = [Cosignature(name, size, line, now) for name, line in lines.items()]
        for each in fresh:
            self.standing[each.witness].cosigned(each)
        held = await self._database.read(queries.read_cosignatures)
        of_size = [each.line for each in held if each.size == size and each.witness not in lines]
        merged = with_cosignatures(checkpoint, [*of_size, *lines.values()], self._policy)
        final = self._policy.demands_witnesses and self._policy.is_final(merged)

        def write(tx: Transaction) -> None:
            for each in fresh:
                queries.write_cosignature(tx.connection, each)
            if final:
                queries.write_witnessed_head(tx.connection, size, merged, tx.now)

        await self._writer.commit(write)
        if final and size > self.final_size:
            self.final_size, self.final_checkpoint = size, merged

    async def close(self) -> None:
        """Close the ways to the witnesses."""
        await asyncio.gather(*(link.close() for link in self._links.values()))
