"""Who calls the promotion service, and what they may do: one interceptor for every call.

Responsible for identity (the SPIFFE id that gRPC found in the client's certificate), the small role table of
``sync.yaml``, errors as rich statuses, and a log line for what was refused. It guards this service only:
what a promotion may do is decided by the target, whoever asked here.
"""

from __future__ import annotations

import logging
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import grpc.aio

from carnet.client.status import INTERNAL_MESSAGE, STATUS_DETAILS_KEY, code_of, status_of
from carnet.errors import (
    CarnetError,
    InternalError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from carnet_sync.config import CallerRoles

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

logger = logging.getLogger(__name__)

SPIFFE_PROPERTY = "peer_spiffe_id"
_GUARDED = "/carnet.sync.v1."
_ANY_ROLE = frozenset({"reader", "requester", "operator"})
_MOVERS = frozenset({"requester", "operator"})
PERMISSIONS: Mapping[str, frozenset[str]] = {
    f"{_GUARDED}PromotionService/CreatePromotion": frozenset({"requester"}),
    f"{_GUARDED}PromotionService/GetPromotion": _ANY_ROLE,
    f"{_GUARDED}PromotionService/ListPromotions": _ANY_ROLE,
    f"{_GUARDED}PromotionService/WatchPromotion": _ANY_ROLE,
    f"{_GUARDED}PromotionService/CancelPromotion": _MOVERS,
    f"{_GUARDED}PromotionService/RetryPromotion": _MOVERS,
    f"{_GUARDED}EnvironmentService/ListEnvironments": _ANY_ROLE,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a call: its SPIFFE id, and its roles here."""

    subject: str
    roles: frozenset[str]


_CALLER: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Return whoever makes the present call."""
    return _CALLER.get()


class CallScope(grpc.aio.ServerInterceptor):
    """Enters one scope a call.

    Args:
        callers: What each caller may do.
    """

    def __init__(self, callers: Sequence[CallerRoles]) -> None:
        self._roles = {caller.subject: frozenset(caller.roles) for caller in callers}
        self.draining = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of a method; health and reflection pass as they are."""
        handler: Any = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or not method.startswith(_GUARDED):
            return handler  # type: ignore[no-any-return]
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(method, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._single(method, handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _enter(self, method: str, context: ServicerContext) -> None:
        if self.draining:
            raise UnavailableError("the promotion service is stopping: try again", retry_after_seconds=0.5)
        subject = _subject_of(context)
        held = self._roles.get(subject, frozenset())
        wanted = PERMISSIONS.get(method, frozenset())
        if not held & wanted:
            raise PermissionDeniedError(
                f"{subject} may not call {method.rpartition('/')[2]} here: it needs the role "
                f"{' or '.join(sorted(wanted)) or 'of nobody'}, and has {', '.join(sorted(held)) or 'none'}"
            )
        _CALLER.set(Caller(subject, held))

    def _single(self, method: str, behaviour: Any) -> Any:
        async def call(request: Any, context: ServicerContext) -> Any:
            started = time.perf_counter()
            try:
                self._enter(method, context)
                return await behaviour(request, context)
            except Exception as error:  # noqa: BLE001  the border: everything becomes a status
                await _abort(method, error, context, started)

        return call

    def _streaming(self, method: str, behaviour: Any) -> Any:
        async def call(request: Any, context: ServicerContext) -> AsyncIterator[Any]:
            started = time.perf_counter()
            try:
                self._enter(method, context)
                async for response in behaviour(request, context):
                    yield response
            except Exception as error:  # noqa: BLE001  the border: everything becomes a status
                await _abort(method, error, context, started)

        return call


def _subject_of(context: ServicerContext) -> str:
    """Return the SPIFFE id that gRPC found in the certificate: exactly one valid one; SANs are not read."""
    found = list(context.auth_context().get(SPIFFE_PROPERTY, ()))
    if len(found) != 1:
        raise UnauthenticatedError("a client certificate with exactly one SPIFFE id is needed")
    return found[0].decode()


async def _abort(method: str, error: Exception, context: ServicerContext, started: float) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    elapsed_ms = (time.perf_counter() - started) * 1000
    if isinstance(error, CarnetError):
        failure = error
        logger.info("%s refused after %.1f ms: %s: %s", method, elapsed_ms, error.reason, error.message)
    else:
        failure = InternalError(INTERNAL_MESSAGE)
        logger.error("%s failed after %.1f ms", method, elapsed_ms, exc_info=error)
    details = status_of(failure).SerializeToString()
    await context.abort(code_of(failure), failure.message, trailing_metadata=((STATUS_DETAILS_KEY, details),))
