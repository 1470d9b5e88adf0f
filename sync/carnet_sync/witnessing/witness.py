"""Cosigning the checkpoints of the environments' logs.

Responsible for whose checkpoints are taken (those of the environments in ``sync.yaml`` with a ``log_key``),
for the signature by that key, and for keeping what was cosigned in the same transaction as it is compared.
The rule is ``carnet.translog.witness_request.consider``. The promotion service keeps no log of its own, so
that it records no anchors; two checkpoints that contradict each other are told in the process's log.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, insert, select

from carnet.errors import ConflictError, NotFoundError
from carnet.translog.checkpoint import parse_checkpoint, unverified_checkpoint
from carnet.translog.cosignature import cosign_checkpoint
from carnet.translog.note import parse_note
from carnet.translog.witness_request import consider
from carnet_sync.promotions.tables import COSIGNED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from carnet.translog.checkpoint import Checkpoint
    from carnet.translog.keys import LogKey, LogVerifier
    from carnet.translog.witness_request import WitnessRequest
    from carnet_sync.database import Database

logger = logging.getLogger(__name__)

_READ = select(COSIGNED.c.checkpoint).where(COSIGNED.c.origin == bindparam("of_origin"))
_DELETE = delete(COSIGNED).where(COSIGNED.c.origin == bindparam("of_origin"))
_INSERT = insert(COSIGNED)


@dataclass(frozen=True, slots=True)
class _Held:
    text: str

    @property
    def head(self) -> Checkpoint:
        return unverified_checkpoint(self.text)


class Witness:
    """Cosigns checkpoints of the environments' logs.

    Args:
        database: The service's database.
        key: The key that cosigns (type 0x04), and signs nothing else.
        logs: The pinned keys of the logs, by origin.
        clock: Tells the time.

    Attributes:
        alarms: How often each log, by its origin, was seen to contradict itself since the start.
    """

    def __init__(
        self,
        database: Database,
        key: LogKey,
        logs: Mapping[str, LogVerifier],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._key = key
        self._logs = logs
        self._clock = clock
        self.alarms: Counter[str] = Counter(dict.fromkeys(logs, 0))

    async def add_checkpoint(self, request: WitnessRequest) -> str:
        """Cosign a checkpoint that continues what was cosigned last of its log.

        Args:
            request: What the log asks for.

        Returns:
            The cosignature: a signature line without its newline.

        Raises:
            NotFoundError: The log is none of the environments'.
            KeyUntrustedError: The checkpoint is not signed by the log's pinned key.
            ProofInvalidError: It is no checkpoint, or not proved to continue what is held.
            InvalidInputError: The old size is above the checkpoint's.
            ConflictError: Another size is held (``metadata["size"]``), or the log signed two histories.
        """
        verifier = self._verifier(request.checkpoint)
        newer = parse_checkpoint(request.checkpoint, verifier)
        origin = newer.origin
        now = self._clock()
        cosigned = cosign_checkpoint(request.checkpoint, verifier, self._key, timestamp=int(now.timestamp()))

        def change(connection: Connection) -> None:
            held = _read(connection, origin)
            consider(held.head if held else None, request.old_size, request.proof, newer)
            connection.execute(_DELETE, {"of_origin": origin})
            row = {"origin": origin, "size": newer.size, "checkpoint": cosigned, "updated_at": now}
            connection.execute(_INSERT, row)

        try:
            await self._database.write(change)
        except ConflictError as error:
            if error.metadata.get("equivocation"):
                self.alarms[origin] += 1
                logger.error("alarm: %s", error.message)  # noqa: TRY400  the message says it all
            raise
        return str(parse_note(cosigned).signatures[-1])

    def read(self, checkpoint: str) -> Checkpoint:
        """Return a checkpoint that its log signed; see ``CosigningWitness``."""
        return parse_checkpoint(checkpoint, self._verifier(checkpoint))

    async def cosign(self, request: WitnessRequest) -> str:
        """Cosign a checkpoint; see ``CosigningWitness``."""
        return await self.add_checkpoint(request)

    def _verifier(self, checkpoint: str) -> LogVerifier:
        origin = unverified_checkpoint(checkpoint).origin
        verifier = self._logs.get(origin)
        if verifier is None:
            raise NotFoundError(f"the log {origin[:200]!r} is none of the environments' that are known here")
        return verifier

    async def witnessed(self, origin: str) -> str:
        """Return the newest checkpoint of a log that was cosigned here.

        Raises:
            NotFoundError: None was.
        """
        held = await self._database.read(lambda connection: _read(connection, origin))
        if held is None:
            raise NotFoundError(f"no checkpoint of {origin[:200]!r} was cosigned here")
        return held.text


def _read(connection: Connection, origin: str) -> _Held | None:
    found = connection.execute(_READ, {"of_origin": origin}).scalar()
    return None if found is None else _Held(found)
