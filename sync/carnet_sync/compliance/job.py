"""One report's derivation as another process is told of it, and what that process says.

Responsible for the one JSON object that goes in and for the JSON lines that come out. Derives nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from carnet.client.status import CLASS_OF_REASON
from carnet.errors import CarnetError, InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be derived.

    Attributes:
        kind: Which report.
        query: What is asked.
        despite_findings: Whether to make the report although the logs do not verify.
        copies: The folder with the copies of the logs.
        memory: The folder with the checkpoints that were verified before.
        trust: The file with the pinned keys.
        key: The file with the key that signs.
        result: The file that the envelope is written to.
    """

    kind: str
    query: Mapping[str, str]
    despite_findings: bool
    copies: str
    memory: str
    trust: str
    key: str
    result: str

    def to_bytes(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read it back."""
        return cls(**json.loads(data))


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done.

    Attributes:
        stage: ``waiting``, ``copying`` or ``verifying``.
        environment: The environment that it is about; empty while waiting.
        done: How many entries are done.
        total: How many there are; 0 where that is not known.
    """

    stage: str
    environment: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The envelope is written.

    Attributes:
        suspect: The environments whose copies are not what their logs were, to be fetched anew.
    """

    suspect: tuple[str, ...]


def line_of(said: Progress | Done | CarnetError) -> bytes:
    """Return what the deriving process says, as a line."""
    if isinstance(said, CarnetError):
        what = "error"
        stated: dict[str, Any] = {"reason": said.reason, "message": said.message, "metadata": said.metadata}
    else:
        what, stated = ("progress" if isinstance(said, Progress) else "done"), asdict(said)
    return json.dumps({what: stated}).encode() + b"\n"


def parse_line(line: bytes) -> Progress | Done:
    """Read what the deriving process says.

    Raises:
        CarnetError: As that process raised it.
    """
    ((what, stated),) = json.loads(line).items()
    if what == "error":
        family = CLASS_OF_REASON.get(stated["reason"], InternalError)
        raise family(stated["message"], metadata=stated["metadata"])
    return Progress(**stated) if what == "progress" else Done(tuple(stated["suspect"]))
