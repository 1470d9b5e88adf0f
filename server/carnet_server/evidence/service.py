"""Adding evidence and listing it.

Whoever brings an attestation is not believed about it: its signature is verified and its signer looked up in
the trust document. An ordinary caller's attestation must count, or it is refused; the promotion service
brings all that another environment holds, and what does not count here is kept for completeness.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.canonical import check_digest
from carnet.errors import MessageTooLargeError, NotFoundError
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet.signing.dsse import MAX_ENVELOPE_BYTES
from carnet.signing.evidence_content import require_evidence
from carnet_server.evidence import queries
from carnet_server.evidence.adding import add_evidence
from carnet_server.evidence.assessment import assess, check_subject, require_trusted
from carnet_server.evidence.believed import as_of_today
from carnet_server.evidence.domain import Addition
from carnet_server.models.queries import read_listed_version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.evidence.assessment import Assessment
    from carnet_server.evidence.domain import Evidence
    from carnet_server.log.service import LogService
    from carnet_server.log.writer import Writer

CARRIER_ROLE = "promoter"
PAGE_BYTES = 2 << 20


class EvidenceService:
    """Adds and lists evidence.

    Args:
        database: The environment's database.
        writer: Its writer.
        log: Its log.
        state: Its keys and trust document.
    """

    def __init__(self, database: Database, writer: Writer, log: LogService, state: EnvironmentState) -> None:
        self._database = database
        self._writer = writer
        self._log = log
        self._state = state

    async def add(self, caller: Caller, name: ResourceName, envelope: bytes) -> Addition:
        """Add an attestation.

        Args:
            caller: Who brings it.
            name: The version that it is about, whether that is here or not.
            envelope: The DSSE envelope's bytes.

        Returns:
            What is held now, with the receipt of its entry; an attestation that is held already changes
            nothing.

        Raises:
            MessageTooLargeError: The envelope is over 1 MiB.
            SignatureInvalidError: It is malformed, or a known key's signature is bad.
            StatementInvalidError: It says nothing about that version, is malformed, breaks the schema of its
                predicate type, or is part of a promotion and no evidence.
            KeyUntrustedError: Its signer does not count here, and the caller is not the promotion service.
        """
        assessment = await asyncio.to_thread(self._verify, caller, name, envelope)
        evidence, is_new = await self._writer.commit(
            lambda tx: add_evidence(tx, name, assessment, envelope, actor=caller.actor)
        )
        receipt = await self._log.receipt_of_change(evidence.log_index)
        now = replace(
            evidence,
            signer=assessment.signer.subject,
            signer_key_id=assessment.signer.key_id,
            trusted=assessment.trusted,
        )
        return Addition(now, already_held=not is_new, receipt=receipt)

    async def list_page(
        self, name: ResourceName, bundle_digest: str, *, page_size: int, page_token: str
    ) -> tuple[list[Evidence], str]:
        """List what is held about a bundle, the oldest first.

        Args:
            name: The version.
            bundle_digest: The bundle; empty for the one that the version is here.
            page_size: How many at most; 0 for the default. A page ends at 2 MiB too.
            page_token: The token of the page before; empty for the first.

        Returns:
            The evidence, assessed under today's trust, and the token of the next page; empty at the end.

        Raises:
            InvalidInputError: The digest, the size or the token is malformed.
            NotFoundError: No bundle was named, and the version is not here.
            DataLossError: A stored envelope is damaged.
        """
        if bundle_digest:
            check_digest(bundle_digest, field="bundle_digest")
        query = f"evidence {name} {bundle_digest}"
        position = decode_page_token(page_token, query, int, str)
        after = (position[0], position[1]) if position else (-1, "")
        limit = page_limit(page_size)

        def read(connection: Connection) -> tuple[list[Evidence], bool]:
            wanted = bundle_digest or _digest_of(connection, name)
            page, more = queries.list_evidence(
                connection, name.namespace, wanted, after=after, limit=limit, max_bytes=PAGE_BYTES
            )
            return [self._today(evidence) for evidence in page], more

        page, more = await self._database.read(read)
        if not more:
            return page, ""
        return page, encode_page_token(query, (page[-1].log_index, page[-1].digest))

    def _verify(self, caller: Caller, name: ResourceName, envelope: bytes) -> Assessment:
        if len(envelope) > MAX_ENVELOPE_BYTES:
            raise MessageTooLargeError(
                f"envelope: {len(envelope)} bytes; an attestation has {MAX_ENVELOPE_BYTES} at most",
                metadata={"field": "envelope"},
            )
        found = assess(
            envelope,
            namespace=name.namespace,
            trust=self._state.trust.current,
            own_key=self._state.signing_key.verification_key,
            at=datetime.now(UTC),
        )
        check_subject(found, name)
        if CARRIER_ROLE not in caller.trust.acting_roles(caller.subject, name.namespace):
            require_evidence(found.predicate_type)
            require_trusted(found)
        return found

    def _today(self, evidence: Evidence) -> Evidence:
        return as_of_today(
            evidence,
            trust=self._state.trust.current,
            own_key=self._state.signing_key.verification_key,
        )


def _digest_of(connection: Connection, name: ResourceName) -> str:
    version = read_listed_version(connection, name.namespace, name.model, name.version)
    if version is None:
        raise NotFoundError(
            f"there is no version {name.version} of {name.namespace}/{name.model} here; name a bundle_digest "
            "to list what is held about a bundle that is not here"
        )
    return version.bundle_digest
