"""WitnessService over gRPC, as the promotion service answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import PreconditionFailedError
from carnet.registry.v1 import witness_pb2, witness_pb2_grpc
from carnet.translog.witness_request import WitnessRequest, check_witness_request

if TYPE_CHECKING:
    from carnet.serving.call_scope import ServicerContext
    from carnet_sync.witnessing.witness import Witness


class WitnessServicer(witness_pb2_grpc.WitnessServiceServicer):
    """Answers WitnessService's calls; one without a witness says that it has no key for it."""

    def __init__(self, witness: Witness | None) -> None:
        self._witness = witness

    async def AddCheckpoint(
        self, request: witness_pb2.AddCheckpointRequest, context: ServicerContext
    ) -> witness_pb2.AddCheckpointResponse:
        """Cosign a checkpoint; nothing is recorded in a log, since this service has none."""
        asked = WitnessRequest(request.old_size, tuple(request.proof), request.checkpoint)
        check_witness_request(asked)
        return witness_pb2.AddCheckpointResponse(cosignature=await self._present.add_checkpoint(asked))

    async def GetWitnessed(
        self, request: witness_pb2.GetWitnessedRequest, context: ServicerContext
    ) -> witness_pb2.GetWitnessedResponse:
        """Read what was cosigned last."""
        return witness_pb2.GetWitnessedResponse(checkpoint=await self._present.witnessed(request.origin))

    @property
    def _present(self) -> Witness:
        if self._witness is None:
            raise PreconditionFailedError("nothing is cosigned here: `witness` is not set in sync.yaml")
        return self._witness
