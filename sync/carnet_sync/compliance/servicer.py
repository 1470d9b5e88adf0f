"""Reports over the API: messages to use cases and back, nothing else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from carnet.audit.reports.query import OF_A_PERIOD, ReportKind
from carnet.sync.v1 import compliance_pb2, compliance_pb2_grpc
from carnet_sync.compliance.job import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet.serving.call_scope import ServicerContext
    from carnet_sync.compliance.service import Part, Reports


class ComplianceServicer(compliance_pb2_grpc.ComplianceServiceServicer):
    """Serves ``carnet.sync.v1.ComplianceService``.

    Args:
        reports: The use cases.
    """

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    async def ListReportKinds(
        self, request: compliance_pb2.ListReportKindsRequest, context: ServicerContext
    ) -> compliance_pb2.ListReportKindsResponse:
        """List the reports, and the environments whose logs are read."""
        return compliance_pb2.ListReportKindsResponse(
            kinds=[_kind_message(kind) for kind in sorted(ReportKind)],
            environments=self._reports.environments,
        )

    async def GenerateReport(
        self, request: compliance_pb2.GenerateReportRequest, context: ServicerContext
    ) -> AsyncIterator[compliance_pb2.GenerateReportResponse]:
        """Make a report, and stream it."""
        made = self._reports.generate(
            request.kind, dict(request.query), despite_findings=request.despite_findings
        )
        async with contextlib.aclosing(made):
            async for each in made:
                yield _response(each)


def _kind_message(kind: ReportKind) -> compliance_pb2.ReportKind:
    required = {ReportKind.DOSSIER: ["promotion"], ReportKind.AT: ["at", "reference"]}.get(kind, [])
    optional = ["environments", *(["from", "to"] if kind in OF_A_PERIOD else [])]
    return compliance_pb2.ReportKind(name=str(kind), required=required, optional=optional)


def _response(each: Progress | Part) -> compliance_pb2.GenerateReportResponse:
    if isinstance(each, Progress):
        progress = compliance_pb2.ReportProgress(
            stage=each.stage,
            environment=each.environment,
            done_entries=each.done,
            total_entries=each.total,
        )
        return compliance_pb2.GenerateReportResponse(progress=progress)
    part = compliance_pb2.ReportPart(data=each.data, total_bytes=each.total_bytes)
    return compliance_pb2.GenerateReportResponse(part=part)
