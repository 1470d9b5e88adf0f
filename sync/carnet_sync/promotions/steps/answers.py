"""What a target's answer means for a promotion, and how it is told to people.

Responsible for the one mapping from the target's states to ours, and for the words. Decides nothing: a rule's
result is repeated as the target gave it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import InternalError, NotFoundError
from carnet.registry.v1 import admission_pb2, policy_pb2
from carnet_sync.promotions.domain import Promotion, State, wait_seconds
from carnet_sync.promotions.outcome import Learned, Outcome

if TYPE_CHECKING:
    from carnet.errors import PreconditionFailedError
    from carnet_sync.environments.registry import Registry

_ENDED = frozenset(
    {
        admission_pb2.ADMISSION_STATE_REFUSED,
        admission_pb2.ADMISSION_STATE_ADMITTED,
        admission_pb2.ADMISSION_STATE_CANCELLED,
    }
)


def outcome_of(
    promotion: Promotion, admission: admission_pb2.Admission, *, source_receipt: bytes = b""
) -> Outcome:
    """Return what the target's answer means.

    Args:
        promotion: The promotion, as it stood.
        admission: The target's answer.
        source_receipt: The source's receipt that it was asked with, to be kept.

    Raises:
        InternalError: The answer has no state that is known here.
    """
    target = promotion.target
    learned = Learned(
        admission=admission.SerializeToString(), requester=admission.requester or promotion.requester
    )
    if source_receipt:
        learned["source_receipt"] = source_receipt
    match admission.state:
        case admission_pb2.ADMISSION_STATE_REFUSED:
            failed = _told(admission, policy_pb2.RULE_STATUS_FAILED) or "its policy said no"
            return Outcome(State.REJECTED, f"{target} refused: {failed}", learned=learned)
        case admission_pb2.ADMISSION_STATE_AWAITING:
            awaited = _told(admission, policy_pb2.RULE_STATUS_AWAITING) or "something it does not name"
            again = promotion.attempts + 1 if promotion.state is State.AWAITING else 0
            return Outcome(
                State.AWAITING,
                f"{target} awaits: {awaited}",
                wait_seconds=wait_seconds(again),
                learned=learned,
            )
        case admission_pb2.ADMISSION_STATE_READY:
            message = f"every rule of {target} passes; looking which blobs it lacks"
            return Outcome(State.TRANSFERRING, message, learned=learned)
        case admission_pb2.ADMISSION_STATE_ADMITTED:
            message = f"{target} has admitted it; making sure that {promotion.source} records it"
            return Outcome(State.ADMITTING, message, learned=learned)
        case admission_pb2.ADMISSION_STATE_CANCELLED:
            return Outcome(State.CANCELLED, f"it was cancelled at {target}", learned=learned)
        case unknown:
            raise InternalError(
                f"{target} answered with the admission state {unknown}, which is unknown here"
            )


async def ended_there(promotion: Promotion, target: Registry, refusal: PreconditionFailedError) -> Outcome:
    """Return what it means that the target takes no further step: it may have ended the promotion already.

    Args:
        promotion: The promotion.
        target: Its target's registry.
        refusal: What the target answered.

    Raises:
        PreconditionFailedError: The refusal, where the target has not ended the promotion.
    """
    try:
        admission = await target.admission(promotion.id)
    except NotFoundError:
        # Cancelled there before it was heard of there.
        if refusal.metadata.get("state") == State.CANCELLED:
            return Outcome(State.CANCELLED, refusal.message)
        raise refusal from None
    if admission.state not in _ENDED:
        raise refusal
    return outcome_of(promotion, admission)


def _told(admission: admission_pb2.Admission, status: policy_pb2.RuleStatus.ValueType) -> str:
    parts = []
    for result in admission.evaluation.results:
        if result.status == status:
            remedy = f" ({result.remedy})" if result.remedy else ""
            parts.append(f"{result.rule}: {result.message}{remedy}")
    return "; ".join(parts)
