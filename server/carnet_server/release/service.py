"""The use cases of a source: stating what it holds, granting reads, and recording where bundles went.

A release statement is signed afresh for each promotion and says everything: all evidence, trusted here or
not, and whether the version is revoked. It holds at its log size or later, never earlier, so that nothing
that was committed before it can be left out of it.

That a version is on its way is noted in a change that makes sure that its files are kept, so that whoever
purges sees it, or is seen (``carnet_server.retention.kept``).
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.errors import NotFoundError, PermissionDeniedError
from carnet.signing.capability import Capability
from carnet.signing.release import Release
from carnet_server.access.authorize import require_acting
from carnet_server.admission.domain import check_promotion
from carnet_server.admission.signers import known_peer
from carnet_server.models.domain import require_files
from carnet_server.models.queries import read_blobs, read_version
from carnet_server.release.capability import VALID_FOR
from carnet_server.release.domain import SignedCapability, SignedRelease
from carnet_server.release.queries import note_release
from carnet_server.release.record import record_admission
from carnet_server.stamps.gathering import gather_stamps
from carnet_server.stamps.service import complete_stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from carnet.references import ResourceName
    from carnet.signing.dsse import Envelope
    from carnet.signing.predicate import Predicate
    from carnet.translog.receipt import Receipt
    from carnet_server.access.identity import Caller
    from carnet_server.database.engine import Database
    from carnet_server.environment.state import EnvironmentState
    from carnet_server.log.service import LogService
    from carnet_server.log.transaction import Transaction
    from carnet_server.log.writer import Writer
    from carnet_server.models.domain import Version

logger = logging.getLogger(__name__)


class ReleaseService:
    """What this environment does about versions that leave it.

    Args:
        state: The environment.
        database: Where to read.
        writer: Where to write.
        log: For receipts.
        clock: Tells the time.
    """

    def __init__(
        self,
        state: EnvironmentState,
        database: Database,
        writer: Writer,
        log: LogService,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._database = database
        self._writer = writer
        self._log = log
        self._clock = clock

    async def create_release(
        self, caller: Caller, name: ResourceName, *, promotion: str, target: str
    ) -> SignedRelease:
        """Sign a fresh release statement, and note that the version is on its way.

        Args:
            caller: The promotion service.
            name: The version.
            promotion: The promotion's id.
            target: The environment that it is for.

        Returns:
            The statement, the receipt of the version's arrival here, and the stamps that the statement names:
            none where they are not whole.

        Raises:
            PermissionDeniedError: The caller may not promote in that namespace.
            NotFoundError: The version is not here.
            PurgedError: The version's files were purged.
            KeyUntrustedError: The target is no peer.
            InvalidInputError: The promotion's id is malformed.
        """
        require_acting(caller, "promoter", namespace=name.namespace)
        peer = known_peer(self._state.trust.current, target, name.namespace)
        check_promotion(promotion, field="promotion")
        await self._note(name, promotion, peer.environment)
        complete = await complete_stamps(
            self._database,
            self._log,
            lambda connection: gather_stamps(connection, self._version(connection, name)),
        )
        if not complete.whole:
            logger.warning("%s leaves without its stamps: %s", name, complete.gathered.gap)
        version = complete.gathered.version
        release = Release(
            promotion=promotion,
            environment=self._state.name,
            target=peer.environment,
            namespace=name.namespace,
            model=name.model,
            version=name.version,
            evidence=complete.gathered.evidence,
            revoked=version.revoked,
            log_origin=self._log.origin,
            log_size=complete.log_size,
            issued_at=self._clock(),
            stamps=complete.digests if complete.whole else (),
        )
        signed = await self._sign(release, version)
        return SignedRelease(signed.to_bytes(), complete.arrival, complete.stamps if complete.whole else ())

    async def create_read_capability(
        self,
        caller: Caller,
        name: ResourceName,
        *,
        promotion: str,
        target: str,
        digests: Sequence[str],
    ) -> SignedCapability:
        """Sign a peer's right to read blobs of a version for a quarter of an hour, and note where it goes.

        Args:
            caller: The promotion service.
            name: The version.
            promotion: The promotion's id.
            target: The environment that may read.
            digests: The blobs, each one of the version's files.

        Raises:
            PermissionDeniedError: The caller may not promote in that namespace, or a blob is no file of the
                version.
            NotFoundError: The version is not here.
            PurgedError: Its files were purged.
            KeyUntrustedError: The target is no peer.
            InvalidInputError: The promotion's id or a digest is malformed.
        """
        require_acting(caller, "promoter", namespace=name.namespace)
        peer = known_peer(self._state.trust.current, target, name.namespace)
        check_promotion(promotion, field="promotion")

        def query(connection: Connection) -> tuple[Version, set[str]]:
            version = require_files(self._version(connection, name))
            blobs = read_blobs(connection, name.namespace, name.model, name.version)
            return version, {blob.digest for blob in blobs}

        version, files = await self._database.read(query)
        beyond = sorted(set(digests) - files)
        if beyond:
            raise PermissionDeniedError(
                f"blob {beyond[0][:64]} is no file of {name}: a capability is for a version's own files",
                metadata={"field": "digests"},
            )
        await self._note(name, promotion, peer.environment)
        expires_at = self._clock() + VALID_FOR
        capability = Capability(
            promotion=promotion,
            environment=self._state.name,
            holder=peer.subject,
            namespace=name.namespace,
            digests=tuple(sorted(set(digests))),
            expires_at=expires_at,
        )
        signed = await self._sign(capability, version)
        return SignedCapability(signed.to_bytes(), expires_at)

    async def record_admission(
        self, caller: Caller, name: ResourceName, *, decision: bytes, target_receipt: Receipt
    ) -> Receipt:
        """Write into this log that a target admitted a version; the same promotion is recorded once.

        Args:
            caller: The promotion service.
            name: The version.
            decision: The target's signed decision.
            target_receipt: The target's receipt for the admission.

        Returns:
            The receipt of the entry here.

        Raises:
            PermissionDeniedError: The caller may not promote in that namespace.
            NotFoundError: The version is not here.
            SignatureInvalidError: The decision is malformed or does not verify.
            KeyUntrustedError: The decision or the receipt is not signed by the target.
            StatementInvalidError: They do not say that this version was admitted.
            ProofInvalidError: The receipt does not hold.
            AlreadyExistsError: The promotion is recorded with another target or decision.
        """
        require_acting(caller, "promoter", namespace=name.namespace)
        version = await self._database.read(lambda connection: self._version(connection, name))
        index = await record_admission(
            self._writer, self._state, caller, version, decision=decision, target_receipt=target_receipt
        )
        return await self._log.receipt_of_change(index)

    async def _note(self, name: ResourceName, promotion: str, target: str) -> Version:
        """Note that a version is on its way, if its files are kept."""

        def change(tx: Transaction) -> Version:
            version = require_files(self._version(tx.connection, name))
            note_release(tx.connection, version, promotion=promotion, target=target, now=tx.now)
            return version

        return await self._writer.commit(change)

    async def _sign(self, predicate: Predicate, version: Version) -> Envelope:
        """Sign in a thread, since a key in a KMS does so over the network."""
        return await asyncio.to_thread(
            predicate.sign, _subject_name(version), version.bundle_digest, self._state.signing_key
        )

    def _version(self, connection: Connection, name: ResourceName) -> Version:
        version = read_version(connection, name.namespace, name.model, name.version)
        if version is None:
            raise NotFoundError(f"{self._state.name} has no {name}", metadata={"name": str(name)})
        return version


def _subject_name(version: Version) -> str:
    return f"{version.home}/{version.namespace}/{version.model}@{version.version}"
