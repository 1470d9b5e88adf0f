"""Attaching evidence to versions, and reading what is held.

Responsible for making a signed attestation out of a file that a test run wrote, and for checking every
attestation that a registry hands out before it is shown.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carnet.client.attestation import DEFAULT_KIND, make_statement
from carnet.client.models import Models, version_resource
from carnet.client.paging import all_pages
from carnet.client.results import AttestResult
from carnet.client.verification import checked_evidence, checked_receipt
from carnet.documents import read_file
from carnet.registry.v1 import evidence_pb2
from carnet.signing.statement import sign_statement
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.client.results import Evidence
    from carnet.references import Reference


class EvidenceOperations(Models):
    """Operations on evidence."""

    async def attest(
        self,
        reference: str | Reference,
        content: str | Path | Mapping[str, Any],
        *,
        kind: str = DEFAULT_KIND,
        suite: str | None = None,
        result: str | None = None,
    ) -> AttestResult:
        """Sign an attestation about a version with this identity's key, and hand it to the registry.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``; the registry of ``ENV`` gets it.
            content: The JSON document, as a file's path or as a mapping. For a test result: ``suite``,
                ``result``, ``metrics`` (each with ``name``, ``value``, ``direction``), ``passed_tests``,
                ``failed_tests``, ``warned_tests``, ``configuration``, ``url``, ``finished_at``; or the
                fields of the in-toto predicate itself. For other kinds: the predicate.
            kind: ``test-result``, or the URI of a predicate type.
            suite: The suite that was run, where the document does not say.
            result: ``PASSED``, ``WARNED`` or ``FAILED``, where the document does not say.

        Returns:
            What the registry holds now, with the verified receipt.

        Raises:
            FileUnreadableError: The file, or this identity's signing key, cannot be read.
            DocumentInvalidError: The document is not one of that kind; the message names the field.
            KeyUntrustedError: The registry does not trust this identity for that kind of statement.
            CarnetError: The call failed; the class says how.
        """
        resolved = await self.resolve(reference)
        data: bytes | Mapping[str, Any]
        if isinstance(content, str | Path):
            path = Path(content)
            name, data = path.name, await asyncio.to_thread(read_file, path, what="document")
        else:
            name, data = "document", content
        statement = make_statement(
            data,
            name=name,
            kind=kind,
            suite=suite,
            result=result,
            subject_name=resolved.manifest.subject_name,
            subject_digest=resolved.bundle_digest,
        )
        envelope = sign_statement(statement, self._signing_key())
        return await self._add_evidence(resolved.reference, resolved.bundle_digest, envelope.to_bytes())

    async def evidence(self, reference: str | Reference) -> tuple[Evidence, ...]:
        """List the evidence that a registry holds about a version, the oldest first, each checked.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``.

        Raises:
            IntegrityError: An attestation is not what the registry states, or about another bundle.
            CarnetError: The call failed; the class says how.

        Example:
            >>> {each.kind for each in client.evidence("dev/risk/fraud@1")} >= {"decision"}
            True
        """
        resolved = await self.resolve(reference)
        return await self._held_evidence(resolved.reference, resolved.bundle_digest)

    async def _held_evidence(self, reference: Reference, bundle_digest: str) -> tuple[Evidence, ...]:
        """List and check the evidence about a bundle, whether or not its version is there."""
        registry = self._registry(reference.environment)
        request = evidence_pb2.ListEvidenceRequest(
            parent=version_resource(reference), bundle_digest=bundle_digest
        )
        found = await all_pages(registry, registry.evidence.ListEvidence, request, "evidence")
        return tuple(checked_evidence(each, bundle_digest, self.federation) for each in found)

    async def _add_evidence(self, reference: Reference, bundle_digest: str, envelope: bytes) -> AttestResult:
        registry = self._registry(reference.environment)
        answer: evidence_pb2.AddEvidenceResponse = await registry.call(
            registry.evidence.AddEvidence,
            evidence_pb2.AddEvidenceRequest(parent=version_resource(reference), envelope=envelope),
        )
        evidence = checked_evidence(answer.evidence, bundle_digest, self.federation)
        receipt = checked_receipt(
            answer.receipt,
            self.federation.environment(reference.environment),
            types=(EntryType.EVIDENCE_ADDED,),
            subject={"bundle_digest": bundle_digest},
        )
        return AttestResult(evidence=evidence, already_held=answer.already_held, receipt=receipt)
