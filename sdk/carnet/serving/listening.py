"""Listening over TLS, and stopping without losing a call.

Responsible for one way to make a server, with health and reflection on, whose certificate is renewed when its
files are, and one way to end it: UNAVAILABLE for a moment, which clients retry elsewhere, then the grace
period. Knows nothing of what is served.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from carnet.client.channel import FLOW_CONTROL, MAX_MESSAGE_BYTES
from carnet.client.renewal import FollowedIdentity
from carnet.errors import PreconditionFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet.client.channel import TlsIdentity
    from carnet.serving.call_scope import CallScope

DRAIN_SECONDS = 0.2
GRACE_SECONDS = 5.0
_HEALTH_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Listener:
    """A gRPC server; one port either asks everybody for a certificate or nobody.

    Args:
        scope: The one interceptor.
        services: The full names of the services, for health and reflection.

    Attributes:
        address: ``host:port`` that it listens at, once it is started.
    """

    def __init__(self, scope: CallScope, services: Sequence[str]) -> None:
        options: list[tuple[str, Any]] = [
            # Or two unrelated servers silently share a port.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            *FLOW_CONTROL,
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ]
        self.address = ""
        self._scope = scope
        self._services = services
        self._health = health.HealthServicer()
        self._server = grpc.aio.server(interceptors=[scope], options=options)
        self._started = False

    async def start(
        self,
        address: str,
        identity: TlsIdentity | FollowedIdentity,
        add_services: Callable[[grpc.aio.Server], None],
        *,
        client_certificates: bool = True,
    ) -> None:
        """Add the services and listen.

        Args:
            address: ``host:port``; port 0 for any that is free.
            identity: The server's certificate and key, and the authorities of its clients, which follow
                their files.
            add_services: Adds the servicers.
            client_certificates: Whether every client must show a certificate; else none is asked for.

        Raises:
            PreconditionFailedError: The address cannot be listened at.
        """
        add_services(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*self._services, _HEALTH_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        followed = identity if isinstance(identity, FollowedIdentity) else FollowedIdentity(identity)
        credentials = _renewed_credentials(followed, client_certificates=client_certificates)
        try:
            port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise PreconditionFailedError(
                f"{address} cannot be listened at: is another process there? ({error})"
            ) from error
        await self._server.start()
        self._started = True
        self.address = f"{address.rpartition(':')[0]}:{port}"
        for name in self._services:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Answer UNAVAILABLE for a moment, let calls end, and close.

        Args:
            grace_seconds: How long calls under way may take to end.
        """
        self._scope.draining = True
        if not self._started:
            return
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(DRAIN_SECONDS)
        await self._server.stop(grace_seconds)


def _renewed_credentials(followed: FollowedIdentity, *, client_certificates: bool) -> grpc.ServerCredentials:
    """Return credentials that gRPC asks for anew at every handshake, on a thread of its own."""
    shown = followed.current

    def configuration(identity: TlsIdentity) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(identity.private_key, identity.certificate)],
            root_certificates=identity.ca if client_certificates else None,
        )

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        current = followed.look()
        if current is shown:
            return None
        made = configuration(current)
        shown = current
        return made

    return grpc.dynamic_ssl_server_credentials(
        configuration(shown),
        cast("Any", fetch),  # None is for no change, which the stub leaves out
        require_client_authentication=client_certificates,
    )
