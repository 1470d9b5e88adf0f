"""PullBlobs: the target fetches a bundle's blobs from the source itself.

The source is dialled where this environment's own trust document says that it is, and as the server that it
says; the carrier names neither. Only files of the promotion's manifest are fetched.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.bundle.manifest import parse_manifest
from carnet.client.connection import RegistryConnection
from carnet.errors import InvalidInputError
from carnet_server.access.authorize import require_acting
from carnet_server.admission import queries
from carnet_server.admission.signers import known_peer
from carnet_server.admission.states import check_open
from carnet_server.admission.view import require_known, unknown_promotion
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.fetch import FetchProgress, fetch_into_store

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from carnet.client.channel import TlsIdentity
    from carnet_server.access.identity import Caller
    from carnet_server.access.trust import Peer
    from carnet_server.admission.domain import Admission
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.blobs.service import BlobsService
    from carnet_server.log.transaction import Transaction

PACE_SECONDS = 0.2


def connect_to_peer(peer: Peer, identity: TlsIdentity) -> RegistryConnection:
    """Open a connection to a peer's registry, as this environment's own."""
    return RegistryConnection(
        peer.endpoint, server_name=peer.server_name, identity=identity, environment=peer.environment
    )


async def pull_blobs(
    parts: AdmissionParts,
    blobs_service: BlobsService,
    connect: Callable[[Peer, TlsIdentity], RegistryConnection],
    caller: Caller,
    promotion: str,
    *,
    blobs: Sequence[Blob],
    capability: bytes,
    epoch: int,
) -> AsyncGenerator[FetchProgress]:
    """Fetch blobs of a promotion's bundle from its source.

    Args:
        parts: The registry's parts.
        blobs_service: Where the blobs go.
        connect: Opens the connection to a peer.
        caller: The promotion service.
        promotion: The promotion's id.
        blobs: The blobs; those that are here already are passed over.
        capability: The source's right to read them.
        epoch: The worker's fencing epoch.

    Yields:
        How far it is, a few times a second, and once at the end.

    Raises:
        NotFoundError: The promotion is not known here.
        PermissionDeniedError: The caller may not promote there, or the source refuses the capability.
        IllegalTransitionError: The promotion has ended.
        StaleEpochError: Another worker took the promotion over.
        InvalidInputError: A blob is no file of the bundle.
        DigestMismatchError: What came is not what was asked for.
        StorageFullError: There is no room here.
        UnavailableError: The source cannot be reached.
    """
    admission = await parts.writer.commit(lambda tx: _fence(tx, parts.state.name, promotion, caller, epoch))
    _check_files(admission, blobs)
    peer = known_peer(parts.state.trust.current, admission.source, admission.namespace)
    latest: list[FetchProgress] = []

    def note(progress: FetchProgress) -> None:
        latest[:] = [progress]

    async with connect(peer, parts.state.identity) as connection:
        fetching = asyncio.create_task(
            fetch_into_store(
                connection,
                admission.namespace,
                blobs,
                blobs_service,
                capability=capability,
                progress=note,
            )
        )
        try:
            while not fetching.done():
                await asyncio.wait({fetching}, timeout=PACE_SECONDS)
                if latest:
                    yield latest.pop()
            await fetching
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)


def _fence(tx: Transaction, environment: str, promotion: str, caller: Caller, epoch: int) -> Admission:
    """Note the worker's epoch, and refuse one whose is over."""
    admission = queries.read_admission(tx.connection, promotion)
    if admission is None:
        raise unknown_promotion(environment, promotion)
    require_known(caller, admission, environment=environment)
    require_acting(caller, "promoter", namespace=admission.namespace)
    check_open(promotion, admission.state)
    admission.check_epoch(epoch)
    if epoch > admission.epoch:
        queries.update_admission(tx.connection, replace(admission, epoch=epoch))
    return admission


def _check_files(admission: Admission, blobs: Sequence[Blob]) -> None:
    files = {Blob(file.digest, file.size_bytes) for file in parse_manifest(admission.manifest).files}
    for blob in blobs:
        if blob not in files:
            raise InvalidInputError(
                f"blobs: {blob.digest} of {blob.size_bytes} bytes is no file of {admission.subject_name}",
                metadata={"field": "blobs"},
            )
