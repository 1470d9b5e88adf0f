"""Attaching evidence to versions, and reading what is held.

Responsible for signing the statement that a test run's, a scan's or a review's file makes, for handing over
what others signed, and for checking every attestation that a registry hands out before it is shown. What such
files say is read in ``carnet.attesting``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carnet.attesting.envelopes import read_envelopes
from carnet.attesting.report import Report
from carnet.attesting.statement import Options, make_statement
from carnet.client.models import Models, version_resource
from carnet.client.paging import all_pages
from carnet.client.results import AttestResult
from carnet.client.verification import checked_evidence, checked_receipt
from carnet.documents import read_file
from carnet.errors import IntegrityError
from carnet.registry.v1 import evidence_pb2
from carnet.signing.statement import sign_statement
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.attesting.sarif import FailOn
    from carnet.client.results import Evidence, ResolvedVersion
    from carnet.references import Reference
    from carnet.signing.statement import Statement


class EvidenceOperations(Models):
    """Operations on evidence."""

    async def attest(
        self,
        reference: str | Reference,
        content: str | Path | Mapping[str, Any],
        *,
        kind: str | None = None,
        suite: str | None = None,
        result: str | None = None,
        fail_on: FailOn | None = None,
    ) -> AttestResult:
        """Sign an attestation about a version with this identity's key, and hand it to the registry.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``; the registry of ``ENV`` gets it.
            content: The file's path, or a JSON document as a mapping. For a test result: ``suite``,
                ``result``, ``metrics`` (each with ``name``, ``value``, ``direction``), ``passed_tests``,
                ``failed_tests``, ``warned_tests``, ``configuration``, ``url``, ``finished_at``; or the
                fields of the in-toto predicate itself. For a predicate type's URI: the predicate.
            kind: ``test-result``, ``junit``, ``pytest``, ``sarif``, ``fairness``, ``pii-review``,
                ``smoke-test``, ``skew``, or the URI of a predicate type; None for what the file is recognised
                as.
            suite: The suite that was run, where the document does not say.
            result: ``PASSED``, ``WARNED`` or ``FAILED``, where a test result's document does not say.
            fail_on: The level of SARIF at and above which a finding makes a scan fail; ``error`` if None.

        Returns:
            What the registry holds now, with the verified receipt.

        Raises:
            FileUnreadableError: The file, or this identity's signing key, cannot be read.
            DocumentInvalidError: The document is not one of that kind; the message has line and column, or
                names the field.
            KeyUntrustedError: The registry does not trust this identity for that kind of statement.
            CarnetError: The call failed; the class says how.
        """
        resolved, statement = await self._statement(
            reference, content, kind=kind, options=Options(suite, result, fail_on)
        )
        signer = await self._signer(resolved.reference.environment)
        envelope = await asyncio.to_thread(sign_statement, statement, signer)
        return await self._add_evidence(resolved.reference, resolved.bundle_digest, envelope.to_bytes())

    async def draft_statement(
        self,
        reference: str | Reference,
        content: str | Path | Mapping[str, Any],
        *,
        kind: str | None = None,
        suite: str | None = None,
        result: str | None = None,
        fail_on: FailOn | None = None,
    ) -> dict[str, Any]:
        """Return the statement that ``attest`` would sign, and sign and send nothing.

        The arguments and errors are those of ``attest``.

        Returns:
            The in-toto statement, as a JSON object.
        """
        _, statement = await self._statement(
            reference, content, kind=kind, options=Options(suite, result, fail_on)
        )
        return statement.to_json()

    async def attest_signed(self, reference: str | Reference, path: str | Path) -> tuple[AttestResult, ...]:
        """Hand over attestations that somebody else signed, as they are.

        All of them are read, and must be about the version, before the first is handed over.

        Args:
            reference: ``ENV/NAMESPACE/MODEL@VERSION`` or ``@ALIAS``; the registry of ``ENV`` gets them.
            path: A file with one DSSE envelope, or with one on each line (``.intoto.jsonl``).

        Returns:
            What the registry holds now of each, in the file's order.

        Raises:
            FileUnreadableError: The file cannot be read.
            DocumentInvalidError: It has something else than envelopes; the message has the line.
            StatementInvalidError: One is about another bundle, or malformed.
            KeyUntrustedError: The registry does not trust a signer for that kind of statement; those before
                it are held.
            CarnetError: The call failed; the class says how.
        """
        resolved = await self.resolve(reference)
        report = Report(await asyncio.to_thread(read_file, Path(path), what="file"), Path(path).name)
        envelopes = await asyncio.to_thread(read_envelopes, report, bundle_digest=resolved.bundle_digest)
        added: list[AttestResult] = []
        for each in envelopes:
            try:
                added.append(
                    await self._add_evidence(
                        resolved.reference, resolved.bundle_digest, each.envelope.to_bytes()
                    )
                )
            except IntegrityError as error:
                raise type(error)(f"{each.where}: {error.message}", metadata=error.metadata) from error
        return tuple(added)

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

    async def _statement(
        self,
        reference: str | Reference,
        content: str | Path | Mapping[str, Any],
        *,
        kind: str | None,
        options: Options,
    ) -> tuple[ResolvedVersion, Statement]:
        resolved = await self.resolve(reference)
        data: bytes | Mapping[str, Any]
        if isinstance(content, str | Path):
            path = Path(content)
            name, data = path.name, await asyncio.to_thread(read_file, path, what="document")
        else:
            name, data = "document", content
        statement = await asyncio.to_thread(
            make_statement,
            data,
            name=name,
            kind=kind,
            options=options,
            subject_name=resolved.manifest.subject_name,
            subject_digest=resolved.bundle_digest,
        )
        return resolved, statement

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
