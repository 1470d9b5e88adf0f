"""EnvironmentService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from carnet.registry.v1 import environment_pb2, environment_pb2_grpc
from carnet.version import __version__
from carnet_server.access.scope import current_caller

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.environment.state import EnvironmentState, RefusedDocument
    from carnet_server.log.service import LogService


class EnvironmentServicer(environment_pb2_grpc.EnvironmentServiceServicer):
    """Answers EnvironmentService's calls."""

    def __init__(self, state: EnvironmentState, log: LogService) -> None:
        self._state = state
        self._log = log

    async def GetEnvironment(
        self, request: environment_pb2.GetEnvironmentRequest, context: ServicerContext
    ) -> environment_pb2.GetEnvironmentResponse:
        """Read the environment's name, keys and policy."""
        caller = current_caller()
        return environment_pb2.GetEnvironmentResponse(
            environment=environment_pb2.Environment(
                name=self._state.name,
                log_key=self._state.log_key.verifier.vkey,
                signing_key=self._state.signing_key.verification_key.pem,
                policy_digest=self._state.policy.digest,
                policy=self._state.policy.bytes,
                log_size=self._log.size,
                server_version=__version__,
                caller=caller.subject,
                caller_roles=sorted(caller.roles_in(None)),
                policy_version=self._state.policy.document.version,
                trust_digest=self._state.trust.current.digest,
                trust_version=self._state.trust.current.version,
                refused_documents=[_refused(each) for each in self._state.refused],
            )
        )


def _refused(document: RefusedDocument) -> environment_pb2.RefusedDocument:
    refused_at = Timestamp()
    refused_at.FromDatetime(document.refused_at)
    return environment_pb2.RefusedDocument(name=document.name, reason=document.reason, refused_at=refused_at)
