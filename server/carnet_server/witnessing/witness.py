"""Cosigning the checkpoints of peers, and recording them as anchors in this environment's own log.

Responsible for whose checkpoints are taken (those of peers in the trust document, by their logs' origins),
for the signature by the pinned log key, and for persisting what was cosigned in the same transaction as it is
compared. The rule itself is ``carnet.translog.witness_request.consider``. An anchor is an entry that rests on
the cosigned checkpoint; one is recorded only for a log that says it has entries which are not anchors
themselves, or two logs would anchor each other for ever. Two checkpoints that cannot both be true raise an
alarm: an entry with both as proof, once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import ConflictError, NotFoundError
from carnet.translog.checkpoint import parse_checkpoint, unverified_checkpoint
from carnet.translog.cosignature import cosign_checkpoint
from carnet.translog.entry import Actor, EntryType
from carnet.translog.note import parse_note
from carnet.translog.witness_request import consider
from carnet_server.log.transaction import EntryDraft
from carnet_server.witnessing import queries
from carnet_server.witnessing.domain import (
    ALARM_MEDIA_TYPE,
    CHECKPOINT_MEDIA_TYPE,
    Alarm,
    AlarmKind,
    WitnessedLog,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.translog.checkpoint import Checkpoint
    from carnet.translog.keys import LogKey, LogVerifier
    from carnet.translog.witness_request import WitnessRequest
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What became of a request.

    Attributes:
        line: The cosignature: a signature line without its newline.
        log_index: The anchor's entry; -1 where none was recorded.
    """

    line: str
    log_index: int


class Witness:
    """Cosigns checkpoints of other logs.

    Args:
        state: The environment's trust document and name.
        database: Its database.
        writer: Its writer.
        key: The key that cosigns (type 0x04), and signs nothing else.
        clock: Tells the time.
    """

    def __init__(
        self,
        state: EnvironmentState,
        database: Database,
        writer: Writer,
        key: LogKey,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._database = database
        self._writer = writer
        self._key = key
        self._clock = clock

    async def add_checkpoint(self, request: WitnessRequest, *, anchor: bool) -> Cosigned:
        """Cosign a checkpoint that continues what was cosigned last of its log.

        Args:
            request: What the log asks for.
            anchor: Whether the log has entries since then that are not anchors.

        Raises:
            NotFoundError: The log is none of a peer's.
            KeyUntrustedError: The checkpoint is not signed by the log's pinned key.
            ProofInvalidError: It is no checkpoint, or not proved to continue what is held.
            InvalidInputError: The old size is above the checkpoint's.
            ConflictError: Another size is held (``metadata["size"]``), or the log signed two histories.
        """
        verifier = self._verifier(request.checkpoint)
        newer = parse_checkpoint(request.checkpoint, verifier)
        held = await self._database.read(lambda connection: queries.read_witnessed(connection, newer.origin))
        try:
            consider(_head_of(held), request.old_size, request.proof, newer)
        except ConflictError as error:
            if error.metadata.get("equivocation"):
                assert held is not None, "two histories of a size need one that is held"
                await self._alarm(newer.origin, held.checkpoint, request.checkpoint, error.message)
            raise
        now = self._clock()
        cosigned = cosign_checkpoint(request.checkpoint, verifier, self._key, timestamp=int(now.timestamp()))
        witnessed = WitnessedLog(newer.origin, newer.size, newer.root, cosigned, now)
        index = await self._writer.commit(
            lambda tx: self._write(tx, held, witnessed, anchor=anchor and newer.size > _size_of(held))
        )
        return Cosigned(str(parse_note(cosigned).signatures[-1]), index)

    def read(self, checkpoint: str) -> Checkpoint:
        """Return a checkpoint that its log signed; see ``CosigningWitness``."""
        return parse_checkpoint(checkpoint, self._verifier(checkpoint))

    async def cosign(self, request: WitnessRequest) -> str:
        """Cosign a checkpoint without an anchor; see ``CosigningWitness``."""
        return (await self.add_checkpoint(request, anchor=False)).line

    async def witnessed(self, origin: str) -> str:
        """Return the newest checkpoint of a log that was cosigned here.

        Raises:
            NotFoundError: None was.
        """
        held = await self._database.read(lambda connection: queries.read_witnessed(connection, origin))
        if held is None:
            raise NotFoundError(f"no checkpoint of {origin[:200]!r} was cosigned here")
        return held.checkpoint

    def _verifier(self, checkpoint: str) -> LogVerifier:
        origin = unverified_checkpoint(checkpoint).origin
        peer = self._state.trust.current.peer_of_log(origin)
        if peer is None:
            raise NotFoundError(
                f"the log {origin[:200]!r} is none of a peer's in the trust document of {self._state.name}"
            )
        return peer.log

    def _write(
        self, tx: Transaction, held: WitnessedLog | None, witnessed: WitnessedLog, *, anchor: bool
    ) -> int:
        present = queries.read_witnessed(tx.connection, witnessed.origin)
        if _size_of(present) != _size_of(held):
            raise ConflictError(
                f"another checkpoint of {witnessed.origin!r} was cosigned here meanwhile",
                metadata={"size": str(_size_of(present))},
            )
        queries.write_witnessed(tx.connection, witnessed, is_new=present is None)
        if not anchor:
            return -1
        return tx.append(
            EntryDraft(
                EntryType.ANCHOR_RECORDED,
                self._state.actor,
                {},
                old=f"{witnessed.origin} {_size_of(held)}",
                new=f"{witnessed.origin} {witnessed.size}",
                envelope_digest=tx.store_document(witnessed.checkpoint.encode(), CHECKPOINT_MEDIA_TYPE),
            )
        )

    async def _alarm(self, origin: str, held: str, shown: str, message: str) -> None:
        alarm = Alarm(AlarmKind.EQUIVOCATION, origin, message, held, shown, self._clock())
        digest = sha256_hex(alarm.proof)
        logger.error("alarm: %s", message)

        def write(tx: Transaction) -> None:
            if not queries.has_alarm(tx.connection, digest):
                write_alarm(tx, alarm, self._state.actor)

        await self._writer.commit(write)


def write_alarm(tx: Transaction, alarm: Alarm, actor: Actor) -> None:
    """Write an alarm with its entry, which rests on the proof."""
    index = tx.append(
        EntryDraft(
            EntryType.ALARM_RAISED,
            actor,
            {},
            new=f"{alarm.kind} {alarm.origin}",
            envelope_digest=tx.store_document(alarm.proof, ALARM_MEDIA_TYPE),
        )
    )
    raised = Alarm(alarm.kind, alarm.origin, alarm.message, alarm.held, alarm.shown, tx.now, index)
    queries.insert_alarm(tx.connection, raised, sha256_hex(alarm.proof))


def _head_of(held: WitnessedLog | None) -> Checkpoint | None:
    return None if held is None else unverified_checkpoint(held.checkpoint)


def _size_of(held: WitnessedLog | None) -> int:
    return 0 if held is None else held.size
