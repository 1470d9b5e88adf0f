"""The registries that are known, and the routes between them.

Responsible for one connection to each registry, opened when it is first needed, and for which routes exist.
Connections are pinned by the DNS name that the registry's certificate must have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.client.connection import RegistryConnection
from carnet.errors import PreconditionFailedError
from carnet_sync.environments.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet.client.renewal import FollowedIdentity
    from carnet_sync.config import EnvironmentLink, Route


class Links:
    """The way to each registry.

    Args:
        environments: Where the registries are, by environment.
        routes: The ways that versions may be carried.
        identity: This service's certificate, and the authorities of the registries, which follow their files.
    """

    def __init__(
        self,
        environments: Mapping[str, EnvironmentLink],
        routes: Sequence[Route],
        identity: FollowedIdentity,
    ) -> None:
        self.environments = environments
        self._routes = {(route.source, route.target): route for route in routes}
        self._identity = identity
        self._open: dict[str, Registry] = {}

    def route(self, source: str, target: str) -> Route:
        """Return the way from one environment to another.

        Raises:
            PreconditionFailedError: There is none; the message names those that there are.
        """
        route = self._routes.get((source, target))
        if route is None:
            known = ", ".join(f"{one} → {other}" for one, other in sorted(self._routes)) or "none"
            raise PreconditionFailedError(
                f"there is no route from {source!r} to {target!r} here; the routes are: {known}",
                metadata={"source": source, "target": target},
            )
        return route

    def targets_of(self, source: str) -> list[str]:
        """Return the environments that versions may be carried to from one, by name."""
        return sorted(target for start, target in self._routes if start == source)

    def registry(self, environment: str) -> Registry:
        """Return the way to an environment's registry; call it on the event loop.

        Raises:
            PreconditionFailedError: The environment is not configured any more.
            CertificateExpiredError: This service's own certificate is not valid now.
        """
        found = self._open.get(environment)
        if found is not None:
            return found
        link = self.environments.get(environment)
        if link is None:
            known = ", ".join(sorted(self.environments)) or "none"
            raise PreconditionFailedError(
                f"the environment {environment!r} is not configured here; known are: {known}",
                metadata={"environment": environment},
            )
        registry = Registry(
            RegistryConnection(
                link.endpoint,
                server_name=link.server_name,
                identity=self._identity.look(),
                environment=environment,
            )
        )
        self._open[environment] = registry
        return registry

    async def close(self) -> None:
        """Close all connections; calls under way are cancelled."""
        open_now, self._open = self._open, {}
        for registry in open_now.values():
            await registry.close()
