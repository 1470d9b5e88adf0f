"""Listening for HTTP, and stopping without losing a request.

Responsible for one small server of few routes: bounded bodies, headers and times, errors as statuses, the
service's certificate, which is renewed when its files are, and the same end as the gRPC listeners have
(``carnet.serving.listening``): 503 for a moment, then the grace period. Nobody is asked for a certificate.
Knows nothing of what is served. Imported only where HTTP is configured.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from typing import TYPE_CHECKING, Any

from aiohttp import web

from carnet.errors import CarnetError, NotFoundError, PreconditionFailedError, UnavailableError
from carnet.serving.listening import DRAIN_SECONDS, GRACE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from carnet.client.channel import TlsIdentity
    from carnet.client.renewal import FollowedIdentity
    from carnet.serving.http.document import HttpDocument

BODY_MAX_BYTES = 256 * 1024
REQUEST_SECONDS = 10.0
KEEPALIVE_SECONDS = 15.0
REQUESTS_AT_ONCE = 64
_LINE_MAX_BYTES = 4096
_CANCEL_SECONDS = 0.1
_STATUSES: tuple[tuple[type[CarnetError], int], ...] = ((NotFoundError, 404), (UnavailableError, 503))

logger = logging.getLogger(__name__)


class HttpListener:
    """An HTTP server.

    Args:
        routes: What it serves.

    Attributes:
        address: ``host:port`` that it listens at, once it is started.
    """

    def __init__(self, routes: Sequence[web.RouteDef]) -> None:
        self.address = ""
        self._draining = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        application = web.Application(middlewares=[self._guard], client_max_size=BODY_MAX_BYTES)
        application.add_routes(routes)
        self._runner = web.AppRunner(
            application,
            handle_signals=False,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=1.0,
            max_line_size=_LINE_MAX_BYTES,
            max_field_size=_LINE_MAX_BYTES,
            shutdown_timeout=_CANCEL_SECONDS,
        )

    async def start(self, document: HttpDocument, identity: FollowedIdentity) -> None:
        """Listen.

        Args:
            document: Where, and whether over TLS.
            identity: The service's certificate and key, which follow their files.

        Raises:
            PreconditionFailedError: The address cannot be listened at.
        """
        host, _, port = document.listen.rpartition(":")
        await self._runner.setup()
        context = _renewed_context(identity) if document.tls else None
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port), ssl_context=context).start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise PreconditionFailedError(
                f"{document.listen} cannot be listened at: is another process there? ({error})"
            ) from error
        self.address = f"{host}:{self._runner.addresses[0][1]}"

    async def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Answer 503 for a moment, let requests end, and close.

        Args:
            grace_seconds: How long requests under way may take to end.
        """
        self._draining = True
        if self.address:
            await asyncio.sleep(DRAIN_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        await self._runner.cleanup()  # cancels what is still under way

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer a request within its time, and every error as a status."""
        if self._draining or self._under_way >= REQUESTS_AT_ONCE:
            return web.Response(status=503, text="try again\n", headers={"Retry-After": "1"})
        self._under_way += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await handler(request)
        except web.HTTPException:
            raise
        except TimeoutError:
            return web.Response(status=408, text=f"not done within {REQUEST_SECONDS:g} s\n")
        except CarnetError as error:
            known = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
            if known is not None:
                return web.Response(status=known, text=f"{error.message}\n")
            logger.exception("%s %s failed", request.method, request.path)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
        return web.Response(status=500, text="an internal error; its cause is in the service's log\n")


def _renewed_context(followed: FollowedIdentity) -> ssl.SSLContext:
    """Return a context whose certificate is looked for anew at every handshake."""
    shown = followed.current
    current = _context(shown)

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context_of: Any) -> None:
        nonlocal shown, current
        identity = followed.look()
        if identity is not shown:
            try:
                current = _context(identity)
            except (OSError, ssl.SSLError) as error:  # the files are being replaced: the last good one stays
                logger.warning("the renewed certificate cannot be shown yet: %s", error)
                return
            shown = identity
        connection.context = current

    first = _context(shown)
    first.sni_callback = choose  # called without a server name, too
    return first


def _context(identity: TlsIdentity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    assert identity.files is not None, "a service's certificate comes from files"
    context.load_cert_chain(*identity.files[:2])
    return context
