"""ADMITTING: have the target admit it on a fresh release statement, then have the source record that.

Both are found done when they were done before. When the target's answer has changed meanwhile, the promotion
is checked anew: what is awaited or refused is said there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import (
    BlobsMissingError,
    GateAwaitingError,
    GateRefusedError,
    InternalError,
    PreconditionFailedError,
)
from carnet.registry.v1 import admission_pb2
from carnet_sync.promotions.domain import State, wait_seconds
from carnet_sync.promotions.outcome import Learned, Outcome
from carnet_sync.promotions.steps import answers, presenting

if TYPE_CHECKING:
    from carnet_sync.promotions.domain import Promotion
    from carnet_sync.promotions.steps.step import Work

MOST_RETURNS = 20


async def run(promotion: Promotion, work: Work) -> Outcome:
    """Have it admitted and recorded.

    Args:
        promotion: The promotion.
        work: The registries.

    Raises:
        IntegrityError: One of the two found a signature, statement or proof that is not good.
        PreconditionFailedError: The target keeps changing its answer, or cannot take it for good.
        StaleEpochError: Another worker took the promotion over.
    """
    source, target = work.source(promotion), work.target(promotion)
    presented = await presenting.gather(promotion, source)
    evidence = await presenting.hand_over_excess(promotion, target, presented.evidence)
    try:
        admission = await target.admit(
            promotion.id,
            release=presented.release,
            evidence=evidence,
            stamps=presented.stamps,
            epoch=promotion.epoch,
        )
    except (GateAwaitingError, GateRefusedError, BlobsMissingError) as refusal:
        return _check_anew(promotion, refusal)
    except PreconditionFailedError as refusal:
        ended = await answers.ended_there(promotion, target, refusal)
        return _check_anew(promotion, refusal) if ended.state is State.ADMITTING else ended
    if admission.state != admission_pb2.ADMISSION_STATE_ADMITTED or not admission.decision:
        raise InternalError(f"{promotion.target} answered Admit without a decision to admit")
    await source.record(promotion.version_name, admission.decision, admission.receipt)
    admitted = f"{promotion.target} admitted {promotion.title}{_moved(promotion)}"
    return Outcome(
        State.SUCCEEDED,
        f"{admitted}, and {promotion.source} recorded it",
        learned=Learned(admission=admission.SerializeToString()),
    )


def _moved(promotion: Promotion) -> str:
    if promotion.by_rollout:
        return f" and permits {promotion.alias} to move to it, which `carnet rollout start` does"
    return f" as {promotion.alias}" if promotion.alias else ""


def _check_anew(promotion: Promotion, refusal: PreconditionFailedError) -> Outcome:
    if promotion.returns >= MOST_RETURNS:
        raise refusal
    return Outcome(
        State.CHECKING,
        f"{promotion.target} did not admit it now, so it is checked anew: {refusal.message}",
        wait_seconds=wait_seconds(promotion.returns) if promotion.returns else None,
        returned=True,
    )
