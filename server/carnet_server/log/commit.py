"""What one commit added to the log, with all that a receipt for any of it needs.

Responsible for receipts out of memory: whoever waits for a commit wants to be shown its entry right after it,
and a proof for one of the newest entries needs no node that is not new, or of the right edge before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.translog.finality import Finality
from carnet.translog.receipt import Receipt
from carnet.translog.tree import inclusion_proof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.translog.entry import Entry
    from carnet.translog.tree import NodeId


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit added to the log.

    Attributes:
        first_index: The index of its first entry.
        entries: The entries, as they were read back.
        checkpoint: The checkpoint that covers them.
        size: Its size.
        nodes: The tree's right edge before them, their leaves, and every subtree that they completed.
    """

    first_index: int
    entries: tuple[Entry, ...]
    checkpoint: str
    size: int
    nodes: Mapping[NodeId, bytes]

    def has(self, index: int) -> bool:
        """Tell whether an entry is among them."""
        return self.first_index <= index < self.size

    def receipt(self, index: int, finality: Finality = Finality.UNSPECIFIED) -> Receipt:
        """Prove that one of them is in the log, to this commit's checkpoint.

        Args:
            index: The entry's index; ``has`` it.
            finality: Whether it is final already, as the receipt says of itself.
        """
        proof = inclusion_proof(index, self.size, lambda level, at: self.nodes[level, at])
        data = self.entries[index - self.first_index].to_bytes()
        return Receipt(data, index, self.size, tuple(proof), self.checkpoint, finality)
