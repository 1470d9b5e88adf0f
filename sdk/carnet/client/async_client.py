"""The asynchronous client: every operation of the SDK on one object.

Responsible for putting the groups of operations together and for the defaults of a connection. What each
operation does is in the module of its group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.client.aliases import Aliases
from carnet.client.break_glass import BreakGlass
from carnet.client.comparing import Comparing
from carnet.client.environments import Environments
from carnet.client.feature_schemas import FeatureSchemas
from carnet.client.federation import Federation
from carnet.client.identity import KeyUses
from carnet.client.importing import Importing
from carnet.client.lineage import Lineage
from carnet.client.pulling import Pulling
from carnet.client.replays import Replays
from carnet.client.reporting import Reporting
from carnet.client.retention import Retention
from carnet.client.rollouts import Rollouts
from carnet.client.search import Search
from carnet.client.traffic import TrafficShares

if TYPE_CHECKING:
    from pathlib import Path


class AsyncClient(
    Importing,
    Pulling,
    BreakGlass,
    Retention,
    Comparing,
    Lineage,
    FeatureSchemas,
    Aliases,
    Rollouts,
    TrafficShares,
    Reporting,
    Replays,
    Environments,
    KeyUses,
    Search,
):
    """A client of one federation, as one identity; made by ``carnet.connect_async``.

    The examples of the operations are written for ``carnet.Client``, which has the same operations under the
    same names; here each is awaited, and the watching ones are iterated with ``async for``.

    Example:
        >>> import asyncio, carnet
        >>> async def owner_of(reference):
        ...     async with carnet.connect_async(client.federation.directory) as registries:
        ...         return (await registries.resolve(reference)).manifest.subject_name
        >>> asyncio.run(owner_of("dev/risk/fraud@1"))
        'dev/risk/fraud@1'
    """


def connect_async(directory: str | Path | None = None, *, identity: str | None = None) -> AsyncClient:
    """Make an asynchronous client; nothing is dialled before its first call.

    Args:
        directory: The federation's folder; None for ``CARNET_DIR``, and where that is not set ``.carnet``.
        identity: Who is asking; None for ``CARNET_IDENTITY``, and where that is not set the federation's
            choice.

    Returns:
        The client; close it, or use it with ``async with``.

    Raises:
        FileUnreadableError: There is no federation there.
        DocumentInvalidError: ``federation.yaml`` breaks its schema.
        NotFoundError: There is no such identity.
    """
    federation = Federation.load(directory)
    return AsyncClient(federation, federation.identity(identity))
