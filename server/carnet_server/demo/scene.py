"""What every chapter of the demo's story has: the federation, who acts in it, and who tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.client.client import connect
from carnet.errors import CarnetError

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.client.client import Client
    from carnet_server.demo.telling import Teller

MODEL = "risk/tumour"
CHAMPION = f"prod/{MODEL}@champion"


class StoryBrokenError(CarnetError):
    """A step of the demo did not end as it should."""

    reason = "STORY_BROKEN"


@dataclass(frozen=True)
class Scene:
    """Where the story is told.

    Attributes:
        folder: The federation, running.
        teller: Prints what happens.
        work: A folder for what is made on the way.
    """

    folder: Path
    teller: Teller
    work: Path

    def acting_as(self, identity: str) -> Client:
        """Return a client that acts as a person or a job; a context manager."""
        return connect(self.folder, identity=identity)
