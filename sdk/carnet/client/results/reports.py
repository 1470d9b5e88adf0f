"""Answers about reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from carnet.audit.report import AuditReport
    from carnet.audit.reports.model import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult:
    """A report that was made.

    Attributes:
        audit: What the verifier found in the logs.
        report: The report; None where something was found, and no report was wanted despite of it.
        data: The authoritative form: JSON in an envelope that the identity signed, or the bare JSON where
            nobody signed; empty without a report.
        signed: Whether it is signed.
    """

    audit: AuditReport
    report: Report | None
    data: bytes
    signed: bool
