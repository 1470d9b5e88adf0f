"""Promotions over the API: messages to use cases and back, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.sync.v1 import promotions_pb2, promotions_pb2_grpc
from carnet_sync.access import current_caller
from carnet_sync.promotions.messages import event_message, promotion_id_of, promotion_message
from carnet_sync.promotions.watch import watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet.serving.call_scope import ServicerContext
    from carnet_sync.promotions.changes import Changes
    from carnet_sync.promotions.service import PromotionsService


class PromotionServicer(promotions_pb2_grpc.PromotionServiceServicer):
    """Serves ``carnet.sync.v1.PromotionService``.

    Args:
        service: The use cases.
        changes: What wakes watchers.
    """

    def __init__(self, service: PromotionsService, changes: Changes) -> None:
        self._service = service
        self._changes = changes

    async def CreatePromotion(
        self, request: promotions_pb2.CreatePromotionRequest, context: ServicerContext
    ) -> promotions_pb2.CreatePromotionResponse:
        """Start a promotion, or with ``validate_only`` say what would become of it."""
        del context
        begin = self._service.rehearse if request.validate_only else self._service.create
        promotion = await begin(request.request, caller=current_caller().subject)
        return promotions_pb2.CreatePromotionResponse(promotion=promotion_message(promotion))

    async def GetPromotion(
        self, request: promotions_pb2.GetPromotionRequest, context: ServicerContext
    ) -> promotions_pb2.GetPromotionResponse:
        """Read a promotion with all its events."""
        del context
        promotion, events = await self._service.get(promotion_id_of(request.name))
        return promotions_pb2.GetPromotionResponse(
            promotion=promotion_message(promotion), events=[event_message(event) for event in events]
        )

    async def ListPromotions(
        self, request: promotions_pb2.ListPromotionsRequest, context: ServicerContext
    ) -> promotions_pb2.ListPromotionsResponse:
        """List promotions, the newest first."""
        del context
        page = await self._service.list(
            page_size=request.page_size, page_token=request.page_token, active_only=request.active_only
        )
        return promotions_pb2.ListPromotionsResponse(
            promotions=[promotion_message(promotion) for promotion in page.promotions],
            next_page_token=page.next_page_token,
        )

    async def WatchPromotion(
        self, request: promotions_pb2.WatchPromotionRequest, context: ServicerContext
    ) -> AsyncIterator[promotions_pb2.WatchPromotionResponse]:
        """Stream a promotion's events until it has ended."""
        del context
        promotion_id = promotion_id_of(request.name)
        told = watch(self._service, self._changes, promotion_id, request.after_sequence)
        async for promotion, event in told:
            yield promotions_pb2.WatchPromotionResponse(
                promotion=promotion_message(promotion),
                event=None if event is None else event_message(event),
            )

    async def CancelPromotion(
        self, request: promotions_pb2.CancelPromotionRequest, context: ServicerContext
    ) -> promotions_pb2.CancelPromotionResponse:
        """End a promotion at a signed word."""
        del context
        caller = current_caller()
        promotion = await self._service.cancel(
            promotion_id_of(request.name),
            request.envelope,
            caller=caller.subject,
            is_operator="operator" in caller.roles,
        )
        return promotions_pb2.CancelPromotionResponse(promotion=promotion_message(promotion))

    async def RetryPromotion(
        self, request: promotions_pb2.RetryPromotionRequest, context: ServicerContext
    ) -> promotions_pb2.RetryPromotionResponse:
        """Try a failed promotion again."""
        del context
        promotion = await self._service.retry(promotion_id_of(request.name), caller=current_caller().subject)
        return promotions_pb2.RetryPromotionResponse(promotion=promotion_message(promotion))
