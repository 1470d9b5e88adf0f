"""What a log attests: entries whose inclusion was verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """

    environment: str
    entry: Entry
    receipt: Receipt
