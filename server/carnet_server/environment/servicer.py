"""EnvironmentService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.registry.v1 import environment_pb2, environment_pb2_grpc
from carnet.version import __version__
from carnet_server.access.scope import current_caller

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.environment.state import EnvironmentState
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
            )
        )
