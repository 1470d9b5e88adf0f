"""Looking ahead at what rollbacks would lead to, so that an urgent one finds it checked.

Responsible for hashing the blobs of the best candidate of every alias, and of its marked version, and for
telling the operators what is wrong with them. Changes nothing.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet_server.aliases import queries
from carnet_server.aliases.blob_checks import FRESH_FOR
from carnet_server.aliases.mark_queries import read_marked_version
from carnet_server.aliases.warm import rollback_targets
from carnet_server.models.queries import read_blobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.aliases.blob_checks import BlobChecks
    from carnet_server.blobs.domain import Blob
    from carnet_server.database.engine import Database

# What a rollback would lead to is hashed again at half of its time, so that a rollback finds it fresh.
_AHEAD = FRESH_FOR / 2

logger = logging.getLogger(__name__)


class LookAhead:
    """Checks what rollbacks would lead to.

    Args:
        database: The environment's database.
        checks: Tells whether stored blobs are whole.
    """

    def __init__(self, database: Database, checks: BlobChecks) -> None:
        self._database = database
        self._checks = checks

    async def run(self) -> None:
        """Check what rollbacks of all aliases would lead to; logs what is wrong, and raises nothing."""
        try:
            for name in await self._database.read(queries.list_alias_names):
                targets = await self._database.read(partial(_read_targets, name=name))
                for version, blobs in targets.items():
                    found = await self._checks.check(blobs, fresh_for=_AHEAD)
                    if found.fault:
                        logger.error(
                            "version %d, what %s would be rolled back to, %s", version, name, found.fault
                        )
        except CarnetError as error:
            logger.warning("what rollbacks would lead to was not checked: %s", error.message)


def _read_targets(connection: Connection, name: ResourceName) -> Mapping[int, Sequence[Blob]]:
    """Read the blobs of the versions that a rollback would lead to first, and to the mark."""
    wanted = (*rollback_targets(connection, name)[:1], read_marked_version(connection, name))
    return {number: read_blobs(connection, name.namespace, name.model, number) for number in wanted if number}
