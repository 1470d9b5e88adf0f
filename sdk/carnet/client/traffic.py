"""Who gets which traffic of an alias: read once, or followed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from carnet.client.rollout_messages import traffic_of
from carnet.client.serving import alias_reference
from carnet.client.session import Session
from carnet.errors import UnavailableError
from carnet.registry.v1 import rollouts_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet.client.results import Traffic
    from carnet.references import Reference

_FIRST_PAUSE_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 5.0


class TrafficShares(Session):
    """Operations on who gets which traffic."""

    async def traffic(self, reference: str | Reference) -> Traffic:
        """Read who gets which share of an alias's traffic.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.

        Raises:
            NotFoundError: There is no such model, or there never was such an alias.
            CarnetError: The call failed; the class says how.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        answer: rollouts_pb2.GetTrafficResponse = await registry.call(
            registry.rollouts.GetTraffic, rollouts_pb2.GetTrafficRequest(name=wanted.resource_name)
        )
        return traffic_of(answer.traffic, wanted.environment)

    async def watch_traffic(
        self, reference: str | Reference, *, after_revision: int = 0
    ) -> AsyncIterator[Traffic]:
        """Follow who gets which share of an alias's traffic: as it is now, then every change.

        A registry that goes away is dialled again; no change that lasts is missed. ``carnet.TrafficRouter``
        follows it for serving code, and routes by it.

        Args:
            reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
            after_revision: The last revision that the caller has; only newer ones are told.

        Yields:
            The traffic.

        Raises:
            CarnetError: The call failed, and not because the registry was away.
        """
        wanted = alias_reference(reference)
        registry = self._registry(wanted.environment)
        pause = _FIRST_PAUSE_SECONDS
        while True:
            request = rollouts_pb2.WatchTrafficRequest(
                name=wanted.resource_name, after_revision=after_revision
            )
            try:
                async for answer in registry.stream(registry.rollouts.WatchTraffic, request):
                    traffic = traffic_of(answer.traffic, wanted.environment)
                    after_revision = max(after_revision, traffic.revision)
                    pause = _FIRST_PAUSE_SECONDS
                    yield traffic
            except UnavailableError:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MAX_PAUSE_SECONDS)
