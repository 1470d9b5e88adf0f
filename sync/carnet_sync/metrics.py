"""What the promotion service tells of its state beside the calls that it answers.

Responsible for the names. Nothing here says what is promoted: whoever reaches the port reads it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet.serving.http.metrics import gauge, gauge_by
from carnet_sync.promotions.domain import State
from carnet_sync.promotions.queries import count_by_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import Metric

    from carnet_sync.database import Database
    from carnet_sync.witnessing.witness import Witness

logger = logging.getLogger(__name__)


class SyncMetrics:
    """Gathers the metrics of the promotion service's state.

    Args:
        database: Its database.
        witness: Who cosigns here; None for nobody.
    """

    def __init__(self, database: Database, witness: Witness | None) -> None:
        self._database = database
        self._witness = witness

    async def gather(self) -> Sequence[Metric]:
        """Gather them; while the database is away only that and what is in memory is told."""
        alarms = {} if self._witness is None else self._witness.alarms
        told = [
            gauge_by(
                "carnet_alarms",
                "Contradictions between signed checkpoints of a log, since the start",
                ("origin", "kind"),
                [((origin, "equivocation"), count) for origin, count in alarms.items()],
            )
        ]
        try:
            counts = await self._database.read(count_by_state)
        except CarnetError as error:
            logger.warning("metrics are told without the database: %s", error.message)
            counts = None
        told.append(gauge("carnet_database_up", "Whether the metadata database answers", counts is not None))
        if counts is not None:
            by_state = [((str(state),), counts.get(state, 0)) for state in State]
            told.append(
                gauge_by("carnet_promotions", "Promotions, by where they stand", ("state",), by_state)
            )
        return told
