"""The promotion service as one running whole.

Responsible for wiring the parts, for listening over mutual TLS, and for starting and stopping in an order
that loses no call and no promotion. Does not decide anything.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from carnet.client.channel import MAX_MESSAGE_BYTES
from carnet.errors import PreconditionFailedError
from carnet.sync.v1 import environments_pb2, environments_pb2_grpc, promotions_pb2, promotions_pb2_grpc
from carnet_sync.access import CallScope
from carnet_sync.database import Database
from carnet_sync.environments.links import Links
from carnet_sync.environments.servicer import EnvironmentServicer
from carnet_sync.migrations import upgrade
from carnet_sync.promotions.changes import Changes
from carnet_sync.promotions.service import PromotionsService
from carnet_sync.promotions.servicer import PromotionServicer
from carnet_sync.promotions.waking import LogFollower
from carnet_sync.promotions.worker import Worker
from carnet_sync.schedule.ticks import Schedule

if TYPE_CHECKING:
    from carnet.client.channel import TlsIdentity
    from carnet_sync.config import SyncConfig

DRAIN_SECONDS = 0.2
GRACE_SECONDS = 5.0
SERVICES = (
    promotions_pb2.DESCRIPTOR.services_by_name["PromotionService"].full_name,
    environments_pb2.DESCRIPTOR.services_by_name["EnvironmentService"].full_name,
)


class SyncApp:
    """A promotion service; ``start`` makes one that listens.

    Args:
        config: Its configuration, with every path absolute.

    Attributes:
        address: ``host:port`` that it listens at, once it is started.
    """

    def __init__(self, config: SyncConfig) -> None:
        self.address = ""
        self._config = config
        self._identity = config.tls_identity()
        self._database = Database(config.database)
        self._links = Links(config.environments, config.routes, self._identity)
        self._changes = Changes()
        self._worker = Worker(
            self._database,
            self._links,
            self._changes,
            patience=timedelta(seconds=config.give_up_after_seconds),
        )
        self._follower = LogFollower(self._database, self._links, self._worker)
        self._schedule = Schedule(self._worker)
        self._scope = CallScope(config.callers)
        self._health = health.HealthServicer()
        self._server: grpc.aio.Server | None = None

    @classmethod
    async def start(cls, config: SyncConfig) -> SyncApp:
        """Bring the database up to date, take up what was left, and listen.

        Args:
            config: The configuration, with every path absolute.

        Raises:
            FileUnreadableError: A certificate or key cannot be read.
            PreconditionFailedError: The address cannot be listened at.
            UnavailableError: The database cannot be used.
        """
        await asyncio.to_thread(upgrade, config.database)
        app = cls(config)
        try:
            await app._worker.wake_everything()
            await app._listen()
        except BaseException:
            await app.stop(grace_seconds=0)
            raise
        return app

    async def _listen(self) -> None:
        server = _new_server(self._scope)
        service = PromotionsService(self._database, self._links, self._worker, self._changes)
        promotions_pb2_grpc.add_PromotionServiceServicer_to_server(
            PromotionServicer(service, self._changes), server
        )
        environments_pb2_grpc.add_EnvironmentServiceServicer_to_server(
            EnvironmentServicer(self._links), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME),
            server,
        )
        host = self._config.listen.rpartition(":")[0]
        try:
            port = server.add_secure_port(self._config.listen, _credentials(self._identity))
        except RuntimeError as error:
            raise PreconditionFailedError(
                f"{self._config.listen} cannot be listened at: is another process there? ({error})"
            ) from error
        await server.start()
        self._server = server
        self.address = f"{host}:{port}"
        for name in SERVICES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._follower.start(self._config.environments)
        self._schedule.start()

    async def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Answer UNAVAILABLE for a moment, let calls end, give leases back, and close everything.

        Args:
            grace_seconds: How long calls under way may take to end.
        """
        self._scope.draining = True
        self._changes.close()
        if self._server is not None:
            self._schedule.stop()
            await self._health.enter_graceful_shutdown()
            await asyncio.sleep(DRAIN_SECONDS)
            await self._server.stop(grace_seconds)
        await self._follower.stop()
        await self._worker.stop()
        await self._links.close()
        await asyncio.to_thread(self._database.close)


def _new_server(scope: CallScope) -> grpc.aio.Server:
    options: list[tuple[str, Any]] = [
        # Or two unrelated servers silently share a port.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
    return grpc.aio.server(interceptors=[scope], options=options)


def _credentials(identity: TlsIdentity) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(identity.private_key, identity.certificate)],
        root_certificates=identity.ca,
        require_client_auth=True,
    )
