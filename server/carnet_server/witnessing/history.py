"""Whether a checkpoint that this log's own key signed once contradicts what the database holds now.

Responsible for the one comparison that decides between a log that is whole and one whose database was put
back, or whose key signed two histories. Believes nothing but the log's own signature, which the caller has
verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import LogTamperedError
from carnet.translog.tree import frontier_nodes, root_at
from carnet_server.log import queries
from carnet_server.witnessing.domain import AlarmKind

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.translog.checkpoint import Checkpoint
    from carnet_server.database.engine import Database
    from carnet_server.log.service import LogService

_WHAT_NOW = "restore a newer backup, or follow the recovery in docs/witnesses.md; nothing is added to the log"


async def contradiction(
    database: Database, log: LogService, theirs: Checkpoint
) -> tuple[AlarmKind, str] | None:
    """Compare a checkpoint that this log's own key signed with the database.

    Args:
        database: The environment's database.
        log: Its log.
        theirs: The checkpoint, verified by the log's own key.

    Returns:
        What is wrong, and what to do; None where the log continues the checkpoint.

    Raises:
        UnavailableError: The database cannot be asked.
    """

    def read(connection: Connection) -> tuple[int, bytes | None]:
        size = int(connection.execute(queries.READ_HEAD).one().size)
        if theirs.size > size:
            return size, None
        nodes = queries.read_nodes(connection, frontier_nodes(theirs.size))
        return size, root_at(theirs.size, lambda level, index: nodes[level, index])

    size, root = await database.read(read)
    signed = f"a checkpoint of {theirs.size} entries was signed by the key of {log.origin} and cosigned"
    if root is None:
        message = f"{signed}, and the database has {size}: it is older than the log once was; {_WHAT_NOW}"
        return AlarmKind.RESTORED_BACKUP, message
    if root != theirs.root:
        message = (
            f"{signed}, and the first {theirs.size} entries of the database lead to another root: history "
            f"was changed, or the database was put back and went on; {_WHAT_NOW}"
        )
        return AlarmKind.EQUIVOCATION, message
    return None


def require_no_contradiction(problem: tuple[AlarmKind, str] | None, witness: str) -> None:
    """Refuse to serve a log that contradicts what its own key signed.

    Args:
        problem: What ``contradiction`` found.
        witness: Who showed the checkpoint.

    Raises:
        LogTamperedError: There is a contradiction.
    """
    if problem is not None:
        kind, message = problem
        raise LogTamperedError(f"{kind}, shown by the witness {witness}: {message}")
