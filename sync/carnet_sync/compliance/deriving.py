"""The process that derives one report: ``python -m carnet_sync.compliance.deriving``.

Responsible for verifying the copies, deriving, signing, and keeping the checkpoints of the logs that
verified. A process of its own, because verifying keeps a processor busy: promotions go on meanwhile, and one
that takes too long is ended. Asks no server.

Invariants: there is no report of a log in which something was found, unless it is asked for and then states
every finding. What cannot be verified, because keys are not pinned here, is no reason to refuse: the report
states it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.audit.report import Verdict
from carnet.audit.reports.derive import derive_report
from carnet.audit.reports.query import ReportQuery
from carnet.audit.reports.sealing import seal_report
from carnet.client.audit_memory import earlier_checkpoints, read_pins, remember
from carnet.errors import CarnetError, IntegrityError
from carnet.signing.keys import SigningKey
from carnet_sync.compliance.job import Done, Job, Progress, line_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet.audit.report import AuditReport, Finding

_NICENESS = 10


def derive(job: Job, tell: Callable[[Progress], None]) -> Done:
    """Derive a report and write it, signed.

    Args:
        job: What is to be derived.
        tell: Told of the entries that were verified.

    Returns:
        What is to be done about the copies.

    Raises:
        IntegrityError: Something was found in the logs, and no report was wanted despite of it;
            ``metadata["findings"]`` says how much.
        CarnetError: The question, a file or a key is wrong; the class says how.
    """
    pins = read_pins(Path(job.trust))
    memory = Path(job.memory)
    derived = derive_report(
        Path(job.copies),
        pins,
        ReportQuery.from_json(job.kind, job.query),
        generated_at=datetime.now(UTC),
        earlier=earlier_checkpoints(memory, pins),
        despite_findings=True,
        progress=lambda name, done, total: tell(Progress("verifying", name, done, total)),
    )
    audit = derived.audit
    objections = [each for each in audit.findings if each.verdict is not Verdict.CANNOT_VERIFY]
    _keep(memory, audit, objections)
    if derived.report is None or (objections and not job.despite_findings):
        raise _refusal(objections or list(audit.findings), job.copies)
    Path(job.result).write_bytes(seal_report(derived.report, SigningKey.load(Path(job.key))))
    return Done(_suspect(objections))


def _keep(memory: Path, audit: AuditReport, objections: list[Finding]) -> None:
    """Keep the checkpoints of the logs that were not found to be false."""
    suspect = _suspect(objections)
    sound = {name: each for name, each in audit.environments.items() if name not in suspect}
    remember(memory, replace(audit, environments=sound))


def _suspect(objections: list[Finding]) -> tuple[str, ...]:
    doubtful = {Verdict.TAMPERED, Verdict.INCOMPLETE}
    return tuple(sorted({each.environment for each in objections if each.verdict in doubtful}))


def _refusal(findings: list[Finding], copies: str) -> IntegrityError:
    if not findings:
        return IntegrityError(f"there is nothing to report of: {copies} holds no log that could be verified")
    first = findings[0]
    where = f"{first.environment}, entry {first.index}" if first.index is not None else first.environment
    return IntegrityError(
        f"the logs do not verify, and no report is made of them: {len(findings)} findings, the first "
        f"{first.verdict} ({where}): {first.message}; despite_findings makes one that states them",
        metadata={
            "findings": str(len(findings)),
            "verdict": str(first.verdict),
            "suspect": " ".join(_suspect(findings)),
        },
    )


def main() -> int:
    """Derive the report of the job on stdin; lines of JSON on stdout say what comes of it."""
    os.nice(_NICENESS)

    def say(line: bytes) -> None:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()

    try:
        say(line_of(derive(Job.parse(sys.stdin.buffer.read()), lambda each: say(line_of(each)))))
    except CarnetError as error:
        say(line_of(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
