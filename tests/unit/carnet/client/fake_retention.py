"""Purges and holds in memory for ``fake_environment``: what is archived goes unless it is held."""

# ruff: noqa: N802  the contract's names

from __future__ import annotations

from datetime import UTC, datetime

from carnet.references import parse_resource_name
from carnet.registry.v1 import models_pb2, retention_pb2, retention_pb2_grpc
from carnet.translog.entry import EntryType


class FakeRetention(retention_pb2_grpc.RetentionServiceServicer):
    """Purges and holds; ``here`` is a ``FakeEnvironment``."""

    def __init__(self, environment) -> None:
        self.here = environment
        self.holds = []
        self.erased = {}

    def PurgeVersions(self, request, context):
        answer = retention_pb2.PurgeVersionsResponse()
        held = {each.name for each in self.holds}
        for found in self.here.versions.values():
            message = self.here.version_message(found)
            if found.stage != models_pb2.STAGE_ARCHIVED or message.name in request.excluded:
                continue
            kept = message.name in held
            told = answer.versions.add(
                name=message.name,
                bundle_digest=message.bundle_digest,
                purged=not kept,
                why="it is held" if kept else "old",
                freed_bytes=0 if kept else 3 << 20,
            )
            if not kept and not request.validate_only:
                index = self.here.log.append(
                    EntryType.VERSION_PURGED,
                    _subject(message.name) | {"bundle_digest": message.bundle_digest},
                    old="archived",
                    new="purged",
                )
                found.purged = (datetime.now(UTC), index)
                told.receipt.CopyFrom(self.here.log.receipt(index))
        return answer

    def PlaceHold(self, request, context):
        number = len(self.holds) + 1
        index = self.here.log.append(EntryType.HOLD_PLACED, _subject(request.name) | {"hold": number})
        hold = retention_pb2.Hold(
            hold=number,
            name=request.name,
            reason=request.reason,
            actor="spiffe://carnet.internal/person/erin",
            log_index=index,
        )
        hold.create_time.GetCurrentTime()
        if request.HasField("expire_time"):
            hold.expire_time.CopyFrom(request.expire_time)
        self.holds.append(hold)
        return retention_pb2.PlaceHoldResponse(hold=hold, receipt=self.here.log.receipt(index))

    def ReleaseHold(self, request, context):
        (hold,) = (each for each in self.holds if each.hold == request.hold)
        self.holds.remove(hold)
        index = self.here.log.append(EntryType.HOLD_RELEASED, _subject(hold.name) | {"hold": hold.hold})
        hold.release_time.GetCurrentTime()
        return retention_pb2.ReleaseHoldResponse(hold=hold, receipt=self.here.log.receipt(index))

    def ListHolds(self, request, context):
        return retention_pb2.ListHoldsResponse(holds=reversed(self.holds))

    def EraseDocument(self, request, context):
        before = self.erased.get(request.digest)
        index = before
        if index is None:
            self.here.log.documents.pop(request.digest)
            index = self.here.log.append(
                EntryType.DOCUMENT_ERASED, {"document": request.digest}, new=request.reason_code
            )
            self.erased[request.digest] = index
        return retention_pb2.EraseDocumentResponse(
            digest=request.digest, erased_before=before is not None, receipt=self.here.log.receipt(index)
        )

    def GetHygiene(self, request, context):
        answer = retention_pb2.GetHygieneResponse()
        if request.stale_days > 90:
            return answer
        answer.findings.add(
            kind=retention_pb2.HYGIENE_KIND_DUPLICATE,
            subject="d" * 64,
            message="5 models have the same model file",
            remedy="keep one",
            related=[f"namespaces/risk/models/m{number}" for number in range(5)],
            size_bytes=2048,
        )
        answer.storage.add(
            namespace="risk",
            size_bytes=512,
            blob_count=3,
            model_count=5,
            version_count=7,
            quota_bytes=1024,
        )
        answer.truncated = True
        return answer


def _subject(value):
    name = parse_resource_name(value, field="name", want="version or model")
    subject = {"namespace": name.namespace, "model": name.model}
    return subject | ({"version": name.version} if name.version else {})
