"""One connection to a registry or to the promotion service: a channel and the stubs on it.

Responsible for who is at the other end (`RegistryConnection.peer` is for messages) and for closing. The
typed clients that people use are built on it; services use it as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from carnet.client.channel import (
    DEFAULT_DEADLINE_SECONDS,
    TlsIdentity,
    TokenIdentity,
    call,
    open_channel,
    stream,
)
from carnet.client.renewal import RenewedChannel
from carnet.registry.v1 import (
    admission_pb2_grpc,
    aliases_pb2_grpc,
    blobs_pb2_grpc,
    environment_pb2_grpc,
    evidence_pb2_grpc,
    identity_pb2_grpc,
    log_pb2_grpc,
    models_pb2_grpc,
    retention_pb2_grpc,
    rollouts_pb2_grpc,
    search_pb2_grpc,
    stamps_pb2_grpc,
    witness_pb2_grpc,
)
from carnet.sync.v1 import compliance_pb2_grpc, environments_pb2_grpc, promotions_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Connection:
    """A channel to one peer."""

    def __init__(
        self, endpoint: str, *, server_name: str, identity: TlsIdentity | TokenIdentity, peer: str
    ) -> None:
        self.endpoint = endpoint
        self.peer = f"{peer} at {endpoint}"
        self.channel: Any = (
            open_channel(endpoint, server_name=server_name, identity=identity)
            if isinstance(identity, TokenIdentity)
            else RenewedChannel(
                lambda current: open_channel(endpoint, server_name=server_name, identity=current), identity
            )
        )

    async def call(
        self,
        method: Any,
        request: Any,
        *,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
        idempotent: bool = True,
    ) -> Any:
        """Make a unary call on one of the stubs; see ``carnet.client.channel.call``."""
        return await call(
            method, request, peer=self.peer, deadline_seconds=deadline_seconds, idempotent=idempotent
        )

    def stream(
        self, method: Any, request: Any, *, deadline_seconds: float | None = None
    ) -> AsyncIterator[Any]:
        """Make a server-streaming call on one of the stubs; see ``carnet.client.channel.stream``."""
        return stream(method, request, peer=self.peer, deadline_seconds=deadline_seconds)

    async def close(self) -> None:
        """Close the channel; calls under way are cancelled."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class RegistryConnection(_Connection):
    """A connection to one environment's registry.

    Args:
        endpoint: ``host:port``.
        server_name: The DNS name that the server's certificate must have.
        identity: The caller's certificate and key, or its token, and the authorities that it believes.
        environment: The environment's name, for messages.

    Raises:
        CertificateExpiredError: The caller's own certificate is not valid now.
    """

    def __init__(
        self, endpoint: str, *, server_name: str, identity: TlsIdentity | TokenIdentity, environment: str
    ) -> None:
        super().__init__(
            endpoint, server_name=server_name, identity=identity, peer=f"the {environment} registry"
        )
        self.environment_name = environment
        self.models = models_pb2_grpc.ModelServiceStub(self.channel)
        self.search = search_pb2_grpc.SearchServiceStub(self.channel)
        self.aliases = aliases_pb2_grpc.AliasServiceStub(self.channel)
        self.rollouts = rollouts_pb2_grpc.RolloutServiceStub(self.channel)
        self.blobs = blobs_pb2_grpc.BlobServiceStub(self.channel)
        self.evidence = evidence_pb2_grpc.EvidenceServiceStub(self.channel)
        self.admission = admission_pb2_grpc.AdmissionServiceStub(self.channel)
        self.release = admission_pb2_grpc.ReleaseServiceStub(self.channel)
        self.stamps = stamps_pb2_grpc.StampServiceStub(self.channel)
        self.retention = retention_pb2_grpc.RetentionServiceStub(self.channel)
        self.identity = identity_pb2_grpc.IdentityServiceStub(self.channel)
        self.log = log_pb2_grpc.LogServiceStub(self.channel)
        self.environment = environment_pb2_grpc.EnvironmentServiceStub(self.channel)


class WitnessConnection(_Connection):
    """A connection to a witness: another registry, or the promotion service.

    Args:
        endpoint: ``host:port``.
        server_name: The DNS name that the server's certificate must have.
        identity: The caller's certificate and key, and the authorities that it believes.
        witness: The witness's name, for messages.

    Raises:
        CertificateExpiredError: The caller's own certificate is not valid now.
    """

    def __init__(self, endpoint: str, *, server_name: str, identity: TlsIdentity, witness: str) -> None:
        super().__init__(endpoint, server_name=server_name, identity=identity, peer=f"the witness {witness}")
        self.witness = witness_pb2_grpc.WitnessServiceStub(self.channel)


class SyncConnection(_Connection):
    """A connection to the promotion service.

    Args:
        endpoint: ``host:port``.
        server_name: The DNS name that the server's certificate must have.
        identity: The caller's certificate and key, or its token, and the authorities that it believes.

    Raises:
        CertificateExpiredError: The caller's own certificate is not valid now.
    """

    def __init__(self, endpoint: str, *, server_name: str, identity: TlsIdentity | TokenIdentity) -> None:
        super().__init__(endpoint, server_name=server_name, identity=identity, peer="the promotion service")
        self.promotions = promotions_pb2_grpc.PromotionServiceStub(self.channel)
        self.environments = environments_pb2_grpc.EnvironmentServiceStub(self.channel)
        self.compliance = compliance_pb2_grpc.ComplianceServiceStub(self.channel)
