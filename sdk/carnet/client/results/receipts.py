"""What a log attests: entries whose inclusion was verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.translog.finality import Finality

if TYPE_CHECKING:
    from carnet.translog.entry import Entry
    from carnet.translog.receipt import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """A log's entry whose inclusion was verified against the environment's pinned log key.

    Attributes:
        environment: Whose log it is.
        entry: What the entry says.
        receipt: The proof, which verifies alone; ``carnet.translog.receipt.format_receipt`` writes it.
        finality: Whether a quorum of the witnesses that are pinned here cosigned its checkpoint: judged by
            their cosignatures, whatever the registry says. ``unspecified`` where none are pinned.
    """

    environment: str
    entry: Entry
    receipt: Receipt
    finality: Finality = Finality.UNSPECIFIED
