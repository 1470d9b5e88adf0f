"""How a report is derived: from the records of verified logs, one after the other, and their documents.

Responsible for what every derivation is given and gives, and for reading the documents that several of them
need. Verifies nothing: it is given only what was verified.

Invariants: the same records, documents and query give the same tables, whatever the clock says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.canonical import parse_canonical_json
from carnet.errors import CarnetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from carnet.audit.reports.model import LogRange, Table
    from carnet.audit.reports.people import People
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record
    from carnet.translog.entry import Entry


@dataclass(frozen=True, slots=True)
class Sources:
    """What a derivation may look at besides the records.

    Attributes:
        people: Who is who.
        read: Gives the bytes of a document by environment and digest; None for one that is not there whole.
    """

    people: People
    read: Callable[[str, str], bytes | None]

    def document_of(self, environment: str, entry: Entry) -> dict[str, Any]:
        """Return the canonical JSON object that an entry rests on; empty where there is none.

        Notes, purges, plans and changes of rollouts have that form.
        """
        return self.object(environment, entry.envelope_digest or "")

    def object(self, environment: str, digest: str) -> dict[str, Any]:
        """Return the canonical JSON object of a digest; empty where there is none of that form."""
        data = self.read(environment, digest) if digest else None
        if data is None:
            return {}
        try:
            found = parse_canonical_json(data, what="the document")
        except CarnetError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Derived:
    """What a derivation came to.

    Attributes:
        title: The report's heading.
        tables: Its tables.
        completeness: Why they are all that there is, and what they cannot show.
    """

    title: str
    tables: tuple[Table, ...]
    completeness: tuple[str, ...]


class Derivation(ABC):
    """One report in the making.

    Args:
        sources: What it may look at.
        query: What is asked.
    """

    def __init__(self, sources: Sources, query: ReportQuery) -> None:
        self.sources = sources
        self.people = sources.people
        self.query = query

    @abstractmethod
    def take(self, environment: str, record: Record) -> None:
        """Take the next record of an environment that is asked about; environments come one by one."""

    @abstractmethod
    def finish(self, logs: Sequence[LogRange]) -> Derived:
        """Return the report's contents, once every record was taken.

        Args:
            logs: What was read, with the signed checkpoints.
        """
