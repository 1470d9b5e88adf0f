"""BlobService over gRPC.

Registered by `add_blob_service` instead of the generated function, because the two streams have serializers
of their own: payload bytes are not copied into and out of message objects.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

from carnet.canonical import check_digest
from carnet.client.blob_codec import decode_chunk, encode_read_response
from carnet.errors import DeadlineExceededError, InvalidInputError
from carnet.references import parse_resource_name
from carnet.registry.v1 import blobs_pb2, blobs_pb2_grpc
from carnet_server.access.scope import current_caller
from carnet_server.blobs.domain import Blob, Piece, check_blob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from carnet.client.blob_codec import Chunk
    from carnet.serving.call_scope import ServicerContext
    from carnet_server.blobs.service import BlobsService

IDLE_SECONDS = 60.0
_SERVICE_NAME = blobs_pb2.DESCRIPTOR.services_by_name["BlobService"].full_name


class BlobServicer(blobs_pb2_grpc.BlobServiceServicer):
    """Answers BlobService's calls.

    Args:
        blobs: The use cases.
        idle_seconds: How long a write waits for its next message.
    """

    def __init__(self, blobs: BlobsService, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._blobs = blobs
        self._idle_seconds = idle_seconds

    async def FindMissingBlobs(
        self, request: blobs_pb2.FindMissingBlobsRequest, context: ServicerContext
    ) -> blobs_pb2.FindMissingBlobsResponse:
        """Tell which blobs the namespace has not been given."""
        blobs = [_blob(blob, field="blobs") for blob in request.blobs]
        missing = await self._blobs.find_missing(_namespace(request.parent), blobs)
        return blobs_pb2.FindMissingBlobsResponse(missing=_refs(missing))

    async def BatchWriteBlobs(
        self, request: blobs_pb2.BatchWriteBlobsRequest, context: ServicerContext
    ) -> blobs_pb2.BatchWriteBlobsResponse:
        """Write small blobs whole."""
        contents = [(check_digest(each.digest, field="blobs.digest"), each.data) for each in request.blobs]
        written = await self._blobs.write_small(_namespace(request.parent), contents)
        return blobs_pb2.BatchWriteBlobsResponse(written=_refs(written))

    async def WriteBlob(  # type: ignore[override]  # `decode_chunk` makes its messages
        self, request_iterator: AsyncIterator[Chunk], context: ServicerContext
    ) -> blobs_pb2.WriteBlobResponse:
        """Write one blob as a stream."""
        messages = aiter(request_iterator)
        first = await self._next(messages)
        if first is None or first.first is None:
            raise InvalidInputError(
                "the first message of a write must have parent and blob", metadata={"field": "parent"}
            )
        namespace = _namespace(first.first.parent)
        blob = check_blob(first.first.digest, first.first.size_bytes, field="blob")
        async with self._blobs.open_upload(namespace, blob, offset=first.offset) as upload:
            chunk: Chunk | None = None if upload.complete else first
            while chunk is not None:
                await upload.append(chunk.offset, chunk.data)
                chunk = await self._next(messages)
                if chunk is not None and chunk.first is not None:
                    raise InvalidInputError(
                        "only the first message of a write has parent and blob", metadata={"field": "parent"}
                    )
            await upload.finish()
        return blobs_pb2.WriteBlobResponse(blob=_refs([blob])[0])

    async def GetUpload(
        self, request: blobs_pb2.GetUploadRequest, context: ServicerContext
    ) -> blobs_pb2.GetUploadResponse:
        """Tell where the upload of a blob stands."""
        blob = _blob(request.blob, field="blob")
        state = await self._blobs.upload_state(_namespace(request.parent), blob)
        return blobs_pb2.GetUploadResponse(committed_bytes=state.committed_bytes, complete=state.complete)

    async def BatchReadBlobs(
        self, request: blobs_pb2.BatchReadBlobsRequest, context: ServicerContext
    ) -> blobs_pb2.BatchReadBlobsResponse:
        """Read small blobs whole."""
        digests = [check_digest(digest, field="digests") for digest in request.digests]
        contents = await self._blobs.read_small(
            current_caller(), _namespace(request.parent), digests, capability=request.capability
        )
        return blobs_pb2.BatchReadBlobsResponse(
            blobs=[blobs_pb2.BlobContent(digest=digest, data=data) for digest, data in contents]
        )

    def ReadBlob(  # type: ignore[override]  # `encode_read_response` takes its answers
        self, request: blobs_pb2.ReadBlobRequest, context: ServicerContext
    ) -> AsyncIterator[Piece]:
        """Read one blob, or a range of it, as a stream."""
        return self._blobs.read(
            current_caller(),
            _namespace(request.parent),
            check_digest(request.digest, field="digest"),
            offset=request.offset,
            length=request.length,
            capability=request.capability,
        )

    async def _next(self, messages: AsyncIterator[Chunk]) -> Chunk | None:
        try:
            async with asyncio.timeout(self._idle_seconds):
                return await anext(messages, None)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the write brought nothing for {self._idle_seconds:g} s and was ended; what was written is "
                "kept: go on from there"
            ) from error


def add_blob_service(servicer: BlobServicer, server: grpc.aio.Server) -> None:
    """Register the service with a server.

    Args:
        servicer: The servicer.
        server: The server.
    """
    messages: dict[str, tuple[Any, Any]] = {
        method.name: (
            getattr(blobs_pb2, method.input_type.name).FromString,
            getattr(blobs_pb2, method.output_type.name).SerializeToString,
        )
        for method in blobs_pb2.DESCRIPTOR.services_by_name["BlobService"].methods
    }
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(getattr(servicer, name), *messages[name])
        for name in messages.keys() - {"WriteBlob", "ReadBlob"}
    }
    handlers["WriteBlob"] = grpc.stream_unary_rpc_method_handler(
        servicer.WriteBlob, decode_chunk, messages["WriteBlob"][1]
    )
    handlers["ReadBlob"] = grpc.unary_stream_rpc_method_handler(
        servicer.ReadBlob, messages["ReadBlob"][0], _encode_piece
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE_NAME, handlers),))


def _encode_piece(piece: Piece) -> bytes:
    return encode_read_response(piece.offset, piece.data)


def _namespace(parent: str) -> str:
    return parse_resource_name(parent, field="parent", want="namespace").namespace


def _blob(ref: blobs_pb2.BlobRef, *, field: str) -> Blob:
    return check_blob(ref.digest, ref.size_bytes, field=field)


def _refs(blobs: Iterable[Blob]) -> list[blobs_pb2.BlobRef]:
    return [blobs_pb2.BlobRef(digest=blob.digest, size_bytes=blob.size_bytes) for blob in blobs]
