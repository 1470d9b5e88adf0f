"""One environment's registry, as the promotion service speaks to it.

Responsible for the calls that carrying needs, with their paging and limits, and for saying in each error of
absence which environment it was (``metadata["environment"]``). Does not decide anything, and does not store.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from carnet.errors import CancelledError, DeadlineExceededError, MessageTooLargeError, UnavailableError
from carnet.references import ResourceName
from carnet.registry.v1 import (
    admission_pb2,
    blobs_pb2,
    environment_pb2,
    evidence_pb2,
    log_pb2,
    models_pb2,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from carnet.client.connection import RegistryConnection

EVIDENCE_PAGE_SIZE = 100
BLOBS_PER_QUESTION = 10_000
ADMIT_DEADLINE_SECONDS = 120.0


@contextlib.contextmanager
def reaching(environment: str) -> Iterator[None]:
    """Note on errors of absence within the block which environment could not be reached.

    Args:
        environment: The environment's name, or several in words.

    Raises:
        UnavailableError: As it came, with ``metadata["environment"]``.
        DeadlineExceededError: As it came, with ``metadata["environment"]``.
        CancelledError: As it came, with ``metadata["environment"]``: the registry stopped under way.
    """
    try:
        yield
    except (UnavailableError, DeadlineExceededError, CancelledError) as error:
        error.metadata.setdefault("environment", environment)
        raise


class Registry:
    """A registry that bundles are carried from or to.

    Every method raises the ``CarnetError`` that the registry answers with.

    Args:
        connection: The connection to it.
    """

    def __init__(self, connection: RegistryConnection) -> None:
        self.connection = connection
        self.environment = connection.environment_name

    async def describe(self, *, deadline_seconds: float) -> environment_pb2.Environment:
        """Ask what the environment says of itself, once, within the deadline."""
        with reaching(self.environment):
            response: environment_pb2.GetEnvironmentResponse = await self.connection.call(
                self.connection.environment.GetEnvironment,
                environment_pb2.GetEnvironmentRequest(),
                deadline_seconds=deadline_seconds,
                idempotent=False,
            )
        return response.environment

    async def version(self, name: str) -> models_pb2.Version:
        """Read a version with its manifest and signature."""
        request = models_pb2.GetVersionRequest(name=name)
        with reaching(self.environment):
            response: models_pb2.GetVersionResponse = await self.connection.call(
                self.connection.models.GetVersion, request
            )
        return response.version

    async def release(self, name: str, promotion: str, target: str) -> admission_pb2.CreateReleaseResponse:
        """Have a fresh release statement signed, and get the receipt of the version's arrival there."""
        request = admission_pb2.CreateReleaseRequest(name=name, promotion=promotion, target=target)
        with reaching(self.environment):
            response: admission_pb2.CreateReleaseResponse = await self.connection.call(
                self.connection.release.CreateRelease, request
            )
        return response

    async def evidence(self, parent: str, bundle_digest: str) -> list[bytes]:
        """Read all envelopes that are held about a bundle, the oldest first.

        A page that outgrows a message is asked for again in smaller parts.
        """
        envelopes: list[bytes] = []
        token, size = "", EVIDENCE_PAGE_SIZE
        while True:
            request = evidence_pb2.ListEvidenceRequest(
                parent=parent, bundle_digest=bundle_digest, page_size=size, page_token=token
            )
            try:
                with reaching(self.environment):
                    answer: evidence_pb2.ListEvidenceResponse = await self.connection.call(
                        self.connection.evidence.ListEvidence, request
                    )
            except MessageTooLargeError:
                if size == 1:
                    raise
                size = max(size // 8, 1)
                continue
            envelopes += [each.envelope for each in answer.evidence]
            token = answer.next_page_token
            if not token:
                return envelopes

    async def add_evidence(self, parent: str, envelope: bytes) -> None:
        """Give the registry an envelope about a version that may not be there yet."""
        request = evidence_pb2.AddEvidenceRequest(parent=parent, envelope=envelope)
        with reaching(self.environment):
            await self.connection.call(self.connection.evidence.AddEvidence, request)

    async def evaluate(
        self, given: admission_pb2.AdmissionInput, *, epoch: int, validate_only: bool = False
    ) -> admission_pb2.Admission:
        """Ask for the policy's answer about a promotion."""
        request = admission_pb2.EvaluateAdmissionRequest(
            input=given, epoch=epoch, validate_only=validate_only
        )
        with reaching(self.environment):
            response: admission_pb2.EvaluateAdmissionResponse = await self.connection.call(
                self.connection.admission.EvaluateAdmission, request
            )
        return response.admission

    async def admission(self, promotion: str) -> admission_pb2.Admission:
        """Read where a promotion stands at the target."""
        request = admission_pb2.GetAdmissionRequest(name=_admission_name(promotion))
        with reaching(self.environment):
            response: admission_pb2.GetAdmissionResponse = await self.connection.call(
                self.connection.admission.GetAdmission, request
            )
        return response.admission

    async def missing_blobs(
        self, namespace: str, blobs: Sequence[blobs_pb2.BlobRef]
    ) -> list[blobs_pb2.BlobRef]:
        """Ask which blobs the namespace has not been given."""
        parent = str(ResourceName(namespace))
        missing: list[blobs_pb2.BlobRef] = []
        for start in range(0, len(blobs), BLOBS_PER_QUESTION):
            request = blobs_pb2.FindMissingBlobsRequest(
                parent=parent, blobs=blobs[start : start + BLOBS_PER_QUESTION]
            )
            with reaching(self.environment):
                response: blobs_pb2.FindMissingBlobsResponse = await self.connection.call(
                    self.connection.blobs.FindMissingBlobs, request
                )
            missing += response.missing
        return missing

    async def read_capability(
        self, name: str, promotion: str, target: str, digests: Sequence[str]
    ) -> admission_pb2.CreateReadCapabilityResponse:
        """Have a short-lived right signed for the target to read blobs of a version."""
        request = admission_pb2.CreateReadCapabilityRequest(
            name=name, promotion=promotion, target=target, digests=digests
        )
        with reaching(self.environment):
            response: admission_pb2.CreateReadCapabilityResponse = await self.connection.call(
                self.connection.release.CreateReadCapability, request
            )
        return response

    async def pull_blobs(
        self, promotion: str, blobs: Sequence[blobs_pb2.BlobRef], *, capability: bytes, epoch: int
    ) -> AsyncIterator[admission_pb2.PullBlobsResponse]:
        """Have the registry fetch blobs from the source, and yield how far it is."""
        request = admission_pb2.PullBlobsRequest(
            name=_admission_name(promotion), blobs=blobs, capability=capability, epoch=epoch
        )
        with reaching(self.environment):
            async for response in self.connection.stream(self.connection.admission.PullBlobs, request):
                yield response

    async def admit(
        self,
        promotion: str,
        *,
        release: bytes,
        evidence: Sequence[bytes],
        stamps: Sequence[bytes],
        epoch: int,
    ) -> admission_pb2.Admission:
        """Have the version admitted; a repeated call answers as the first did."""
        request = admission_pb2.AdmitRequest(
            name=_admission_name(promotion), release=release, evidence=evidence, stamps=stamps, epoch=epoch
        )
        with reaching(self.environment):
            response: admission_pb2.AdmitResponse = await self.connection.call(
                self.connection.admission.Admit, request, deadline_seconds=ADMIT_DEADLINE_SECONDS
            )
        return response.admission

    async def record(self, name: str, decision: bytes, receipt: log_pb2.Receipt) -> None:
        """Write the target's decision and receipt into the source's log."""
        request = admission_pb2.RecordAdmissionRequest(name=name, decision=decision, target_receipt=receipt)
        with reaching(self.environment):
            await self.connection.call(self.connection.release.RecordAdmission, request)

    async def cancel(self, promotion: str, envelope: bytes) -> None:
        """Hand the target a signed cancellation."""
        request = admission_pb2.CancelAdmissionRequest(name=_admission_name(promotion), envelope=envelope)
        with reaching(self.environment):
            await self.connection.call(self.connection.admission.CancelAdmission, request)

    async def entries(self, start_index: int) -> AsyncIterator[log_pb2.LogEntry]:
        """Yield the log's entries from an index on, for as long as the registry stays there."""
        request = log_pb2.WatchEntriesRequest(start_index=start_index)
        with reaching(self.environment):
            async for response in self.connection.stream(self.connection.log.WatchEntries, request):
                for entry in response.entries:
                    yield entry

    async def close(self) -> None:
        """Close the connection."""
        await self.connection.close()


def _admission_name(promotion: str) -> str:
    return f"admissions/{promotion}"
