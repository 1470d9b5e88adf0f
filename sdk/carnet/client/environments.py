"""Looking at the environments of a federation.

Responsible for asking each registry who it is and for saying where its answer differs from what is pinned.
"""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import TYPE_CHECKING

from carnet.client.messages import time_of
from carnet.client.results import Alarm, Environment, RefusedDocument, WitnessStanding
from carnet.client.session import Session
from carnet.errors import CarnetError
from carnet.registry.v1 import environment_pb2
from carnet.sync.v1 import environments_pb2

if TYPE_CHECKING:
    from carnet.client.federation import PinnedEnvironment

_SECONDS = 5.0


class Environments(Session):
    """Operations on environments."""

    async def environments(self) -> tuple[Environment, ...]:
        """Ask every environment who it is, and the promotion service where versions may be carried.

        A registry that cannot be asked is listed with the reason, and is no error.

        Example:
            >>> [environment.name for environment in client.environments()][:1]
            ['dev']
        """
        routes = await self._routes()
        return tuple(
            await asyncio.gather(
                *(
                    self._environment(pinned, routes.get(name, ()))
                    for name, pinned in self.federation.environments.items()
                )
            )
        )

    async def _environment(self, pinned: PinnedEnvironment, targets: tuple[str, ...]) -> Environment:
        message = environment_pb2.Environment()
        problem = ""
        final_size: int | None = None
        try:
            registry = self._registry(pinned.name)
            answer = await registry.call(
                registry.environment.GetEnvironment,
                environment_pb2.GetEnvironmentRequest(),
                deadline_seconds=_SECONDS,
            )
            message = answer.environment
            problem = _difference(message, pinned)
            final_size = await self._final_size(pinned.name)
        except CarnetError as error:
            problem = error.message
        return Environment(
            name=pinned.name,
            endpoint=pinned.endpoint,
            reachable=bool(message.name),
            problem=problem,
            policy_digest=message.policy_digest,
            log_size=message.log_size,
            server_version=message.server_version,
            caller=message.caller,
            roles=tuple(message.caller_roles),
            targets=targets,
            policy_version=message.policy_version,
            trust_digest=message.trust_digest,
            trust_version=message.trust_version,
            refused_documents=tuple(
                RefusedDocument(
                    name=each.name, reason=each.reason, refused_at=each.refused_at.ToDatetime(UTC)
                )
                for each in message.refused_documents
            ),
            final_size=final_size,
            witnesses=tuple(
                WitnessStanding(
                    name=each.name,
                    size=each.size,
                    cosigned_at=time_of(each.cosign_time),
                    problem=each.problem,
                )
                for each in message.witnesses
            ),
            alarms=tuple(
                Alarm(
                    kind=each.kind,
                    origin=each.origin,
                    message=each.message,
                    raised_at=time_of(each.raise_time),
                    log_index=each.log_index,
                )
                for each in message.alarms
            ),
        )

    async def _routes(self) -> dict[str, tuple[str, ...]]:
        if self.federation.sync is None:
            return {}
        try:
            service = self._promotion_service()
            answer = await service.call(
                service.environments.ListEnvironments,
                environments_pb2.ListEnvironmentsRequest(),
                deadline_seconds=_SECONDS,
            )
        except CarnetError:
            return {}
        return {each.name: tuple(each.targets) for each in answer.environments}


def _difference(message: environment_pb2.Environment, pinned: PinnedEnvironment) -> str:
    stated = {
        "name": (message.name, pinned.name),
        "log key": (message.log_key, pinned.log.vkey),
    }
    wrong = [field for field, (said, wanted) in stated.items() if said != wanted]
    if message.signing_key.strip() not in {key.pem.strip() for key in pinned.signing_keys.values()}:
        wrong.append("signing key")
    return f"its {' and '.join(wrong)} is not what is pinned" if wrong else ""
