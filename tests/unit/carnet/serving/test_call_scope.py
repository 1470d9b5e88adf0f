"""What a call scope is told of calls that end in an error, and what it tells of all, for every kind of call."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest

from carnet.errors import CarnetError, NotFoundError, PermissionDeniedError, UnavailableError
from carnet.serving.call_scope import CallScope

METHOD = "/carnet.test.v1.Service/Call"
MAKE = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


class Scope(CallScope):
    guarded = ("/carnet.",)

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__()
        self.told: list[tuple[str, str, Any]] = []
        self.refuses = refuses
        self.editions = 0

    def edition(self) -> object:
        return self.editions

    def enter(self, method: str, request: Any, context: Any) -> None:
        if self.refuses:
            raise PermissionDeniedError("not you")

    def refused(self, method: str, error: CarnetError, request: Any) -> None:
        self.told.append((method, error.reason, request))


class Context:
    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None

    async def abort(self, code: grpc.StatusCode, *_: Any, **__: Any) -> None:
        self.code = code
        raise grpc.aio.AbortError


async def messages():
    for message in ("first", "second"):
        yield message


async def call(scope: CallScope, kind: str, failure: Exception | None = None) -> tuple[list[Any], Context]:
    """Make a call of a kind to a servicer that answers once, after it failed or not."""
    streams_in, streams_out = kind.startswith("stream"), kind.endswith("stream")

    async def answer(request: Any) -> str:
        got = [message async for message in request] if streams_in else request
        if failure is not None:
            raise failure
        return f"answer to {got}"

    async def single(request: Any, _: Any) -> str:
        return await answer(request)

    async def streaming(request: Any, _: Any) -> Any:
        yield await answer(request)

    async def continuation(_: Any) -> Any:
        return MAKE[kind](streaming if streams_out else single)

    handler: Any = await scope.intercept_service(continuation, SimpleNamespace(method=METHOD))
    behaviour = getattr(handler, kind)
    context, request = Context(), messages() if streams_in else "first"
    try:
        if streams_out:
            return [each async for each in behaviour(request, context)], context
        return [await behaviour(request, context)], context
    except grpc.aio.AbortError:
        return [], context


@pytest.mark.parametrize("kind", MAKE)
async def test_nothing_is_told_of_a_call_that_is_answered(kind):
    scope = Scope()
    (answered,), context = await call(scope, kind)
    assert "first" in answered
    assert ("second" in answered) == kind.startswith("stream")
    assert (scope.told, context.code) == ([], None)


@pytest.mark.parametrize("kind", MAKE)
async def test_a_call_that_is_refused_at_its_entry_is_told_with_its_first_message(kind):
    scope = Scope(refuses=True)
    _, context = await call(scope, kind)
    assert scope.told == [(METHOD, "PERMISSION_DENIED", "first")]
    assert context.code is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("kind", MAKE)
async def test_a_call_that_its_servicer_refuses_is_told_too(kind):
    scope = Scope()
    _, context = await call(scope, kind, NotFoundError("none"))
    assert scope.told == [(METHOD, "NOT_FOUND", "first")]
    assert context.code is grpc.StatusCode.NOT_FOUND


async def test_a_stream_whose_caller_is_refused_in_the_middle_is_told():
    scope = Scope()

    async def streaming(_: Any, __: Any) -> Any:
        yield 1
        scope.editions, scope.refuses = 1, True
        yield 2

    async def continuation(_: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(streaming)

    handler: Any = await scope.intercept_service(continuation, SimpleNamespace(method=METHOD))
    heard = []
    with pytest.raises(grpc.aio.AbortError):
        async for each in handler.unary_stream("first", Context()):
            heard.append(each)
    assert heard == [1]
    assert scope.told == [(METHOD, "PERMISSION_DENIED", "first")]


@pytest.mark.parametrize("failure", [RuntimeError("a defect"), grpc.aio.AbortError()], ids=repr)
async def test_what_is_no_error_of_ours_is_not_told(failure):
    scope = Scope()
    await call(scope, "unary_unary", failure)
    assert scope.told == []


async def test_a_service_that_is_stopping_tells_of_no_request():
    scope = Scope()
    scope.draining = True
    _, context = await call(scope, "stream_unary")
    assert scope.told == [(METHOD, UnavailableError.reason, None)]
    assert context.code is grpc.StatusCode.UNAVAILABLE


async def test_an_error_is_answered_though_taking_note_of_it_failed(caplog):
    class Broken(Scope):
        def refused(self, method: str, error: CarnetError, request: Any) -> None:
            raise RuntimeError("no memory left")

    _, context = await call(Broken(refuses=True), "unary_unary")
    assert context.code is grpc.StatusCode.PERMISSION_DENIED
    assert "taking note of a refused call failed" in caplog.text


KINDS = {
    "unary_unary": "unary",
    "unary_stream": "server_stream",
    "stream_unary": "client_stream",
    "stream_stream": "bidi_stream",
}


def counting(scope: CallScope) -> list[tuple[str, str, str]]:
    """Have a scope tell of the calls that ended, and return what it tells."""
    ended: list[tuple[str, str, str]] = []

    def answered(kind: str, method: str, code: grpc.StatusCode, seconds: float) -> None:
        assert 0 <= seconds < 60
        ended.append((kind, method, code.name))

    scope.answered = answered
    return ended


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (None, "OK"),
        (NotFoundError("none"), "NOT_FOUND"),
        (RuntimeError("a defect"), "INTERNAL"),
        (grpc.aio.AbortError(), "UNKNOWN"),
        (asyncio.CancelledError(), "CANCELLED"),
    ],
    ids=repr,
)
async def test_every_call_is_counted_once_with_its_status(kind, failure, code):
    scope = Scope()
    ended = counting(scope)
    with contextlib.suppress(asyncio.CancelledError):
        await call(scope, kind, failure)
    assert ended == [(KINDS[kind], METHOD, code)]


async def test_a_stream_that_its_caller_leaves_is_counted_as_cancelled():
    scope = Scope()
    ended = counting(scope)

    async def streaming(_: Any, __: Any) -> Any:
        while True:
            yield 1

    async def continuation(_: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(streaming)

    handler: Any = await scope.intercept_service(continuation, SimpleNamespace(method=METHOD))
    responses = handler.unary_stream("first", Context())
    assert await anext(responses) == 1
    await responses.aclose()
    assert ended == [("server_stream", METHOD, "CANCELLED")]


async def test_a_handler_is_wrapped_once():
    scope = Scope()
    handlers = [grpc.unary_unary_rpc_method_handler(lambda *_: None) for _ in range(2)]
    wrapped = []
    for handler in (handlers[0], handlers[0], handlers[1]):

        async def continuation(_: Any, handler: Any = handler) -> Any:
            return handler

        wrapped.append(await scope.intercept_service(continuation, SimpleNamespace(method=METHOD)))
    assert wrapped[0] is wrapped[1]
    assert wrapped[2] is not wrapped[0]
