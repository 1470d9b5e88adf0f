"""What a registry tells of its state beside the calls that it answers: its log, its witnesses, its alarms.

Responsible for the names. Nothing here says what the registry holds: whoever reaches the port reads it.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from carnet.errors import CarnetError
from carnet.serving.http.metrics import gauge, gauge_by
from carnet_server.witnessing.domain import AlarmKind
from carnet_server.witnessing.queries import read_alarms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client import Metric

    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.witnessing.asking import Asking

logger = logging.getLogger(__name__)


class RegistryMetrics:
    """Gathers the metrics of a registry's state.

    Args:
        state: The environment's name, keys and documents.
        database: Its database.
        log: Its log.
        asking: What is known of its witnesses.
    """

    def __init__(self, state: EnvironmentState, database: Database, log: LogService, asking: Asking) -> None:
        self._state = state
        self._database = database
        self._log = log
        self._asking = asking

    async def gather(self) -> Sequence[Metric]:
        """Gather them; while the database is away only that and what is in memory is told."""
        try:
            raised = await self._database.read(read_alarms)
            awaits_quorum = await self._asking.awaits_quorum()
        except CarnetError as error:
            logger.warning("metrics are told without the database: %s", error.message)
            return [gauge("carnet_database_up", "Whether the metadata database answers", 0), *self._known()]
        alarms = Counter({(self._log.origin, str(kind)): 0 for kind in AlarmKind})
        alarms.update((each.origin, str(each.kind)) for each in (*self._asking.alarms, *raised))
        return [
            gauge("carnet_database_up", "Whether the metadata database answers", 1),
            *self._known(),
            gauge_by(
                "carnet_alarms",
                "Contradictions between signed checkpoints of a log",
                ("origin", "kind"),
                alarms.items(),
            ),
            gauge(
                "carnet_log_awaits_quorum",
                "Whether entries that are no anchors await a quorum of witnesses",
                awaits_quorum,
            ),
        ]

    def _known(self) -> Iterable[Metric]:
        yield gauge("carnet_log_entries", "Entries that are committed and signed", self._log.size)
        if self._log.demands_witnesses:
            name = "carnet_log_final_entries"
            yield gauge(name, "Entries that a quorum of witnesses has cosigned", self._asking.final_size)
        standing = self._asking.standing
        yield gauge_by(
            "carnet_witness_cosigned_entries",
            "Entries of this log that a witness cosigned",
            ("witness",),
            [((name,), each.size) for name, each in standing.items()],
        )
        yield gauge_by(
            "carnet_witness_up",
            "Whether a witness could be asked the last time",
            ("witness",),
            [((name,), not each.problem) for name, each in standing.items()],
        )
        name = "carnet_refused_documents"
        yield gauge(name, "Documents that are not taken as they are in their files", len(self._state.refused))
