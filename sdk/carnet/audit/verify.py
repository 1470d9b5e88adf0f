"""Verifying an export: the offline half of an audit.

Responsible for running every check over every environment of an export and for one report of it all. Trusts
the pins and the checkpoints that the auditor kept, and nothing in the export; whatever the files hold, it
answers with a report.

Invariants: an environment whose chain is not intact is not judged further, because its entries prove nothing;
an environment without pins is ``cannot_verify``.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from carnet.audit.certificates import verify_certificates
from carnet.audit.chain import verify_chain
from carnet.audit.documents import verify_documents
from carnet.audit.erasures import Erasures
from carnet.audit.glass_terms import read_terms
from carnet.audit.joins import judge_joins
from carnet.audit.layout import read_document
from carnet.audit.marks import judge_marks
from carnet.audit.meaning import judge_log
from carnet.audit.moves import judge_moves
from carnet.audit.refusals import verify_refusals
from carnet.audit.report import AuditReport, EnvironmentSummary, Finding, Verdict
from carnet.audit.retention import judge_retention
from carnet.audit.rollouts import judge_rollouts
from carnet.audit.signed_documents import verify_document_signatures
from carnet.audit.stages import judge_stages
from carnet.audit.statements import read_records
from carnet.errors import FileUnreadableError
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from carnet.audit.chain import Chain
    from carnet.audit.glass_terms import GlassTerms
    from carnet.audit.pins import Pins
    from carnet.audit.report import BrokenGlass, Erasure
    from carnet.audit.statements import Record
    from carnet.translog.checkpoint import Checkpoint


def verify_export(
    directory: Path,
    pins: Pins,
    *,
    earlier: Mapping[str, Checkpoint] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    watch: Callable[[str, Record], None] | None = None,
) -> AuditReport:
    """Verify an export with nothing but pinned keys.

    Args:
        directory: The export.
        pins: What the auditor trusts.
        earlier: The checkpoints kept from an earlier audit, by environment; each must be the beginning of the
            log now, and its environment must be in the export.
        progress: Is called with the environment, the entries read so far, and all there are.
        watch: Is called with the environment and each record of a chain that is intact, in order; what was
            found wrong with a record is in the report only.

    Returns:
        The report; ``ok`` only if there was something to verify and all of it was verified.

    Raises:
        FileUnreadableError: The directory cannot be read at all.
    """
    earlier = earlier or {}
    findings: list[Finding] = []
    summaries: dict[str, EnvironmentSummary] = {}
    logs: dict[str, list[Record]] = {}
    broken_glass: list[BrokenGlass] = []
    all_erased: list[Erasure] = []
    present = _environments(directory)
    for name in present:
        if name not in pins.environments:
            message = f"no keys are pinned for {name}"
            findings.append(Finding(Verdict.CANNOT_VERIFY, _printable(name), None, message))
            continue
        report_progress = (lambda done, total, name=name: progress(name, done, total)) if progress else None
        chain = verify_chain(
            directory / name, pins.environments[name], earlier=earlier.get(name), progress=report_progress
        )
        erasures = Erasures(name, chain.entries if chain.intact else ())
        whole, problems = verify_documents(directory / name, name, chain.entries, erasures)
        findings += chain.findings + problems
        erased: list[Erasure] = []
        if chain.intact:
            logs[name], problems = read_records(
                directory / name, name, chain.entries, whole, pins, erasures=erasures
            )
            if watch:
                for record in logs[name]:
                    watch(name, record)
            terms = _terms(directory / name, chain, whole)
            broken, uses = judge_log(name, logs[name], pins, terms)
            findings += problems + broken
            findings += judge_moves(name, logs[name])
            findings += judge_stages(name, logs[name])
            findings += judge_rollouts(name, logs[name], partial(_whole_document, directory / name, whole))
            findings += judge_marks(name, logs[name])
            findings += judge_retention(name, logs[name])
            findings += verify_refusals(directory / name, name, chain.entries, whole)
            findings += verify_certificates(directory / name, pins.environments[name], chain.entries, whole)
            findings += verify_document_signatures(directory / name, name, chain.entries, whole, pins)
            broken_glass += uses
            problems, erased = erasures.finish(whole)
            findings += problems
            all_erased += erased
        if chain.checkpoint is not None:
            summaries[name] = _summarise(chain, len(whole), len(erased))
    for name in sorted(set(earlier) - set(present)):
        message = "an earlier audit had a checkpoint of it, and it is not in this export"
        findings.append(Finding(Verdict.INCOMPLETE, name, None, message))
    if not present:
        findings.append(Finding(Verdict.INCOMPLETE, "", None, f"{directory} holds no environment"))
    findings += judge_joins(logs)
    ordered = tuple(sorted(findings, key=_order))
    return AuditReport(summaries, ordered, tuple(broken_glass), tuple(all_erased))


def _environments(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as items:
            return sorted(each.name for each in items if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise FileUnreadableError(f"the export {directory} cannot be read: {error.strerror}") from error


def _terms(directory: Path, chain: Chain, whole: frozenset[str]) -> dict[str, GlassTerms | None]:
    digests = {entry.envelope_digest for _, entry in chain.entries if entry.type is EntryType.POLICY_CHANGED}
    return {
        digest: read_terms(read_document(directory, digest))
        for digest in digests
        if digest is not None and digest in whole
    }


def _whole_document(directory: Path, whole: frozenset[str], digest: str) -> bytes | None:
    """Read a document that was found whole; None for one that was not, which has been reported."""
    return read_document(directory, digest) if digest in whole else None


def _summarise(chain: Chain, documents: int, erased: int) -> EnvironmentSummary:
    assert chain.checkpoint is not None
    types = [entry.type for _, entry in chain.entries]
    refused = sum(
        1 for _, entry in chain.entries if entry.type is EntryType.DECISION_MADE and entry.new == "FAILED"
    )
    return EnvironmentSummary(
        size=chain.checkpoint.size,
        root=chain.checkpoint.root.hex(),
        checkpoint=chain.checkpoint_text,
        published=types.count(EntryType.VERSION_PUBLISHED),
        admitted=types.count(EntryType.VERSION_ADMITTED),
        refused=refused,
        documents=documents,
        erased=erased,
        last_time=max((entry.time for _, entry in chain.entries), default=None),
    )


def _order(finding: Finding) -> tuple[str, int]:
    return finding.environment, -1 if finding.index is None else finding.index


def _printable(name: str) -> str:
    return name.encode(errors="replace").decode()
