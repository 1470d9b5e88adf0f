"""A registry as one running whole.

Responsible for wiring every feature, for listening over mutual TLS and for tokens, and for starting and
stopping in an order that loses no call. Decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from carnet.client.renewal import FollowedIdentity
from carnet.errors import CarnetError
from carnet.registry.v1 import (
    admission_pb2,
    admission_pb2_grpc,
    aliases_pb2,
    aliases_pb2_grpc,
    blobs_pb2,
    environment_pb2,
    environment_pb2_grpc,
    evidence_pb2,
    evidence_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    retention_pb2,
    retention_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
    stamps_pb2,
    stamps_pb2_grpc,
    witness_pb2,
    witness_pb2_grpc,
)
from carnet.serving.listening import GRACE_SECONDS, Listener
from carnet_policies.engine import PolicyEngine
from carnet_server.access.interceptor import RegistryCallScope
from carnet_server.access.refusals import WRITE_EVERY_SECONDS, RefusalLog
from carnet_server.admission.service import AdmissionService
from carnet_server.admission.servicer import AdmissionServicer
from carnet_server.aliases.resolves import WRITE_EVERY_SECONDS as RESOLVES_EVERY_SECONDS
from carnet_server.aliases.resolving import CountedModelServicer
from carnet_server.aliases.running import LOOK_EVERY_SECONDS as RUNNING_LOOK_EVERY_SECONDS
from carnet_server.aliases.service import AliasesService
from carnet_server.aliases.servicer import AliasServicer
from carnet_server.blobs.opening import open_store
from carnet_server.blobs.service import BlobsService
from carnet_server.blobs.servicer import BlobServicer, add_blob_service
from carnet_server.database.engine import Database
from carnet_server.database.migrate import upgrade
from carnet_server.environment.opening import OpenedDocuments, open_documents
from carnet_server.environment.reload import DocumentReload
from carnet_server.environment.service import record_documents
from carnet_server.environment.servicer import EnvironmentServicer
from carnet_server.environment.state import load_state
from carnet_server.environment.steady import SteadyWriter
from carnet_server.evidence.service import EvidenceService
from carnet_server.evidence.servicer import EvidenceServicer
from carnet_server.identity.bearer import BearerCallScope
from carnet_server.identity.issuing import IssuingService
from carnet_server.identity.servicer import IdentityServicer
from carnet_server.identity.signing_authority import FollowedAuthority
from carnet_server.identity.uses import KeyUsesService
from carnet_server.log.service import LogService
from carnet_server.log.servicer import LogServicer
from carnet_server.models.queries import names_blob
from carnet_server.models.service import ModelsService
from carnet_server.release.capability import CapabilityCheck
from carnet_server.release.service import ReleaseService
from carnet_server.release.servicer import ReleaseServicer
from carnet_server.retention.erasing import Erasing
from carnet_server.retention.holds import Holds
from carnet_server.retention.hygiene import Hygiene
from carnet_server.retention.purge import Purge
from carnet_server.retention.queries import may_read_blob
from carnet_server.retention.quotas import StorageQuotas
from carnet_server.retention.schedule import ScheduledArchival
from carnet_server.retention.servicer import RetentionServicer
from carnet_server.rollouts.controller import TICK_EVERY_SECONDS
from carnet_server.rollouts.service import RolloutsService
from carnet_server.rollouts.servicer import RolloutServicer
from carnet_server.search.service import SearchService
from carnet_server.search.servicer import SearchServicer
from carnet_server.stamps.service import StampsService
from carnet_server.stamps.servicer import StampServicer
from carnet_server.witnessing.asking import Asking
from carnet_server.witnessing.servicer import WitnessServicer
from carnet_server.witnessing.starting import (
    open_links,
    read_cosigner_key,
    read_policy,
    require_whole_history,
)
from carnet_server.witnessing.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc.aio

    from carnet.serving.call_scope import CallScope
    from carnet.serving.http.listening import HttpListener
    from carnet_server.config import RegistryConfig, RegistryHttpDocument
    from carnet_server.environment.state import EnvironmentState

COLLECT_EVERY_MINUTES = 60
CHECK_AHEAD_EVERY_MINUTES = 15
ARCHIVE_LOOK_EVERY_MINUTES = 60
WITNESSES_LOOK_EVERY_SECONDS = 1
SERVICES = tuple(
    service.full_name
    for module in (
        admission_pb2,
        aliases_pb2,
        blobs_pb2,
        environment_pb2,
        evidence_pb2,
        identity_pb2,
        log_pb2,
        models_pb2,
        rollouts_pb2,
        retention_pb2,
        search_pb2,
        stamps_pb2,
        witness_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)

logger = logging.getLogger(__name__)


class RegistryApp:
    """One environment's registry; ``start`` makes one that listens.

    Args:
        config: Its configuration.
        state: Its keys and documents.
        loop: The event loop that it runs on.
        refusals_every_seconds: How often the calls that were refused are written to the log.

    Attributes:
        address: ``host:port`` that it listens at, once it is started.
        bearer_address: Where it listens for callers with OIDC tokens; empty for nowhere.
        http_address: Where it listens for HTTP; empty for nowhere.
    """

    def __init__(
        self,
        config: RegistryConfig,
        state: EnvironmentState,
        loop: asyncio.AbstractEventLoop,
        *,
        refusals_every_seconds: float = WRITE_EVERY_SECONDS,
    ) -> None:
        self.address = ""
        self.bearer_address = ""
        self.http_address = ""
        self._config = config
        self._state = state
        named = config.signing_authority
        self._authority = FollowedAuthority(named) if named is not None else None
        self._database = Database(config.database_url)
        self._log = LogService(self._database)
        self._writer = SteadyWriter(
            self._database,
            environment=state.name,
            key=state.log_key,
            on_commit=self._log.on_commit,
            documents=lambda: state.documents,
        )
        self._log.attach(self._writer, loop)
        self._engine = PolicyEngine()
        self._store = open_store(config.blobs_url)
        self._blobs = BlobsService(
            self._store,
            self._database,
            self._writer,
            readable=may_read_blob,
            is_named=names_blob,
            capability_check=CapabilityCheck(state),
            quota_check=StorageQuotas(state),
        )
        self._models = ModelsService(self._database, self._writer, self._log, state, self._engine)
        self._aliases = AliasesService(self._database, self._writer, self._log, state, self._store)
        self._rollouts = RolloutsService(self._database, self._writer, self._log, state)
        self._archival = ScheduledArchival(self._database, self._writer, state, self._models.archival)
        self._identity = FollowedIdentity(state.identity)
        cosigner = read_cosigner_key(config)
        self._witness = Witness(state, self._database, self._writer, cosigner) if cosigner else None
        policy = read_policy(config, state.log_key.name)
        self._links = open_links(policy, state.identity)
        self._asking = Asking(
            state,
            self._database,
            self._writer,
            self._log,
            policy=policy,
            links=self._links,
            every_seconds=config.witness_every.total_seconds(),
        )
        self._log.witnessed = lambda: self._asking.final_checkpoint
        self._log.cosigned = self._asking.cosigned
        self._log.demands_witnesses = policy.demands_witnesses
        self._reload = DocumentReload(config, state, self._database, self._writer, self._identity)
        self._refusals = RefusalLog(state.name, state.log_key.name, self._writer)
        self._refusals_every_seconds = refusals_every_seconds
        scope = RegistryCallScope(
            state.trust,
            identity=self._identity,
            documents=lambda: state.documents,
            refusals=self._refusals,
        )
        self._listener = Listener(scope, SERVICES)
        by_token = BearerCallScope(state.trust, documents=lambda: state.documents, refusals=self._refusals)
        self._bearer_listener = Listener(by_token, SERVICES) if config.bearer_listen else None
        self._http = self._make_http(config.http, (scope, by_token)) if config.http else None
        self._schedule = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    @classmethod
    async def start(
        cls, config: RegistryConfig, *, refusals_every_seconds: float = WRITE_EVERY_SECONDS
    ) -> RegistryApp:
        """Bring the database up to date, check the log, record what changed of the documents, and listen.

        Args:
            config: The configuration.
            refusals_every_seconds: How often the calls that were refused are written to the log.

        Raises:
            FileUnreadableError: A key, certificate or, where none was ever in force, document is unreadable.
            DocumentInvalidError: A document is not what it must be, and none was ever in force.
            GateAwaitingError: A document is not signed by enough people, and none was ever in force.
            LogTamperedError: The stored log contradicts itself, or a checkpoint that its own key signed.
            ConflictError: Another process of the environment put other documents in force at this moment.
            PreconditionFailedError: The address cannot be listened at.
            InvalidInputError: The database or the blob store refuses us, or has a schema that we do not know.
            UnavailableError: The database or the blob store cannot be reached.
            StorageFullError: One of them is full.
        """
        config.tls_identity().check_dates()
        await asyncio.to_thread(upgrade, config.database_url)
        documents = await asyncio.to_thread(open_documents, config)
        state = load_state(config, documents)
        loop = asyncio.get_running_loop()
        app = cls(config, state, loop, refusals_every_seconds=refusals_every_seconds)
        try:
            await asyncio.to_thread(app._store.check)
            await require_whole_history(app._database, app._log, state.log_key.verifier, app._links)
            await app._asking.load()
            await app._record(documents)
            await app._listen()
        except BaseException:
            await app.stop(grace_seconds=0)
            raise
        return app

    async def _record(self, documents: OpenedDocuments) -> None:
        """Log what is in force, and put in force what the files have that is newer."""
        signatures = {str(each.header.kind): each.signatures for each in (documents.policy, documents.trust)}
        await record_documents(self._writer, self._state, signatures=signatures, recorded=documents.recorded)
        await self._reload.look_at_documents()

    def _add_services(self, server: grpc.aio.Server) -> None:
        """Add the servicers to a listener's server; listeners share them."""
        for add, servicer in self._servicers:
            add(servicer, server)

    @cached_property
    def _servicers(self) -> list[tuple[Callable[[Any, grpc.aio.Server], None], Any]]:
        """Every servicer, with what adds it to a server."""
        state, database, writer, log = self._state, self._database, self._writer, self._log
        search = SearchService(database)
        aliases = self._aliases
        evidence = EvidenceService(database, writer, log, state)
        admission = AdmissionService(state, database, writer, log, engine=self._engine, blobs=self._blobs)
        release = ReleaseService(state, database, writer, log)
        stamps = StampServicer(StampsService(state, database, log))
        issuing = IssuingService(state, writer, self._authority)
        identity = IdentityServicer(issuing, KeyUsesService(database, state))
        retention = RetentionServicer(
            Purge(database, writer, log, state),
            Holds(database, writer, log),
            Erasing(database, writer, log, state),
            Hygiene(database, state),
        )
        return [
            (
                models_pb2_grpc.add_ModelServiceServicer_to_server,
                CountedModelServicer(self._models, state, log, aliases.resolves),
            ),
            (search_pb2_grpc.add_SearchServiceServicer_to_server, SearchServicer(search)),
            (aliases_pb2_grpc.add_AliasServiceServicer_to_server, AliasServicer(aliases, state, log)),
            (
                rollouts_pb2_grpc.add_RolloutServiceServicer_to_server,
                RolloutServicer(self._rollouts),
            ),
            (add_blob_service, BlobServicer(self._blobs)),
            (evidence_pb2_grpc.add_EvidenceServiceServicer_to_server, EvidenceServicer(evidence)),
            (admission_pb2_grpc.add_AdmissionServiceServicer_to_server, AdmissionServicer(admission)),
            (admission_pb2_grpc.add_ReleaseServiceServicer_to_server, ReleaseServicer(release)),
            (stamps_pb2_grpc.add_StampServiceServicer_to_server, stamps),
            (identity_pb2_grpc.add_IdentityServiceServicer_to_server, identity),
            (retention_pb2_grpc.add_RetentionServiceServicer_to_server, retention),
            (log_pb2_grpc.add_LogServiceServicer_to_server, LogServicer(log)),
            (
                environment_pb2_grpc.add_EnvironmentServiceServicer_to_server,
                EnvironmentServicer(state, log, self._database, self._asking),
            ),
            (witness_pb2_grpc.add_WitnessServiceServicer_to_server, WitnessServicer(self._witness)),
        ]

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
        self._rollouts.controller.start()
        for tick, seconds in (
            (self._collect, COLLECT_EVERY_MINUTES * 60),
            (self._archival.run_due, ARCHIVE_LOOK_EVERY_MINUTES * 60),
            (self._aliases.check_ahead, CHECK_AHEAD_EVERY_MINUTES * 60),
            (self._refusals.flush, self._refusals_every_seconds),
            (self._aliases.resolves.flush, RESOLVES_EVERY_SECONDS),
            (self._aliases.running.look, RUNNING_LOOK_EVERY_SECONDS),
            (self._rollouts.controller.tick, TICK_EVERY_SECONDS),
            (self._ask_witnesses, WITNESSES_LOOK_EVERY_SECONDS),
        ):
            self._schedule.add_job(tick, "interval", seconds=seconds)
        self._schedule.start()

    def _make_http(self, document: RegistryHttpDocument, scopes: Sequence[CallScope]) -> HttpListener:
        """Make what serves HTTP: a witness where there is a key for it, log and metrics where wanted."""
        from carnet.serving.http.add_checkpoint import add_checkpoint_route  # noqa: PLC0415  only where wanted
        from carnet.serving.http.listening import HttpListener  # noqa: PLC0415  as above
        from carnet_server.log.http import tile_routes  # noqa: PLC0415  as above

        routes = [add_checkpoint_route(self._witness)] if self._witness else []
        if document.tiles:
            routes += tile_routes(self._database, self._log)
        if document.metrics:
            from carnet.serving.http.metrics import Metrics  # noqa: PLC0415  as above
            from carnet_server.metrics import RegistryMetrics  # noqa: PLC0415  as above

            of_state = RegistryMetrics(self._state, self._database, self._log, self._asking)
            metrics = Metrics({"environment": self._state.name}, of_state.gather)
            routes.append(metrics.route(scopes))
        return HttpListener(routes)

    async def _ask_witnesses(self) -> None:
        """Have what is new of the log cosigned."""
        try:
            await self._asking.look()
        except CarnetError as error:
            logger.warning("the witnesses were not asked: %s", error.message)

    async def _collect(self) -> None:
        """Remove abandoned uploads, and blobs that no version names."""
        try:
            collected = await self._blobs.collect(datetime.now(UTC))
        except CarnetError as error:
            logger.warning("collecting was put off: %s", error.message)
        else:
            logger.info("collected %s", collected)

    async def stop(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Answer UNAVAILABLE for a moment, let calls end, and close everything.

        Args:
            grace_seconds: How long calls under way may take to end.
        """
        self._log.close()
        if self._schedule.running:
            self._schedule.shutdown(wait=False)
        await self._reload.stop()
        listeners = [each for each in (self._listener, self._bearer_listener, self._http) if each is not None]
        await asyncio.gather(*(each.stop(grace_seconds=grace_seconds) for each in listeners))
        await self._rollouts.close()
        await self._refusals.flush()
        await self._aliases.resolves.flush()
        await self._asking.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.stop()
        self._aliases.close()
        self._blobs.close()
        self._store.close()
        self._engine.close()
        self._database.close()
