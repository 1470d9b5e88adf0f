"""Looking ahead at what rollbacks would lead to, so that an urgent one finds it checked.

Responsible for hashing what a rollback of each alias would lead to, and what is marked for it, and for
telling the operators of damage, and of aliases that could not be rolled back at all. Changes nothing.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet_server.aliases import queries
from carnet_server.aliases.blob_checks import FRESH_FOR
from carnet_server.aliases.known_good import NAMED_AT_MOST
from carnet_server.aliases.mark_queries import read_marked_version
from carnet_server.aliases.warm import rollback_targets

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.aliases.known_good import Judged, KnownGoodSearch
    from carnet_server.database.engine import Database

# What a rollback would lead to is hashed again at half of its time, so that a rollback finds it fresh.
_AHEAD = FRESH_FOR / 2

logger = logging.getLogger(__name__)


class LookAhead:
    """Checks what rollbacks would lead to.

    Args:
        database: The environment's database.
        known_good: Judges the candidates.
    """

    def __init__(self, database: Database, known_good: KnownGoodSearch) -> None:
        self._database = database
        self._known_good = known_good

    async def run(self) -> None:
        """Check what rollbacks of all aliases would lead to; logs what is wrong, and raises nothing."""
        try:
            for name in await self._database.read(queries.list_alias_names):
                await self._look_at(name)
        except CarnetError as error:
            logger.warning("what rollbacks would lead to was not checked: %s", error.message)

    async def _look_at(self, name: ResourceName) -> None:
        candidates, marked = await self._database.read(partial(_read_targets, name=name))
        faults: list[str] = []
        for number in candidates[:NAMED_AT_MOST]:
            judged = await self._look(name, number)
            if not judged.fault:
                break
            faults.append(f"version {number} {judged.fault}")
        else:
            if faults:
                logger.warning("a rollback of %s would be refused: %s", name, ", ".join(faults))
        if marked:
            await self._look(name, marked)

    async def _look(self, name: ResourceName, number: int) -> Judged:
        judged = await self._known_good.look(name, number, fresh_for=_AHEAD)
        if judged.blobs is not None and judged.blobs.fault:
            logger.error("version %d, which %s may be rolled back to, %s", number, name, judged.blobs.fault)
        return judged


def _read_targets(connection: Connection, name: ResourceName) -> tuple[list[int], int]:
    """Read the versions that rollbacks would lead to, the best first, and the marked one."""
    return rollback_targets(connection, name), read_marked_version(connection, name)
