"""A row of evidence: who attested what about a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.reports import columns
from carnet.errors import CarnetError
from carnet.signing.evidence_content import EvidenceContent, content_of
from carnet.translog.entry import EVIDENCE_UNTRUSTED

if TYPE_CHECKING:
    from carnet.audit.reports.model import Cell
    from carnet.audit.reports.people import People
    from carnet.audit.statements import Record

EVIDENCE_COLUMNS = (
    *columns.ENTRY,
    columns.digest("envelope"),
    columns.text("signer"),
    columns.flag("trusted", "Signer trusted there"),
    columns.text("predicate_type"),
    columns.text("suite"),
    columns.text("result"),
    columns.texts("metrics"),
)


def evidence_cells(environment: str, record: Record, people: People) -> tuple[Cell, ...]:
    """Return the cells of ``EVIDENCE_COLUMNS`` for an ``evidence.added`` entry."""
    said = content_in(record)
    return (
        environment,
        record.index,
        record.entry.time,
        record.entry.envelope_digest,
        people.signer(record) if record.signer else None,
        record.entry.new != EVIDENCE_UNTRUSTED,
        record.statement.predicate_type if record.statement else None,
        said.suite or None,
        said.result or None,
        tuple(_metric(each.name, each.value, each.slice) for each in said.metrics),
    )


def content_in(record: Record) -> EvidenceContent:
    """Return what evidence says; empty where it did not verify, or is of a type that says nothing here."""
    try:
        return content_of(record.statement) if record.statement else EvidenceContent()
    except CarnetError:
        return EvidenceContent()


def _metric(name: str, value: float, part: dict[str, str]) -> str:
    inner = ",".join(f"{key}={each}" for key, each in sorted(part.items()))
    return f"{name}{{{inner}}} = {value:g}" if inner else f"{name} = {value:g}"
