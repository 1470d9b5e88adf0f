"""Retention: purging the files of archived versions, holding versions, and telling what looks neglected."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.canonical import parse_canonical_json
from carnet.client.messages import hold_of, hygiene_of, name_in_answer
from carnet.client.models import reference_to
from carnet.client.paging import all_pages
from carnet.client.results import ErasureResult, HoldResult, PurgedVersion
from carnet.client.stages import Stages
from carnet.client.verification import checked_receipt
from carnet.errors import NotFoundError, ReferenceInvalidError
from carnet.references import Reference, ResourceName, check_name
from carnet.registry.v1 import log_pb2, retention_pb2
from carnet.translog.entry import EntryType
from carnet.translog.erasure import NOTING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.client.results import Hold, Hygiene


class Retention(Stages):
    """Operations on what is kept."""

    async def purge(
        self, where: str | Reference, *, keep_last: int | None = None, reason: str = "", dry_run: bool = False
    ) -> tuple[PurgedVersion, ...]:
        """Purge the files of archived and revoked versions that the policy lets go, or tell which those are.

        Manifest, signature, evidence and log entries stay. Nothing goes that an alias points at or a rollback
        would lead to, that is held, or that a promotion is about which has not ended: the promotion service
        is asked which those are, and if it cannot be asked, nothing is purged.

        Args:
            where: ``ENV``, ``ENV/NAMESPACE``, ``ENV/NAMESPACE/MODEL``, or one version by its number.
            keep_last: How many archived versions of each model to keep at least; None for what the policy
                says, which is never undercut.
            reason: Why, for people; may be empty for a dry run.
            dry_run: Tells only.

        Returns:
            Every archived or revoked version that was looked at, by namespace, model and number: whether its
            files went, or would go, and why.

        Raises:
            InvalidInputError: Fewer are to be kept than the policy keeps, or the reason is missing.
            NotFoundError: There is no such model or version.
            PreconditionFailedError: The policy lets nothing be purged, or the one version that was named must
                be kept; the message says why.
            CarnetError: The call failed; the class says how.
        """
        environment, parent = _place_of(str(where))
        registry = self._registry(environment)
        request = retention_pb2.PurgeVersionsRequest(
            parent=parent,
            keep_last=keep_last,
            excluded=await self._in_promotions(environment),
            validate_only=dry_run,
            reason=reason,
        )
        found = await all_pages(registry, registry.retention.PurgeVersions, request, "versions")
        return tuple(self._purged(each, environment) for each in found)

    async def place_hold(
        self,
        reference: str | Reference,
        reason: str,
        *,
        expires_at: datetime | None = None,
        request_id: str = "",
    ) -> HoldResult:
        """Hold a version, or a model and all of its versions, so that nothing of it is purged.

        Args:
            reference: ``ENV/NAMESPACE/MODEL`` or ``ENV/NAMESPACE/MODEL@VERSION``; an alias is refused, since
                it may move meanwhile.
            reason: Why, for people, such as the number of a case.
            expires_at: When it ends by itself; None for never.
            request_id: Makes a repeated request the same request, remembered for good; empty for one of its
                own.

        Raises:
            InvalidInputError: The reason is missing, or the time is over.
            NotFoundError: There is no such version or model.
            AlreadyExistsError: The request's id was used for another request.
            CarnetError: The call failed; the class says how.
        """
        wanted = _held(reference)
        registry = self._registry(wanted.environment)
        request = retention_pb2.PlaceHoldRequest(
            name=wanted.resource_name, reason=reason, request_id=request_id or uuid4().hex
        )
        if expires_at is not None:
            request.expire_time.FromDatetime(expires_at)
        answer = await registry.call(registry.retention.PlaceHold, request)
        return self._hold_result(answer.hold, answer.receipt, wanted, EntryType.HOLD_PLACED)

    async def release_hold(self, reference: str | Reference, hold: int, reason: str) -> HoldResult:
        """End a hold; one that was released already stays as it is.

        Args:
            reference: What is held, as it was placed.
            hold: The hold's number.
            reason: Why, for people.

        Raises:
            NotFoundError: There is no such hold on it.
            PreconditionFailedError: It ended by itself before.
            CarnetError: The call failed; the class says how.
        """
        wanted = _held(reference)
        registry = self._registry(wanted.environment)
        answer = await registry.call(
            registry.retention.ReleaseHold,
            retention_pb2.ReleaseHoldRequest(name=wanted.resource_name, hold=hold, reason=reason),
        )
        return self._hold_result(answer.hold, answer.receipt, wanted, EntryType.HOLD_RELEASED)

    async def holds(self, where: str | Reference, *, include_ended: bool = False) -> tuple[Hold, ...]:
        """List holds, the newest first.

        Args:
            where: ``ENV``, ``ENV/NAMESPACE`` or ``ENV/NAMESPACE/MODEL``.
            include_ended: Also those that were released or have ended by themselves.

        Raises:
            CarnetError: The call failed; the class says how.

        Example:
            >>> client.holds("dev")
            ()
        """
        environment, parent = _place_of(str(where), versions=False)
        registry = self._registry(environment)
        request = retention_pb2.ListHoldsRequest(parent=parent, include_ended=include_ended)
        found = await all_pages(registry, registry.retention.ListHolds, request, "holds")
        return tuple(hold_of(each, environment) for each in found)

    async def erase_document(
        self, environment: str, digest: str, reason_code: str, *, note: str = ""
    ) -> ErasureResult:
        """Erase a note, or a person's signed word, of a log: its bytes go for good, and an entry says so.

        Receipts, checkpoints and audits hold as before; what the document said can no longer be shown. Copies
        that others made of it, exports and backups among them, are out of the registry's hands.

        Args:
            environment: Whose log it is.
            digest: The document, as an entry's ``envelope_digest`` names it.
            reason_code: Why, as a code such as ``person-request``; it stands in the entry.
            note: Why, for people; may be empty, and can be erased in turn.

        Raises:
            InvalidInputError: The digest or the code is malformed.
            NotFoundError: There is no such document there.
            MustBeKeptError: It is none that may be erased, or not yet; ``metadata["because"]`` says why.
            CarnetError: The call failed; the class says how.
        """
        registry = self._registry(environment)
        answer = await registry.call(
            registry.retention.EraseDocument,
            retention_pb2.EraseDocumentRequest(digest=digest, reason_code=reason_code, note=note),
        )
        verified = checked_receipt(
            answer.receipt,
            self.federation.environment(environment),
            types=(EntryType.DOCUMENT_ERASED,),
            subject={"document": digest},
            new=None if answer.erased_before else reason_code,
        )
        return ErasureResult(
            environment=environment,
            digest=digest,
            reason_code=verified.entry.new or "",
            erased_before=answer.erased_before,
            receipt=verified,
        )

    async def entry_note(self, environment: str, index: int) -> str:
        """Return the digest of the document with which an entry says why: what erasing it would take.

        Args:
            environment: Whose log it is.
            index: The entry's index.

        Raises:
            NotFoundError: There is no such entry, or it rests on no document.
            CarnetError: The call failed; the class says how.
        """
        registry = self._registry(environment)
        answer = await registry.call(registry.log.GetReceipt, log_pb2.GetReceiptRequest(index=index))
        pinned = self.federation.environment(environment)
        entry = checked_receipt(answer.receipt, pinned, subject={}).entry
        digest = entry.envelope_digest
        if digest is not None and entry.type in NOTING:
            asked = log_pb2.BatchGetDocumentsRequest(digests=[digest])
            found = await registry.call(registry.log.BatchGetDocuments, asked)
            digest = next((_note_of(each.data) for each in found.documents), None)
        if digest is None:
            raise NotFoundError(f"entry {index} of {environment}'s log, {entry.type}, rests on no note")
        return digest

    async def hygiene(self, environment: str, *, namespace: str = "", stale_days: int = 0) -> Hygiene:
        """Tell what looks neglected in an environment, and what its namespaces store.

        Args:
            environment: The environment.
            namespace: One namespace; empty for all that this identity may read.
            stale_days: For how many days an alias must be still to be stale; 0 for 30.

        Raises:
            InvalidInputError: The days are not such a number.
            CarnetError: The call failed; the class says how.

        Example:
            >>> [storage.version_count > 0 for storage in client.hygiene("dev", namespace="risk").storage]
            [True]
        """
        registry = self._registry(environment)
        parent = f"namespaces/{check_name(namespace, field='namespace') if namespace else '-'}"
        request = retention_pb2.GetHygieneRequest(parent=parent, stale_days=stale_days)
        answer = await registry.call(registry.retention.GetHygiene, request)
        return hygiene_of(answer)

    def _purged(self, message: retention_pb2.PurgedVersion, environment: str) -> PurgedVersion:
        name = name_in_answer(message.name, want="version", peer=environment)
        receipt = None
        if message.HasField("receipt"):
            receipt = checked_receipt(
                message.receipt,
                self.federation.environment(environment),
                types=(EntryType.VERSION_PURGED,),
                subject=_subject(name) | {"bundle_digest": message.bundle_digest},
            )
        return PurgedVersion(
            reference=Reference(environment, name.namespace, name.model, version=name.version),
            bundle_digest=message.bundle_digest,
            purged=message.purged,
            why=message.why,
            freed_bytes=message.freed_bytes,
            receipt=receipt,
        )

    def _hold_result(
        self,
        message: retention_pb2.Hold,
        receipt: log_pb2.Receipt,
        wanted: Reference,
        kind: EntryType,
    ) -> HoldResult:
        hold = hold_of(message, wanted.environment)
        name = ResourceName(wanted.namespace, wanted.model, wanted.version)
        verified = checked_receipt(
            receipt,
            self.federation.environment(wanted.environment),
            types=(kind,),
            subject=_subject(name) | {"hold": hold.hold},
        )
        return HoldResult(hold=hold, receipt=verified)


def _note_of(document: bytes) -> str | None:
    """Return the digest of the note that the document of a rollout's entry names; None for none."""
    told = parse_canonical_json(document, what="the entry's document")
    digest = told.get("note_digest") if isinstance(told, dict) else None
    return digest if isinstance(digest, str) else None


def _subject(name: ResourceName) -> dict[str, str | int]:
    subject: dict[str, str | int] = {"namespace": name.namespace, "model": name.model}
    return subject | ({"version": name.version} if name.version else {})


def _held(reference: str | Reference) -> Reference:
    """Return what is to be held: a model, or a version by its number."""
    wanted = reference_to(reference, want="any")
    if wanted.alias:
        raise ReferenceInvalidError(
            f"{wanted}: a hold is on a model or a version: write the version's number, not an alias"
        )
    return wanted


def _place_of(where: str, *, versions: bool = True) -> tuple[str, str]:
    """Return the environment and the resource name of a place; ``namespaces/-`` for all of it."""
    parts = where.split("/")
    if len(parts) == 1:
        return where, "namespaces/-"
    if len(parts) == 2:
        return parts[0], str(ResourceName(check_name(parts[1], field="namespace")))
    wanted = reference_to(where, want="any" if versions else "model")
    if wanted.alias:
        raise ReferenceInvalidError(f"{wanted}: name the version by its number, not by an alias")
    return wanted.environment, wanted.resource_name
