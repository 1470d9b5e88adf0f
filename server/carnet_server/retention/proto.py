"""Purged versions, holds and hygiene as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.registry.v1 import retention_pb2
from carnet_server.log.proto import receipt_to_proto
from carnet_server.retention.hygiene_rules import HygieneKind

if TYPE_CHECKING:
    from carnet_server.retention.holding import Hold
    from carnet_server.retention.hygiene_rules import Finding, HygieneReport, NamespaceStorage
    from carnet_server.retention.purge_rules import Purged

_KINDS = {
    HygieneKind.ORPHAN: retention_pb2.HYGIENE_KIND_ORPHAN,
    HygieneKind.STALE_ALIAS: retention_pb2.HYGIENE_KIND_STALE_ALIAS,
    HygieneKind.UNOWNED_MODEL: retention_pb2.HYGIENE_KIND_UNOWNED_MODEL,
    HygieneKind.NAME: retention_pb2.HYGIENE_KIND_NAME,
    HygieneKind.DUPLICATE: retention_pb2.HYGIENE_KIND_DUPLICATE,
    HygieneKind.QUOTA: retention_pb2.HYGIENE_KIND_QUOTA,
    HygieneKind.UNREHEARSED_ROLLBACK: retention_pb2.HYGIENE_KIND_UNREHEARSED_ROLLBACK,
}


def purged_to_proto(purged: Purged) -> retention_pb2.PurgedVersion:
    """Return a version that was looked at for purging as the message that carries it."""
    return retention_pb2.PurgedVersion(
        name=purged.version.name,
        bundle_digest=purged.version.bundle_digest,
        purged=purged.purged,
        why=purged.why,
        freed_bytes=purged.freed_bytes,
        receipt=receipt_to_proto(purged.receipt) if purged.receipt else None,
    )


def hold_to_proto(hold: Hold) -> retention_pb2.Hold:
    """Return a hold as the message that carries it."""
    message = retention_pb2.Hold(
        hold=hold.hold,
        name=hold.name,
        reason=hold.note,
        actor=hold.actor,
        releaser=hold.releaser,
        log_index=hold.log_index,
    )
    message.create_time.FromDatetime(hold.created_at)
    if hold.expires_at is not None:
        message.expire_time.FromDatetime(hold.expires_at)
    if hold.released_at is not None:
        message.release_time.FromDatetime(hold.released_at)
    return message


def hygiene_to_proto(report: HygieneReport) -> retention_pb2.GetHygieneResponse:
    """Return what looks neglected as the message that carries it."""
    return retention_pb2.GetHygieneResponse(
        findings=[_finding_to_proto(each) for each in report.findings],
        storage=[_storage_to_proto(each) for each in report.storage],
        truncated=report.truncated,
    )


def _finding_to_proto(finding: Finding) -> retention_pb2.HygieneFinding:
    return retention_pb2.HygieneFinding(
        kind=_KINDS[finding.kind],
        subject=finding.subject,
        message=finding.message,
        remedy=finding.remedy,
        related=finding.related,
        size_bytes=finding.size_bytes,
    )


def _storage_to_proto(storage: NamespaceStorage) -> retention_pb2.NamespaceStorage:
    return retention_pb2.NamespaceStorage(
        namespace=storage.namespace,
        size_bytes=storage.size_bytes,
        blob_count=storage.blob_count,
        model_count=storage.model_count,
        version_count=storage.version_count,
        quota_bytes=storage.quota_bytes,
    )
