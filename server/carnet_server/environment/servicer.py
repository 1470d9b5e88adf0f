"""EnvironmentService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from carnet.registry.v1 import environment_pb2, environment_pb2_grpc
from carnet.version import __version__
from carnet_server.access.scope import current_caller
from carnet_server.witnessing.queries import read_alarms

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.serving.call_scope import ServicerContext
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState, RefusedDocument
    from carnet_server.log.service import LogService
    from carnet_server.witnessing.asking import Asking, WitnessStanding
    from carnet_server.witnessing.domain import Alarm


class EnvironmentServicer(environment_pb2_grpc.EnvironmentServiceServicer):
    """Answers EnvironmentService's calls."""

    def __init__(self, state: EnvironmentState, log: LogService, database: Database, asking: Asking) -> None:
        self._state = state
        self._log = log
        self._database = database
        self._asking = asking

    async def GetEnvironment(
        self, request: environment_pb2.GetEnvironmentRequest, context: ServicerContext
    ) -> environment_pb2.GetEnvironmentResponse:
        """Read the environment's name, keys and policy."""
        caller = current_caller()
        alarms = [*self._asking.alarms, *await self._database.read(read_alarms)]
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
                witnessed_size=self._asking.final_size,
                witnesses=[_standing(name, each) for name, each in sorted(self._asking.standing.items())],
                alarms=[_alarm(each) for each in alarms],
            )
        )


def _refused(document: RefusedDocument) -> environment_pb2.RefusedDocument:
    return environment_pb2.RefusedDocument(
        name=document.name, reason=document.reason, refused_at=_timestamp(document.refused_at)
    )


def _standing(name: str, standing: WitnessStanding) -> environment_pb2.WitnessStanding:
    return environment_pb2.WitnessStanding(
        name=name,
        size=standing.size,
        cosign_time=_timestamp(standing.cosigned_at) if standing.cosigned_at else None,
        problem=standing.problem,
    )


def _alarm(alarm: Alarm) -> environment_pb2.Alarm:
    return environment_pb2.Alarm(
        kind=str(alarm.kind),
        origin=alarm.origin,
        message=alarm.message,
        raise_time=_timestamp(alarm.raised_at),
        log_index=alarm.log_index,
    )


def _timestamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made
