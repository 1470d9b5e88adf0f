"""CHECKING and AWAITING: ask the target's policy with everything that the source has.

The target decides; this says what it answered. Awaiting is the same question again, later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import PreconditionFailedError
from carnet_sync.promotions.steps import answers, presenting

if TYPE_CHECKING:
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.outcome import Outcome
    from carnet_sync.promotions.steps.step import Work


async def run(promotion: Promotion, work: Work) -> Outcome:
    """Have the promotion evaluated.

    Args:
        promotion: The promotion, with its manifest and signature.
        work: The registries.

    Raises:
        IntegrityError: The target found a signature, statement or proof that is not good.
        PreconditionFailedError: The target cannot take it, and has no answer of its own about it.
        StaleEpochError: Another worker took the promotion over.
    """
    target = work.target(promotion)
    presented = await presenting.gather(promotion, work.source(promotion))
    evidence = await presenting.hand_over_excess(promotion, target, presented.evidence)
    try:
        admission = await target.evaluate(
            presented.admission_input(promotion, evidence), epoch=promotion.epoch
        )
    except PreconditionFailedError as refusal:
        return await answers.ended_there(promotion, target, refusal)
    return answers.outcome_of(promotion, admission, source_receipt=presented.receipt.SerializeToString())
