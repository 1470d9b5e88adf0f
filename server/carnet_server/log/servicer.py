"""LogService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import PermissionDeniedError, UnavailableError
from carnet.registry.v1 import log_pb2, log_pb2_grpc
from carnet.translog.entry import parse_entry
from carnet_server.access.scope import current_caller
from carnet_server.log.proto import receipt_to_proto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from carnet.serving.call_scope import ServicerContext
    from carnet.translog.receipt import Receipt
    from carnet_server.access.identity import Caller
    from carnet_server.log.service import LogService


class LogServicer(log_pb2_grpc.LogServiceServicer):
    """Answers LogService's calls."""

    def __init__(self, log: LogService) -> None:
        self._log = log

    async def GetCheckpoint(
        self, request: log_pb2.GetCheckpointRequest, context: ServicerContext
    ) -> log_pb2.GetCheckpointResponse:
        """Read the newest signed tree head."""
        return log_pb2.GetCheckpointResponse(
            checkpoint=self._log.cosigned(self._log.checkpoint),
            witnessed_checkpoint=self._log.witnessed(),
        )

    async def ListEntries(
        self, request: log_pb2.ListEntriesRequest, context: ServicerContext
    ) -> log_pb2.ListEntriesResponse:
        """Read entries in order."""
        rows = await self._log.entries(request.start_index, request.page_size)
        return log_pb2.ListEntriesResponse(entries=[_entry(*row) for row in rows])

    async def WatchEntries(
        self, request: log_pb2.WatchEntriesRequest, context: ServicerContext
    ) -> AsyncIterator[log_pb2.WatchEntriesResponse]:
        """Stream entries: what is there, then each as it is committed."""
        subscription = self._log.subscribe()
        position = request.start_index
        try:
            while True:
                if rows := await self._log.entries(position, 0):
                    yield log_pb2.WatchEntriesResponse(entries=[_entry(*row) for row in rows])
                    position = rows[-1][0] + 1
                if position < self._log.size:
                    continue
                async for index, _ in subscription:
                    if index >= position:
                        break
                else:
                    raise UnavailableError("the registry is stopping")
        finally:
            subscription.close()

    async def GetReceipt(
        self, request: log_pb2.GetReceiptRequest, context: ServicerContext
    ) -> log_pb2.GetReceiptResponse:
        """Prove that an entry is in the log."""
        receipt = await self._log.receipt(request.index, witnessed=request.witnessed)
        _require_readable(current_caller(), receipt)
        return log_pb2.GetReceiptResponse(receipt=receipt_to_proto(receipt))

    async def GetConsistencyProof(
        self, request: log_pb2.GetConsistencyProofRequest, context: ServicerContext
    ) -> log_pb2.GetConsistencyProofResponse:
        """Prove that one tree is the beginning of another."""
        size, proof = await self._log.consistency(request.first_size, request.second_size)
        return log_pb2.GetConsistencyProofResponse(second_size=size, proof=proof)

    async def BatchGetDocuments(
        self, request: log_pb2.BatchGetDocumentsRequest, context: ServicerContext
    ) -> log_pb2.BatchGetDocumentsResponse:
        """Read the documents that entries rest on."""
        digests = [check_digest(digest, field="digests") for digest in request.digests]
        found = await self._log.documents(digests)
        return log_pb2.BatchGetDocumentsResponse(
            documents=[
                log_pb2.Document(digest=digest, media_type=media_type, data=data)
                for digest, media_type, data in found
            ]
        )


def _require_readable(caller: Caller, receipt: Receipt) -> None:
    """Insist that a caller may read of what an entry is about; what is about no namespace is everybody's."""
    namespace = str(parse_entry(receipt.entry_bytes).subject.get("namespace", ""))
    if namespace and not caller.roles_in(namespace):
        raise PermissionDeniedError(
            f"{caller.subject} may not read entry {receipt.index}: it is about a namespace in which it has "
            "no role",
            metadata={"subject": caller.subject},
        )


def _entry(index: int, entry: bytes, leaf_hash: bytes) -> log_pb2.LogEntry:
    return log_pb2.LogEntry(index=index, entry=entry, leaf_hash=leaf_hash)
