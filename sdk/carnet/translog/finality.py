"""Finality: whether what a log holds can still be taken back by the log's owner alone.

Responsible for the words. Committed is effective: a checkpoint by the log's own key covers it. Final is what
a quorum of witnesses has cosigned as well, by a policy that whoever judges it has pinned. Nothing
waits for it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carnet.translog.witness_policy import WitnessPolicy


class Finality(StrEnum):
    """How firm an entry of a log is.

    ``unspecified``: no quorum is asked of this log, so that nothing of it is ever final. ``committed``: it
    counts, and no quorum has witnessed it yet. ``final``: a quorum has.
    """

    UNSPECIFIED = "unspecified"
    COMMITTED = "committed"
    FINAL = "final"


def finality_of(checkpoint: str, policy: WitnessPolicy) -> Finality:
    """Judge what a checkpoint covers.

    Args:
        checkpoint: The signed note, whose log signature the caller verifies.
        policy: Who must have witnessed it, as it is pinned here.

    Raises:
        ProofInvalidError: The text is no signed note, or a cosignature by a witness is bad.
    """
    if not policy.demands_witnesses:
        return Finality.UNSPECIFIED
    return Finality.FINAL if policy.is_final(checkpoint) else Finality.COMMITTED


def finality_at(index: int, final_size: int | None) -> Finality:
    """Judge an entry by where it stands.

    Args:
        index: The entry's index; -1 for none.
        final_size: The size of the newest checkpoint that a quorum has witnessed; None where none is asked.
    """
    if final_size is None or index < 0:
        return Finality.UNSPECIFIED
    return Finality.FINAL if index < final_size else Finality.COMMITTED
