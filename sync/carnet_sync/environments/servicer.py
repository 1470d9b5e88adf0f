"""The environments, as the API tells of them: proto and back, nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet.sync.v1 import environments_pb2, environments_pb2_grpc

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_sync.environments.links import Links

PROBE_DEADLINE_SECONDS = 2.0


class EnvironmentServicer(environments_pb2_grpc.EnvironmentServiceServicer):
    """Serves ``carnet.sync.v1.EnvironmentService``.

    Args:
        links: The registries that are known.
    """

    def __init__(self, links: Links) -> None:
        self._links = links

    async def ListEnvironments(
        self, request: environments_pb2.ListEnvironmentsRequest, context: ServicerContext
    ) -> environments_pb2.ListEnvironmentsResponse:
        """List the environments, and ask each whether it is there."""
        del request, context
        names = sorted(self._links.environments)
        found = await asyncio.gather(*(self._probe(name) for name in names))
        return environments_pb2.ListEnvironmentsResponse(environments=found)

    async def _probe(self, name: str) -> environments_pb2.Environment:
        answer = environments_pb2.Environment(
            name=name,
            endpoint=self._links.environments[name].endpoint,
            targets=self._links.targets_of(name),
        )
        try:
            registry = self._links.registry(name)
            described = await registry.describe(deadline_seconds=PROBE_DEADLINE_SECONDS)
        except CarnetError as error:
            answer.problem = error.message
            return answer
        if described.name != name:
            answer.problem = f"the registry there calls itself {described.name!r}: check the endpoint"
            return answer
        answer.reachable = True
        answer.policy_digest = described.policy_digest
        return answer
