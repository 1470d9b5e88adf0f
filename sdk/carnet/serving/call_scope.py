"""The one interceptor of a service: identity, permission, errors, metrics and log line, for every kind.

Every call passes here before its servicer. A service says what it guards and how a call is entered; a
``CarnetError`` becomes a rich status, and anything else becomes INTERNAL with a fixed text and a traceback in
the service's log. Errors that gRPC itself makes never come here.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import grpc
import grpc.aio

from carnet.client.status import INTERNAL_MESSAGE, STATUS_DETAILS_KEY, code_of, status_of
from carnet.errors import (
    CarnetError,
    InternalError,
    InvalidInputError,
    UnauthenticatedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

ServicerContext: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

SPIFFE_PROPERTY = "peer_spiffe_id"
CERTIFICATE_PROPERTY = "x509_pem_cert"
CHAIN_PROPERTY = "x509_pem_cert_chain"
RETRY_WHILE_STOPPING_SECONDS = 0.5

logger = logging.getLogger(__name__)


def spiffe_id_of(context: ServicerContext) -> str:
    """Return the SPIFFE id of the caller's certificate.

    gRPC states it only for a verified certificate with exactly one valid SPIFFE URI; SANs are never parsed
    here (SPIFFE X509-SVID, section 5.2).

    Args:
        context: The call's context.

    Raises:
        UnauthenticatedError: The certificate has no SPIFFE id, or there is no certificate.
    """
    return certified_peer_of(context).subject


class CertifiedPeer(NamedTuple):
    """Who is at the other end of mutual TLS.

    Attributes:
        subject: The SPIFFE id.
        certificate: The certificate, PEM.
        chain: What it was sent with, PEM; empty for nothing.
    """

    subject: str
    certificate: bytes
    chain: bytes


def certified_peer_of(context: ServicerContext) -> CertifiedPeer:
    """Return who is calling by its certificate; see ``spiffe_id_of``.

    Args:
        context: The call's context.

    Raises:
        UnauthenticatedError: The certificate has no SPIFFE id, or there is no certificate.
    """
    found = context.auth_context()
    subjects = list(found.get(SPIFFE_PROPERTY, ()))
    if len(subjects) != 1:
        raise UnauthenticatedError("a client certificate with exactly one SPIFFE id is needed")
    return CertifiedPeer(
        subjects[0].decode(),
        next(iter(found.get(CERTIFICATE_PROPERTY, ())), b""),
        next(iter(found.get(CHAIN_PROPERTY, ())), b""),
    )


class _Method(NamedTuple):
    """A method: its kind of call, its full name, and whether its requests are a stream."""

    kind: str
    name: str
    request_streaming: bool


class CallScope(grpc.aio.ServerInterceptor, abc.ABC):
    """Enters one scope a call; a service derives its own.

    Attributes:
        draining: Whether the service is stopping: every call is answered UNAVAILABLE.
        answered: Told of each call that ended: its kind (``unary``, ``client_stream``, ``server_stream``,
            ``bidi_stream``), its method, its status and how many seconds it took; None for nobody.
    """

    guarded: tuple[str, ...] = ()
    """The beginnings of the methods that are guarded; health and reflection pass as they are."""

    def __init__(self) -> None:
        self.draining = False
        self.answered: Callable[[str, str, grpc.StatusCode, float], None] | None = None
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    @abc.abstractmethod
    def enter(self, method: str, request: Any, context: ServicerContext) -> Awaitable[None] | None:
        """Recognise the caller, and refuse what it may not do; what is returned, if anything, is awaited.

        Args:
            method: The method's full name, ``/package.Service/Method``.
            request: The request; of a stream its first message.
            context: The call's context.

        Raises:
            CarnetError: The call is refused.
        """

    def edition(self) -> object:
        """Return what changes when callers that are being answered must be looked at again."""
        return None

    def refused(self, method: str, error: CarnetError, request: Any) -> None:
        """Take note of a call that ends in an error; called before it is answered, in the call's own task.

        Args:
            method: The method's full name, ``/package.Service/Method``.
            error: What it ends in, at its entry or later.
            request: The request; of a stream its first message, None where it has none.
        """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of a method that is guarded."""
        handler: Any = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or not method.startswith(self.guarded):
            return handler  # type: ignore[no-any-return]
        found, wrapped = self._wrapped.get(method, (None, None))
        if found is not handler:
            wrapped = self._wrap(method, handler)
            self._wrapped[method] = handler, wrapped
        return wrapped

    def _wrap(self, method: str, handler: Any) -> Handler:
        kind, behaviour, make = {
            (False, False): ("unary", handler.unary_unary, grpc.unary_unary_rpc_method_handler),
            (False, True): ("server_stream", handler.unary_stream, grpc.unary_stream_rpc_method_handler),
            (True, False): ("client_stream", handler.stream_unary, grpc.stream_unary_rpc_method_handler),
            (True, True): ("bidi_stream", handler.stream_stream, grpc.stream_stream_rpc_method_handler),
        }[handler.request_streaming, handler.response_streaming]
        wrap = self._streaming if handler.response_streaming else self._single
        wrapped: Any = wrap(_Method(kind, method, handler.request_streaming), behaviour)
        return make(wrapped, handler.request_deserializer, handler.response_serializer)

    async def _open(self, request: Any, *, request_streaming: bool) -> tuple[Any, Any]:
        """Return the (first) request, and what the servicer is to be handed."""
        if self.draining:
            raise UnavailableError(
                "the service is stopping: try again", retry_after_seconds=RETRY_WHILE_STOPPING_SECONDS
            )
        if not request_streaming:
            return request, request
        messages = aiter(request)
        first = await anext(messages, None)
        if first is None:
            raise InvalidInputError("the stream ended before its first message")
        return first, _rejoin(first, messages)

    async def _enter(self, method: str, request: Any, context: ServicerContext) -> None:
        entering = self.enter(method, request, context)
        if entering is not None:
            await entering

    def _single(self, method: _Method, behaviour: Any) -> Any:
        async def call(request: Any, context: ServicerContext) -> Any:
            started = time.perf_counter()
            first: Any = None
            try:
                first, handed = await self._open(request, request_streaming=method.request_streaming)
                await self._enter(method.name, first, context)
                response = await behaviour(handed, context)
            except asyncio.CancelledError:
                self._tell(method, grpc.StatusCode.CANCELLED, started)
                raise
            except Exception as error:  # noqa: BLE001  the border: everything becomes a status
                await self._abort(method, error, first, context, started)
            else:
                self._tell(method, grpc.StatusCode.OK, started)
                return response

        return call

    def _streaming(self, method: _Method, behaviour: Any) -> Any:
        async def call(request: Any, context: ServicerContext) -> AsyncIterator[Any]:
            started = time.perf_counter()
            first: Any = None
            try:
                edition = self.edition()
                first, handed = await self._open(request, request_streaming=method.request_streaming)
                await self._enter(method.name, first, context)
                async with aclosing(behaviour(handed, context)) as responses:
                    async for response in responses:
                        if (now := self.edition()) != edition and not method.request_streaming:
                            await self._enter(method.name, first, context)
                            edition = now
                        yield response
            except (asyncio.CancelledError, GeneratorExit):
                self._tell(method, grpc.StatusCode.CANCELLED, started)
                raise
            except Exception as error:  # noqa: BLE001  the border: everything becomes a status
                await self._abort(method, error, first, context, started)
            else:
                self._tell(method, grpc.StatusCode.OK, started)

        return call

    def _tell(self, method: _Method, code: grpc.StatusCode, started: float) -> None:
        if self.answered is not None:
            self.answered(method.kind, method.name, code, time.perf_counter() - started)

    async def _abort(
        self, method: _Method, error: Exception, request: Any, context: ServicerContext, started: float
    ) -> None:
        """Answer a call with an error, after it was noted."""
        if isinstance(error, grpc.aio.AbortError):
            self._tell(method, grpc.StatusCode.UNKNOWN, started)
            raise error
        elapsed_ms = (time.perf_counter() - started) * 1000
        if isinstance(error, CarnetError):
            failure = error
            logger.info(
                "%s refused after %.1f ms: %s: %s", method.name, elapsed_ms, error.reason, error.message
            )
            try:
                self.refused(method.name, error, request)
            except Exception:
                logger.exception("taking note of a refused call failed")
        else:
            failure = InternalError(INTERNAL_MESSAGE)
            logger.error("%s failed after %.1f ms", method.name, elapsed_ms, exc_info=error)
        status = status_of(failure)
        details = ((STATUS_DETAILS_KEY, status.SerializeToString()),)
        self._tell(method, code_of(failure), started)
        await context.abort(code_of(failure), status.message, trailing_metadata=details)


async def _rejoin(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield first
    async for message in rest:
        yield message
