"""Counting the resolves that come by the model service, which answers what an alias's name points at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.references import parse_resource_name
from carnet_server.models.servicer import ModelServicer

if TYPE_CHECKING:
    from carnet.registry.v1 import models_pb2
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.aliases.resolves import ResolveCounts
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.models.service import ModelsService


class CountedModelServicer(ModelServicer):
    """Answers ModelService's calls, and counts each alias that was resolved.

    Args:
        models: The use cases of models.
        state: The environment's policy.
        log: The environment's log.
        resolves: Where it is counted.
    """

    def __init__(
        self, models: ModelsService, state: EnvironmentState, log: LogService, resolves: ResolveCounts
    ) -> None:
        super().__init__(models, state, log)
        self._resolves = resolves

    async def ResolveVersion(  # noqa: N802  the name of the contract
        self, request: models_pb2.ResolveVersionRequest, context: ServicerContext
    ) -> models_pb2.ResolveVersionResponse:
        """Answer what a name points at."""
        answer = await super().ResolveVersion(request, context)
        if answer.HasField("alias"):
            self._resolves.count(parse_resource_name(answer.alias.name, field="name", want="alias"))
        return answer
