"""Promotions as the API's messages: one way, since nothing but names and envelopes comes in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from carnet.errors import ReferenceInvalidError
from carnet.registry.v1 import admission_pb2
from carnet.sync.v1 import promotions_pb2

if TYPE_CHECKING:
    from datetime import datetime

    from carnet_sync.promotions.domain import Event, Promotion, State

_NAME = re.compile(r"promotions/([0-9a-f]{32})")


def promotion_id_of(name: str) -> str:
    """Return the id in a promotion's resource name.

    Raises:
        ReferenceInvalidError: It is not such a name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ReferenceInvalidError(
            f"name: {name[:160]!r} is not the resource name of a promotion: write it like "
            "'promotions/0123456789abcdef0123456789abcdef'",
            metadata={"field": "name"},
        )
    return match[1]


def promotion_message(promotion: Promotion) -> promotions_pb2.Promotion:
    """Return a promotion as a message; the target's answer is absent where there is none."""
    message = promotions_pb2.Promotion(
        name=f"promotions/{promotion.id}",
        state=_state(promotion.state),
        message=promotion.message,
        source=promotion.source,
        target=promotion.target,
        version=promotion.version_name,
        alias=promotion.alias,
        bundle_digest=promotion.bundle_digest,
        requester=promotion.requester,
        transferred_bytes=promotion.transferred_bytes,
        total_bytes=promotion.total_bytes,
        sequence=promotion.sequence,
        create_time=_moment(promotion.created_at),
        update_time=_moment(promotion.updated_at),
        transfer=promotion.transfer,
        error_reason=promotion.error_reason,
        by_rollout=promotion.by_rollout,
    )
    if promotion.admission:
        message.admission.CopyFrom(admission_pb2.Admission.FromString(promotion.admission))
    return message


def event_message(event: Event) -> promotions_pb2.PromotionEvent:
    """Return an event as a message."""
    return promotions_pb2.PromotionEvent(
        sequence=event.sequence,
        state=_state(event.state),
        message=event.message,
        create_time=_moment(event.created_at),
    )


def _state(state: State) -> promotions_pb2.PromotionState.ValueType:
    return promotions_pb2.PromotionState.Value(f"PROMOTION_STATE_{state}")


def _moment(value: datetime) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(value)
    return moment
