"""The one interceptor: identity, permission, errors and the log line, for all four kinds of call.

Every call passes here before its servicer. The caller is recognised from the certificate, the permission
table is consulted with the first request in hand, a ``CarnetError`` becomes a rich status, and anything else
becomes INTERNAL with a fixed text and a traceback in the server's log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from carnet.client.status import INTERNAL_MESSAGE, STATUS_DETAILS_KEY, code_of, status_of
from carnet.errors import CarnetError, InternalError, PermissionDeniedError, UnavailableError
from carnet_server.access.authorize import require
from carnet_server.access.identity import recognise
from carnet_server.access.permissions import PERMISSIONS, PUBLIC_SERVICES
from carnet_server.access.scope import enter_scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from carnet_server.access.scope import ServicerContext
    from carnet_server.access.trust import TrustStore

logger = logging.getLogger(__name__)


class RequestScope(grpc.aio.ServerInterceptor):
    """Enters one scope a call.

    Args:
        trust: The trust document in force.
    """

    def __init__(self, trust: TrustStore) -> None:
        self._trust = trust
        self.draining = False

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of a method; health and reflection pass as they are."""
        handler: Any = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or method.startswith(PUBLIC_SERVICES):
            return handler  # type: ignore[no-any-return]
        if handler.response_streaming:
            behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
            wrapped: Any = self._streaming(method, behaviour, request_streaming=handler.request_streaming)
        else:
            behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
            wrapped = self._single(method, behaviour, request_streaming=handler.request_streaming)
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    def _authorize(self, method: str, request: Any, context: ServicerContext) -> None:
        if self.draining:
            raise UnavailableError("the registry is stopping: try again", retry_after_seconds=0.5)
        caller = recognise(context, self._trust.current)
        permission = PERMISSIONS.get(method)
        if permission is None:
            raise PermissionDeniedError(f"{method} is open to nobody")
        if not caller.roles_in(None):
            require(caller, *permission.roles, namespace=None)
        namespace = permission.namespace(request) if permission.namespace else None
        require(caller, *permission.roles, namespace=namespace)
        enter_scope(caller)

    async def _admit(
        self, method: str, request: Any, context: ServicerContext, *, request_streaming: bool
    ) -> Any:
        """Authorise a call by its (first) request, and return what the servicer is to be handed."""
        if not request_streaming:
            self._authorize(method, request, context)
            return request
        messages = aiter(request)
        try:
            first = await anext(messages)
        except StopAsyncIteration:
            first = None
        self._authorize(method, first, context)
        return _rejoin(first, messages)

    def _single(self, method: str, behaviour: Any, *, request_streaming: bool) -> Any:
        async def call(request: Any, context: ServicerContext) -> Any:
            started = time.perf_counter()
            try:
                admitted = await self._admit(method, request, context, request_streaming=request_streaming)
                return await behaviour(admitted, context)
            except Exception as error:  # noqa: BLE001  the border: everything becomes a status
                await _abort(method, error, context, started)

        return call

    def _streaming(self, method: str, behaviour: Any, *, request_streaming: bool) -> Any:
        async def call(request: Any, context: ServicerContext) -> AsyncIterator[Any]:
            started = time.perf_counter()
            try:
                admitted = await self._admit(method, request, context, request_streaming=request_streaming)
                async for response in behaviour(admitted, context):
                    yield response
            except Exception as error:  # noqa: BLE001  the border: everything becomes a status
                await _abort(method, error, context, started)

        return call


async def _rejoin(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    if first is not None:
        yield first
        async for message in rest:
            yield message


async def _abort(method: str, error: Exception, context: ServicerContext, started: float) -> None:
    if isinstance(error, grpc.aio.AbortError | asyncio.CancelledError):
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
