"""What a registry knows as a witness of other logs, and what it is alarmed by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from carnet.canonical import canonical_json

if TYPE_CHECKING:
    from datetime import datetime

ALARM_MEDIA_TYPE = "application/vnd.carnet.alarm+json"
CHECKPOINT_MEDIA_TYPE = "text/vnd.c2sp.checkpoint"


@dataclass(frozen=True, slots=True)
class WitnessedLog:
    """What was cosigned last of a log.

    Attributes:
        origin: The log.
        size: The checkpoint's size.
        root: Its root.
        checkpoint: The signed note, with the cosignature.
        updated_at: When it was cosigned.
    """

    origin: str
    size: int
    root: bytes
    checkpoint: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Cosignature:
    """What a witness signed last of this environment's log.

    Attributes:
        witness: The witness, by its name in the policy file.
        size: The size of the checkpoint that it signed.
        line: Its signature line.
        cosigned_at: When it came.
    """

    witness: str
    size: int
    line: str
    cosigned_at: datetime


class AlarmKind(StrEnum):
    """What is wrong with a log."""

    EQUIVOCATION = "equivocation"
    RESTORED_BACKUP = "restored-backup"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Two signed checkpoints of a log that cannot both be true.

    Attributes:
        kind: What that means.
        origin: The log.
        message: What was seen, and what to do.
        held: The checkpoint that was seen before.
        shown: The one that contradicts it.
        raised_at: When it was noticed.
        log_index: Its entry; -1 where none was written.
    """

    kind: AlarmKind
    origin: str
    message: str
    held: str
    shown: str
    raised_at: datetime
    log_index: int = -1

    @property
    def proof(self) -> bytes:
        """The document that shows it to anybody: both checkpoints, as canonical JSON."""
        return canonical_json(
            {
                "schema": "carnet.alarm/v1",
                "kind": str(self.kind),
                "origin": self.origin,
                "held": self.held,
                "shown": self.shown,
            }
        )
