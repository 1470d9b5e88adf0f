"""Deriving a report from an export: verified first, always.

Responsible for running the verifier over the export, handing the records of its intact logs to the derivation
of the report that is wanted, and putting the report together. Trusts the pins, and nothing in the export.

Invariants: there is no report of logs that were not verified; where something was found and a report is
wanted all the same, it states every finding. Only entries that the stated checkpoints cover are told of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.layout import read_document
from carnet.audit.reports import columns
from carnet.audit.reports.derivation import Sources
from carnet.audit.reports.drift import Drift
from carnet.audit.reports.kinds import DERIVATIONS
from carnet.audit.reports.model import LogRange, Report, Table
from carnet.audit.reports.observed import OBSERVED_CAVEAT, observed_tables
from carnet.audit.reports.people import People
from carnet.audit.verify import verify_export
from carnet.errors import CarnetError, KeyUntrustedError, NotFoundError
from carnet.translog.checkpoint import parse_checkpoint
from carnet.translog.erasure import erased_document
from carnet.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from carnet.audit.pins import Pins
    from carnet.audit.report import AuditReport, Finding
    from carnet.audit.reports.observed import RegistryAnswers
    from carnet.audit.reports.query import ReportQuery
    from carnet.audit.statements import Record
    from carnet.translog.checkpoint import Checkpoint

GENERATOR = f"carnet {__version__}"
FINDINGS = "findings"
"""The table of what the verifier found, in a report that was made despite of it."""


@dataclass(frozen=True, slots=True)
class DerivedReport:
    """What came of deriving a report.

    Attributes:
        audit: What the verifier found.
        report: The report; None where something was found, and no report was wanted despite of it.
        erased: The entries, by environment, whose documents were erased after the checkpoints at which the
        logs are told of: what they said then cannot be derived any more.
    """

    audit: AuditReport
    report: Report | None
    erased: Mapping[str, frozenset[int]] = field(default_factory=dict)


def derive_report(
    directory: Path,
    pins: Pins,
    query: ReportQuery,
    *,
    generated_at: datetime,
    at: Mapping[str, str] | None = None,
    earlier: Mapping[str, Checkpoint] | None = None,
    answers: Mapping[str, RegistryAnswers] | None = None,
    despite_findings: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> DerivedReport:
    """Verify an export, and derive a report from it.

    Args:
        directory: The export.
        pins: What the auditor trusts.
        query: What is asked.
        generated_at: The time to state; aware.
        at: The signed checkpoints, by environment, at which the logs are told of; each must be the beginning
            of the log now. None for the logs as they are.
        earlier: Checkpoints that the auditor kept; each must be the beginning of the log now.
        answers: What the registries answer now, by environment, which a report of the drift sets beside the
            logs; None where they were not asked.
        despite_findings: Whether to make a report of what does not verify, which states what was found.
        progress: Is called with the environment, the entries read so far, and all there are.

    Returns:
        The report, with what the verifier found.

    Raises:
        FileUnreadableError: The export cannot be read at all.
        KeyUntrustedError: A checkpoint of ``at`` is signed by no pinned key.
        ProofInvalidError: A checkpoint of ``at`` is damaged.
        NotFoundError: The logs do not have an environment, a promotion or an alias that is asked about.
    """
    stated = {name: _checked(name, text, pins) for name, text in (at or {}).items()}
    people = People(pins)
    derivation = DERIVATIONS[query.kind](Sources(people, _reader(directory)), query)
    taken: dict[str, int] = {}
    gone = _Gone()

    def watch(name: str, record: Record) -> None:
        limit = stated[name].size if name in stated else None
        if not query.reads(name) or (at is not None and limit is None):
            return
        told = limit is None or record.index < limit
        gone.note(name, record, told=told)
        if told:
            taken[name] = taken.get(name, 0) + 1
            derivation.take(name, record)

    audit = verify_export(
        directory, pins, earlier={**(earlier or {}), **stated}, progress=progress, watch=watch
    )
    if not audit.environments or (audit.findings and not despite_findings):
        return DerivedReport(audit, None)
    logs = tuple(
        LogRange(
            environment=name,
            first=0,
            count=stated[name].size if name in stated else summary.size,
            checkpoint=(at or {}).get(name, summary.checkpoint),
        )
        for name, summary in sorted(audit.environments.items())
        if query.reads(name) and (at is None or name in stated)
    )
    _require(query, logs)
    derived = derivation.finish([each for each in logs if each.environment in taken])
    findings = [each for each in audit.findings if _is_covered(each, logs)]
    observed = (
        observed_tables(derivation.states, answers) if isinstance(derivation, Drift) and answers else ()
    )
    report = Report(
        kind=str(query.kind),
        title=derived.title,
        query=query.to_json(),
        generated_at=generated_at,
        generator=GENERATOR,
        logs=logs,
        completeness=(*_caveats(logs, taken, findings, observed), *derived.completeness),
        tables=(*derived.tables, *([_findings_table(findings)] if findings else []), *observed),
    )
    return DerivedReport(audit, report, gone.entries())


class _Gone:
    """Which documents were erased after the part of a log that a report tells of, and what rested on them."""

    def __init__(self) -> None:
        self._uses: dict[tuple[str, str], set[int]] = {}
        self._later: set[tuple[str, str]] = set()

    def note(self, environment: str, record: Record, *, told: bool) -> None:
        """Note a record, and whether it is in that part."""
        if told and record.erased:
            digest = record.entry.envelope_digest or ""
            self._uses.setdefault((environment, digest), set()).add(record.index)
        elif not told and (erased := erased_document(record.entry)) is not None:
            self._later.add((environment, erased))

    def entries(self) -> dict[str, frozenset[int]]:
        """Return the entries whose documents were erased later, by environment."""
        found: dict[str, set[int]] = {}
        for environment, digest in self._later:
            found.setdefault(environment, set()).update(self._uses.get((environment, digest), ()))
        return {name: frozenset(entries) for name, entries in found.items() if entries}


def _reader(directory: Path) -> Callable[[str, str], bytes | None]:
    def read(environment: str, digest: str) -> bytes | None:
        try:
            return read_document(directory / environment, digest)
        except CarnetError:
            return None  # The verifier has told of it, where an entry rests on it.

    return read


def _checked(name: str, text: str, pins: Pins) -> Checkpoint:
    if name not in pins.environments:
        raise KeyUntrustedError(
            f"no keys are pinned for the environment {name[:80]!r}, which the report is about"
        )
    return parse_checkpoint(text, pins.environments[name].log_verifier)


def _require(query: ReportQuery, logs: Sequence[LogRange]) -> None:
    there = {each.environment for each in logs}
    missing = sorted(set(query.environments) - there)
    if missing or not logs:
        held = ", ".join(sorted(there)) or "none"
        raise NotFoundError(
            f"report: no log of {', '.join(missing) or 'any environment'} is there; there are: {held}",
            metadata={"field": "environments"},
        )


def _is_covered(finding: Finding, logs: Sequence[LogRange]) -> bool:
    """Whether a finding is about what the report covers, or about no entry in particular."""
    sizes = {each.environment: each.count for each in logs}
    return finding.index is None or finding.index < sizes.get(finding.environment, 0)


def _caveats(
    logs: Sequence[LogRange],
    taken: Mapping[str, int],
    findings: Sequence[Finding],
    observed: Sequence[Table],
) -> tuple[str, ...]:
    sentences = []
    if findings:
        sentences.append(
            f"THE LOGS DO NOT VERIFY: {len(findings)} findings stand in a table of their own, and what the "
            "other tables tell is not to be relied upon where they touch it."
        )
    sentences += [
        f"Nothing is told of {each.environment}: its log is not intact."
        for each in logs
        if each.count and taken.get(each.environment, 0) == 0
    ]
    if observed:
        sentences.append(OBSERVED_CAVEAT)
    return tuple(sentences)


def _findings_table(findings: Sequence[Finding]) -> Table:
    return Table(
        FINDINGS,
        "What the verifier found",
        "Everything in the logs that is not as it must be; none of it is a pass.",
        (
            columns.text("verdict"),
            columns.text("code"),
            columns.text("environment"),
            columns.number("entry"),
            columns.text("message"),
            columns.texts("affects"),
        ),
        tuple(
            (str(each.verdict), str(each.code), each.environment, each.index, each.message, each.affects)
            for each in findings
        ),
    )
