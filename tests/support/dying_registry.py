"""A registry that kills itself with SIGKILL at a chosen step of a group commit: the real one, with a fuse in it.

``CARNET_DIES_AT`` is one of `STEPS`, and ``CARNET_DIES_IN`` a folder. It dies once there is a file ``armed`` there
and, except at the witness's exchange, a batch has several changes; just before it says in ``died`` where it was.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from sqlalchemy import Engine, event

from carnet_server.__main__ import main as registry
from carnet_server.log.head import LogHead
from carnet_server.log.writer import Writer
from carnet_server.witnessing.links import GrpcWitness

STEPS = (
    "before the transaction",
    "between the statements",
    "before the commit",
    "after the commit",
    "after signing",
    "at the witness",
)
CHANGES_AT_LEAST = 3


class Fuse:
    """What makes the process die."""

    def __init__(self, step: str, folder: Path) -> None:
        self._step = step
        self._folder = folder
        self.changes = 0

    def reach(self, step: str) -> None:
        """Die here, if this is the step and the time."""
        if step != self._step or not (self._folder / "armed").exists():
            return
        if step != "at the witness" and self.changes < CHANGES_AT_LEAST:
            return
        (self._folder / "died").write_text(f"{step}: {self.changes} changes")
        os.kill(os.getpid(), signal.SIGKILL)

    def lay(self) -> None:
        """Lay it through the writer and the way to witnesses."""
        write, publish, tell, ask = Writer._write, LogHead.publish, Writer._tell, GrpcWitness.add_checkpoint

        def writing(writer, batch):
            self.changes = len(batch)
            self.reach("before the transaction")
            try:
                write(writer, batch)
            finally:
                self.changes = 0

        def publishing(head, *committed):
            self.reach("after the commit")
            return publish(head, *committed)

        def telling(writer, commit):
            self.reach("after signing")
            tell(writer, commit)

        async def asking(link, request, *, anchor):
            lines = await ask(link, request, anchor=anchor)
            self.reach("at the witness")
            return lines

        def executing(_connection, _cursor, statement, *_rest):
            if statement.startswith("INSERT INTO log_nodes"):
                self.reach("between the statements")

        Writer._write, LogHead.publish, Writer._tell = writing, publishing, telling
        GrpcWitness.add_checkpoint = asking
        event.listen(Engine, "before_cursor_execute", executing)
        event.listen(Engine, "commit", lambda _connection: self.reach("before the commit"))


def main() -> int:
    """Run the registry until it dies."""
    Fuse(os.environ["CARNET_DIES_AT"], Path(os.environ["CARNET_DIES_IN"])).lay()
    return registry()


if __name__ == "__main__":
    sys.exit(main())
