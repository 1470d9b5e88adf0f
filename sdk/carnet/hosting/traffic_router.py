"""Routing requests by who gets which traffic of an alias.

Responsible for following the registry in the background, and for never being without an answer once there
was one: while the registry is away, or a new version cannot be made ready, the last known traffic counts.
Loads no model and forwards no request.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Self

from carnet.client.serving import alias_reference
from carnet.errors import CarnetError, OffsetOutOfRangeError, PreconditionFailedError
from carnet.hosting.background import Background
from carnet.hosting.shares import RoutingTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.client.async_client import AsyncClient
    from carnet.client.client import Client
    from carnet.client.results import Traffic
    from carnet.hosting.shares import Choice
    from carnet.references import Reference

_FIRST_PAUSE_SECONDS = 0.2
_MAX_PAUSE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class TrafficRouter:
    """Says which version answers a request; thread-safe. Close it, or use it with ``with``.

    Args:
        client: Whose federation and identity are used.
        reference: The alias, ``ENV/NAMESPACE/MODEL@ALIAS``.
        prepare: Makes ready what new traffic needs, such as loading models; it is called before that
            traffic counts, on another thread but for the first time. Where it fails, the traffic from
            before goes on to count, and it is asked again.

    Raises:
        NotFoundError: There is no such alias.
        CarnetError: The registry could not be asked what counts now; the class says why.
    """

    def __init__(
        self,
        client: Client | AsyncClient,
        reference: str | Reference,
        *,
        prepare: Callable[[Traffic], None] | None = None,
    ) -> None:
        self._reference = alias_reference(reference)
        self._prepare = prepare
        self._background = Background(client, name="carnet-traffic")
        try:
            traffic = self._background.run(self._background.client.traffic(self._reference))
            if prepare is not None:
                prepare(traffic)
        except BaseException:
            self._background.close()
            raise
        self._table = RoutingTable.of(traffic)
        self._background.begin(self._follow())

    @property
    def traffic(self) -> Traffic:
        """The traffic that counts here: the last that is known."""
        return self._table.traffic

    def route(self, key: str | None = None) -> Choice:
        """Say which version answers a request.

        Args:
            key: What stays with a version, such as a customer's id; None to throw dice.

        Raises:
            PreconditionFailedError: The alias points at nothing.
        """
        table = self._table
        position = random.random() if key is None else table.position_of(key)  # noqa: S311  dice, no secret
        choice = table.choose(position)
        if choice is None:
            raise PreconditionFailedError(f"{self._reference} points at no version: nobody can answer")
        return choice

    def close(self) -> None:
        """Stop following."""
        self._background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _follow(self) -> None:
        pause, after = _FIRST_PAUSE_SECONDS, self.traffic.revision
        while True:
            following = self._background.client.watch_traffic(self._reference, after_revision=after)
            try:
                async for traffic in following:
                    await self._take(traffic)
                    pause, after = _FIRST_PAUSE_SECONDS, traffic.revision
            except OffsetOutOfRangeError:
                # The registry knows less than we do: it was put back, and what it says now counts.
                after = 0
            except CarnetError as error:
                logger.warning("%s: its traffic cannot be followed: %s", self._reference, error.message)
            except Exception:
                # Whatever the host's own code raises: the versions that it has go on to serve.
                logger.exception("%s: new traffic could not be made ready", self._reference)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE_SECONDS)

    async def _take(self, traffic: Traffic) -> None:
        if self._prepare is not None:
            await asyncio.to_thread(self._prepare, traffic)
        self._table = RoutingTable.of(traffic)
