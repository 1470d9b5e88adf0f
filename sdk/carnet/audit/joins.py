"""What the logs of several environments must mean together.

Responsible for the two joins between logs that are both in the export: what was admitted from a source must
be in the source's log, and what a source recorded as admitted must be in the target's. Pure.

The logs of an export are copied one after the other, so the later copy may know of something that came after
the earlier one: as long as the other log's copy ends before the event, the verdict is ``incomplete``, and
only where it goes on and still lacks the entry, ``policy_violated``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet.audit.statements import Record


def judge_joins(logs: Mapping[str, Sequence[Record]]) -> list[Finding]:
    """Judge the logs of an export against each other.

    Args:
        logs: The records of every environment whose chain is intact.

    Returns:
        What is wrong.
    """
    findings: list[Finding] = []
    held = {name: _held(records) for name, records in logs.items()}
    admitted = {name: _admitted(records) for name, records in logs.items()}
    for name, records in logs.items():
        sources = _sources(records)
        for record in records:
            subject = record.entry.subject
            digest, promotion = subject.get("bundle_digest"), subject.get("promotion")
            if record.entry.type is EntryType.VERSION_ADMITTED:
                source = sources.get(promotion, "")
                if source in logs and digest not in held[source]:
                    message = f"the bundle was admitted from {source}, whose log never had it"
                    findings.append(_missing(name, record, logs[source], message))
            elif record.entry.type is EntryType.PROMOTION_RECORDED and isinstance(record.predicate, Decision):
                target = record.predicate.environment
                if target in logs and (promotion, digest) not in admitted[target]:
                    message = f"the promotion is recorded as admitted to {target}, whose log does not have it"
                    findings.append(_missing(name, record, logs[target], message))
    return findings


def _held(records: Sequence[Record]) -> set[str | int | None]:
    types = {EntryType.VERSION_PUBLISHED, EntryType.VERSION_ADMITTED}
    return {record.entry.subject.get("bundle_digest") for record in records if record.entry.type in types}


def _admitted(records: Sequence[Record]) -> set[tuple[str | int | None, str | int | None]]:
    """Return each promotion that succeeded, with its bundle.

    A promotion of a version that an earlier one brought admits nothing new: it only decides.
    """
    held = _held(records)
    return {
        (record.entry.subject.get("promotion"), digest)
        for record in records
        if (digest := record.entry.subject.get("bundle_digest")) in held
        and (
            record.entry.type is EntryType.VERSION_ADMITTED
            or (record.entry.type is EntryType.DECISION_MADE and record.entry.new == "PASSED")
        )
    }


def _sources(records: Sequence[Record]) -> dict[str | int | None, str]:
    """Return where each promotion comes from; the dossier, which the target signed, overrules the request."""
    sources: dict[str | int | None, str] = {}
    for kind in (PromotionRequest, Dossier):
        for record in records:
            if isinstance(record.predicate, kind):
                sources[record.entry.subject.get("promotion")] = record.predicate.source
    return sources


def _missing(environment: str, record: Record, other: Sequence[Record], message: str) -> Finding:
    later = bool(other) and other[-1].entry.time > record.entry.time
    verdict = Verdict.POLICY_VIOLATED if later else Verdict.INCOMPLETE
    hint = "" if later else "; if that copy is older than this one, export again"
    affects = describe_subject(record.entry)
    return Finding(verdict, environment, record.index, f"{record.entry.type}: {message}{hint}", affects)
