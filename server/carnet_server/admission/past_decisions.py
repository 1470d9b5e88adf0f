"""The decisions that were made here, as the log tells of them, the newest first.

Responsible for finding them and for reading what was signed. Invariant: the population is the log's: every
entry that tells of a decision is met, refusals and publications too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.errors import DataLossError, NotFoundError
from carnet.references import ResourceName
from carnet.signing.decision import Decision
from carnet.signing.dsse import parse_envelope
from carnet.signing.statement import parse_statement
from carnet.translog.entry import EntryType, parse_entry
from carnet_server.log.queries import READ_DOCUMENT, READ_ENTRIES

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from carnet.translog.entry import Entry

# How many entries are looked through for one page: a page may be short, or empty, and not be the last.
MOST_ENTRIES = 20_000
_AT_ONCE = 1000
_MARK = f'"{EntryType.DECISION_MADE}"'.encode()


@dataclass(frozen=True, slots=True)
class PastDecision:
    """An entry that tells of a decision.

    Attributes:
        log_index: Where it stands.
        entry: The entry.
    """

    log_index: int
    entry: Entry

    def text(self, key: str) -> str:
        """What the entry's subject says under a key; empty where it says nothing."""
        return str(self.entry.subject.get(key, ""))

    @property
    def version(self) -> ResourceName:
        """The version that was decided on."""
        return ResourceName(self.text("namespace"), self.text("model"), int(self.text("version")))

    @property
    def decided_at(self) -> datetime:
        """When it was written, by this environment's clock."""
        return self.entry.time

    @property
    def result(self) -> str:
        """``PASSED`` or ``FAILED``."""
        return self.entry.new or ""


def read_past_decisions(connection: Connection, before: int, limit: int) -> tuple[list[PastDecision], int]:
    """Read decisions, the newest first.

    Args:
        connection: Where to read.
        before: The index before which to look.
        limit: How many decisions at most.

    Returns:
        The decisions, and the index before which to go on; 0 at the end.
    """
    found: list[PastDecision] = []
    end, last = before, max(before - MOST_ENTRIES, 0)
    while end > last:
        first = max(end - _AT_ONCE, last)
        rows = connection.execute(READ_ENTRIES, {"first": first, "end": end}).all()
        for index, data, _ in reversed(rows):
            if _MARK not in data:
                continue
            entry = parse_entry(data)
            if entry.type is EntryType.DECISION_MADE:
                found.append(PastDecision(index, entry))
                if len(found) == limit:
                    return found, index
        end = first
    return found, last


def read_signed(connection: Connection, past: PastDecision) -> Decision:
    """Read what was signed.

    Raises:
        NotFoundError: The document was erased.
        DataLossError: It is damaged.
        IntegrityError: It is no decision.
    """
    digest = past.entry.envelope_digest or ""
    data = connection.execute(READ_DOCUMENT, {"wanted": digest}).scalar_one_or_none()
    if data is None:
        raise NotFoundError(f"the decision {digest} is not held any more")
    if sha256_hex(data) != digest:
        raise DataLossError(f"the stored decision {digest} is damaged: restore the database")
    return Decision.parse(parse_statement(parse_envelope(data)))
