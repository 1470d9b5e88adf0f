"""The promotion service as one running whole.

Responsible for wiring the parts, for listening over mutual TLS and for tokens, and for starting and stopping
in an order that loses no call and no promotion. Does not decide anything.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.client.renewal import FollowedIdentity
from carnet.registry.v1 import witness_pb2, witness_pb2_grpc
from carnet.serving.listening import GRACE_SECONDS, Listener
from carnet.sync.v1 import (
    compliance_pb2,
    compliance_pb2_grpc,
    environments_pb2,
    environments_pb2_grpc,
    promotions_pb2,
    promotions_pb2_grpc,
)
from carnet_sync.access import SyncCallScope
from carnet_sync.bearer import BearerCallScope
from carnet_sync.callers import CallersStore
from carnet_sync.compliance.service import Reports
from carnet_sync.compliance.servicer import ComplianceServicer
from carnet_sync.database import Database
from carnet_sync.environments.links import Links
from carnet_sync.environments.servicer import EnvironmentServicer
from carnet_sync.migrations import upgrade
from carnet_sync.promotions.changes import Changes
from carnet_sync.promotions.service import PromotionsService
from carnet_sync.promotions.servicer import PromotionServicer
from carnet_sync.promotions.waking import LogFollower
from carnet_sync.promotions.worker import Worker
from carnet_sync.reload import CallersReload
from carnet_sync.schedule.ticks import Schedule
from carnet_sync.witnessing.servicer import WitnessServicer
from carnet_sync.witnessing.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc.aio

    from carnet.serving.call_scope import CallScope
    from carnet.serving.http.document import HttpDocument
    from carnet.serving.http.listening import HttpListener
    from carnet_sync.config import SyncConfig

SERVICES = (
    promotions_pb2.DESCRIPTOR.services_by_name["PromotionService"].full_name,
    environments_pb2.DESCRIPTOR.services_by_name["EnvironmentService"].full_name,
    compliance_pb2.DESCRIPTOR.services_by_name["ComplianceService"].full_name,
    witness_pb2.DESCRIPTOR.services_by_name["WitnessService"].full_name,
)

logger = logging.getLogger(__name__)


class SyncApp:
    """A promotion service; ``start`` makes one that listens.

    Args:
        config: Its configuration, with every path absolute.

    Attributes:
        address: ``host:port`` that it listens at, once it is started.
        bearer_address: Where it listens for callers with OIDC tokens; empty for nowhere.
        http_address: Where it listens for HTTP; empty for nowhere.
    """

    def __init__(self, config: SyncConfig) -> None:
        self.address = ""
        self.bearer_address = ""
        self.http_address = ""
        self._config = config
        self._identity = FollowedIdentity(config.tls_identity())
        callers = CallersStore(config.read_callers())
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
        service = PromotionsService(self._database, self._links, self._worker, self._changes)
        self._promotions = PromotionServicer(service, self._changes)
        self._environments = EnvironmentServicer(self._links)
        cosigner = config.cosigner_key()
        witness = Witness(self._database, cosigner, config.logs()) if cosigner else None
        self._witness = WitnessServicer(witness)
        self._reports = Reports.of(config)
        self._compliance = ComplianceServicer(self._reports)
        self._reload = CallersReload(config, callers, self._identity)
        scope, by_token = SyncCallScope(callers, identity=self._identity), BearerCallScope(callers)
        self._listener = Listener(scope, SERVICES)
        self._bearer_listener = Listener(by_token, SERVICES) if config.bearer_listen is not None else None
        self._http = (
            _make_http(config.http, self._database, witness, (scope, by_token)) if config.http else None
        )

    @classmethod
    async def start(cls, config: SyncConfig) -> SyncApp:
        """Bring the database up to date, take up what was left, and listen.

        Args:
            config: The configuration, with every path absolute.

        Raises:
            FileUnreadableError: A certificate or key cannot be read.
            DocumentInvalidError: The entries of callers contradict each other.
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
        await self._listener.start(self._config.listen, self._identity, self._add_services)
        self.address = self._listener.address
        if self._bearer_listener is not None and self._config.bearer_listen is not None:
            await self._bearer_listener.start(
                self._config.bearer_listen, self._identity, self._add_services, client_certificates=False
            )
            self.bearer_address = self._bearer_listener.address
            logger.info("listening for callers with tokens on %s", self.bearer_address)
        if self._http is not None and self._config.http is not None:
            await self._http.start(self._config.http, self._identity)
            self.http_address = self._http.address
            logger.info("listening for HTTP on %s", self.http_address)
        self._reload.start()
        self._follower.start(self._config.environments)
        self._schedule.start()

    def _add_services(self, server: grpc.aio.Server) -> None:
        """Add the servicers to a listener's server; listeners share them."""
        promotions_pb2_grpc.add_PromotionServiceServicer_to_server(self._promotions, server)
        environments_pb2_grpc.add_EnvironmentServiceServicer_to_server(self._environments, server)
        compliance_pb2_grpc.add_ComplianceServiceServicer_to_server(self._compliance, server)
        witness_pb2_grpc.add_WitnessServiceServicer_to_server(self._witness, server)

    async def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Answer UNAVAILABLE for a moment, let calls end, give leases back, and close everything.

        Args:
            grace_seconds: How long calls under way may take to end.
        """
        self._changes.close()
        self._schedule.stop()
        await self._reload.stop()
        listeners = [each for each in (self._listener, self._bearer_listener, self._http) if each is not None]
        await asyncio.gather(*(each.stop(grace_seconds=grace_seconds) for each in listeners))
        await self._follower.stop()
        await self._worker.stop()
        await self._links.close()
        await self._reports.close()
        await asyncio.to_thread(self._database.close)


def _make_http(
    document: HttpDocument, database: Database, witness: Witness | None, scopes: Sequence[CallScope]
) -> HttpListener:
    """Make what serves HTTP: the witness where there is a key for it, and metrics where they are wanted."""
    from carnet.serving.http.add_checkpoint import add_checkpoint_route  # noqa: PLC0415  only where wanted
    from carnet.serving.http.listening import HttpListener  # noqa: PLC0415  as above

    routes = [add_checkpoint_route(witness)] if witness else []
    if document.metrics:
        from carnet.serving.http.metrics import Metrics  # noqa: PLC0415  as above
        from carnet_sync.metrics import SyncMetrics  # noqa: PLC0415  as above

        routes.append(Metrics({}, SyncMetrics(database, witness).gather).route(scopes))
    return HttpListener(routes)
