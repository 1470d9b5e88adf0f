"""Seeing what is to be approved, and signing one's word about it.

Responsible for the promise that an approver signs what they saw: the dossier comes from the target itself and
is verified against its pinned key, the evidence that it freezes is fetched and hashed again, the manifest is
read at the source and hashed too. The signature is over the dossier's digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from carnet.canonical import sha256_hex
from carnet.client.evidence import EvidenceOperations
from carnet.client.messages import admission_state_of, name_in_answer, rules_of, time_of
from carnet.client.promotions import Promotions, promotion_resource
from carnet.client.results import Admission, Approval, ApprovalResult, Evidence
from carnet.client.verification import (
    checked_approval_signer,
    checked_decision,
    checked_receipt,
    subject_of,
)
from carnet.errors import (
    CertificateExpiredError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    StatementInvalidError,
    UnauthenticatedError,
    UnavailableError,
)
from carnet.references import Reference
from carnet.registry.v1 import admission_pb2
from carnet.signing import approval as approvals
from carnet.signing.dossier import Dossier
from carnet.signing.dsse import parse_envelope, verify_envelope
from carnet.signing.evidence_set import evidence_set_digest
from carnet.signing.statement import parse_statement
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.bundle.manifest import Manifest
    from carnet.client.federation import PinnedEnvironment
    from carnet.client.results import VerifiedReceipt
    from carnet.signing.approval import Meaning
    from carnet.signing.dsse import Envelope

_UNREADABLE = (NotFoundError, PermissionDeniedError, UnauthenticatedError, UnavailableError)


@dataclass(frozen=True, slots=True)
class _VerifiedDossier:
    dossier: Dossier
    digest: str
    subject_name: str
    bundle_digest: str


class Approvals(EvidenceOperations, Promotions):
    """Operations of approvers."""

    async def admission(self, promotion: str, *, target: str | None = None) -> Admission:
        """Read a promotion at its target, with everything that an approver must see.

        Args:
            promotion: Its id.
            target: The environment that decides; None to ask the promotion service which it is.

        Returns:
            What the target has, with all digests recomputed here.

        Raises:
            NotFoundError: The target has not heard of the promotion.
            IntegrityError: The dossier, the evidence or the manifest is not what is stated.
            CarnetError: The call failed; the class says how.
        """
        name = promotion_resource(promotion).replace("promotions/", "admissions/")
        environment = target or (await self.promotion(promotion)).target
        registry = self._registry(environment)
        answer = await registry.call(
            registry.admission.GetAdmission, admission_pb2.GetAdmissionRequest(name=name)
        )
        return await self._checked_admission(answer.admission, promotion, environment)

    async def approve(
        self,
        promotion: str | Admission,
        reason: str,
        *,
        target: str | None = None,
        meaning: Meaning = "approved",
    ) -> ApprovalResult:
        """Sign an approval with this identity's key, and write it to the target.

        Args:
            promotion: The promotion's id, or the ``Admission`` that was looked at: then exactly its dossier
                is approved, and no newer one.
            reason: Why, in the approver's words.
            target: The environment that decides; None to ask the promotion service which it is.
            meaning: ``approved``, or ``reviewed`` for having looked and no more.

        Returns:
            What the target made of it, with the verified receipt.

        Raises:
            PreconditionFailedError: There is no dossier to approve.
            PermissionDeniedError: This identity is no approver there, or published or requested it.
            IntegrityError: What the target shows is not what is stated; nothing is signed.
            CarnetError: The call failed; the class says how.
        """
        return await self._submit(promotion, reason, meaning, target)

    async def reject(
        self, promotion: str | Admission, reason: str, *, target: str | None = None
    ) -> ApprovalResult:
        """Sign a rejection, and write it to the target; arguments and errors are those of ``approve``."""
        return await self._submit(promotion, reason, "rejected", target)

    async def withdraw(
        self, promotion: str | Admission, reason: str, *, target: str | None = None
    ) -> ApprovalResult:
        """Take back what this identity said before; arguments and errors are those of ``approve``."""
        return await self._submit(promotion, reason, "withdrawn", target)

    async def _submit(
        self, promotion: str | Admission, reason: str, meaning: Meaning, target: str | None
    ) -> ApprovalResult:
        if isinstance(promotion, Admission):
            shown = promotion
        else:
            shown = await self.admission(promotion, target=target)
        return await self._write_word(
            shown,
            await self._sign(shown, reason, meaning),
            kind=EntryType.APPROVAL_RECORDED,
            logged=meaning,
            meaning=meaning,
            reason=reason,
        )

    async def _write_word(
        self,
        shown: Admission,
        envelope: Envelope,
        *,
        kind: EntryType,
        logged: str,
        meaning: str,
        reason: str,
    ) -> ApprovalResult:
        """Write what a person signed to the target, and insist that the target logged exactly that."""
        registry = self._registry(shown.target)
        answer: admission_pb2.SubmitApprovalResponse = await registry.call(
            registry.admission.SubmitApproval,
            admission_pb2.SubmitApprovalRequest(
                name=f"admissions/{shown.promotion}", envelope=envelope.to_bytes()
            ),
        )
        receipt = checked_receipt(
            answer.receipt,
            self.federation.environment(shown.target),
            types=(kind,),
            subject={"promotion": shown.promotion},
            new=logged,
        )
        if receipt.entry.envelope_digest != envelope.digest:
            raise StatementInvalidError(
                f"{shown.target} logged another statement than the one that was signed here"
            )
        return ApprovalResult(
            promotion=shown.promotion,
            target=shown.target,
            meaning=meaning,
            reason=reason,
            dossier_digest=shown.dossier_digest,
            counts=bool(answer.approval.person) and meaning not in {"reviewed", "rejected", "withdrawn"},
            admission_state=admission_state_of(answer.admission.state),
            rules=rules_of(answer.admission.evaluation.results),
            receipt=receipt,
        )

    async def _sign(self, shown: Admission, reason: str, meaning: Meaning) -> Envelope:
        now = datetime.now(UTC)
        dossier = open_dossier(shown, now)
        said = approvals.Approval(
            promotion=shown.promotion,
            dossier_digest=shown.dossier_digest,
            source=dossier.source,
            target=dossier.target,
            policy_digest=dossier.policy_digest,
            evidence_set_digest=dossier.evidence_set_digest,
            meaning=meaning,
            reason=reason,
            signed_at=now,
            expires_at=dossier.expires_at,
            nonce=uuid4().hex,
        )
        return await self._signed(said, shown.dossier_subject, shown.bundle_digest)

    async def _checked_admission(
        self, message: admission_pb2.Admission, promotion: str, environment: str
    ) -> Admission:
        name = name_in_answer(message.version, want="version", peer=environment)
        reference = Reference(message.source, name.namespace, name.model, version=name.version)
        verified = None
        if message.dossier:
            verified = _verified_dossier(
                message.dossier, self.federation.environment(environment), promotion, reference, message
            )
        decided = None
        if message.decision and admission_state_of(message.state) == "admitted":
            decided = checked_decision(
                message.decision,
                self.federation.environment(environment),
                message.bundle_digest,
                promotion=promotion,
            )
        held = await self._held_evidence(
            Reference(environment, name.namespace, name.model, version=name.version),
            message.bundle_digest,
        )
        manifest, problem = await self._manifest_at_source(reference, message.bundle_digest)
        dossier = verified.dossier if verified else None
        return Admission(
            promotion=promotion,
            target=environment,
            source=message.source,
            state=admission_state_of(message.state),
            reference=reference,
            alias=message.alias,
            bundle_digest=message.bundle_digest,
            requester=message.requester,
            publisher=message.publisher,
            rules=rules_of(message.evaluation.results),
            policy_digest=message.evaluation.policy_digest,
            dossier=dossier,
            dossier_digest=verified.digest if verified else "",
            dossier_subject=verified.subject_name if verified else "",
            evidence=_frozen(held, dossier) if dossier else held,
            approvals=tuple(self._approval_of(each) for each in message.approvals),
            manifest=manifest,
            manifest_problem=problem,
            decision_digest=sha256_hex(message.decision) if decided else "",
            decision_subject=subject_of(message.decision) if decided else "",
            skipped=decided.skipped if decided else (),
            by_rollout=message.by_rollout,
            decision_receipt=self._decision_receipt(message, promotion, environment),
        )

    def _decision_receipt(
        self, message: admission_pb2.Admission, promotion: str, environment: str
    ) -> VerifiedReceipt | None:
        if not message.decision_receipt.entry:
            return None
        return checked_receipt(
            message.decision_receipt,
            self.federation.environment(environment),
            types=(EntryType.DECISION_MADE,),
            subject={"promotion": promotion, "bundle_digest": message.bundle_digest},
            new="PASSED" if admission_state_of(message.state) == "admitted" else "FAILED",
        )

    async def _manifest_at_source(
        self, reference: Reference, bundle_digest: str
    ) -> tuple[Manifest | None, str]:
        """Read the manifest at the source; an approver who may not read there sees the dossier without it."""
        try:
            resolved = await self.resolve(reference)
        except CertificateExpiredError:
            raise
        except _UNREADABLE as error:
            return None, error.message
        if resolved.bundle_digest != bundle_digest:
            raise StatementInvalidError(
                f"{reference} is the bundle {resolved.bundle_digest} at its source, and the promotion is "
                f"about {bundle_digest}"
            )
        return resolved.manifest, ""

    def _approval_of(self, message: admission_pb2.Approval) -> Approval:
        return Approval(
            digest=message.digest,
            approver=message.approver,
            person=message.person,
            meaning=message.meaning,
            reason=message.reason,
            signer=checked_approval_signer(message, self.federation),
            received_at=time_of(message.create_time),
            erased=message.erased,
        )


def open_dossier(shown: Admission, now: datetime) -> Dossier:
    """Return the dossier that a word can be given on now.

    Args:
        shown: The promotion at its target.
        now: The time.

    Raises:
        PreconditionFailedError: There is none, or it has ended.
    """
    dossier = shown.dossier
    if dossier is None:
        raise PreconditionFailedError(
            f"{shown.target} has issued no dossier for promotion {shown.promotion}: it is {shown.state}; "
            "approvals are asked for once all other rules pass, "
            "and with --emergency before"
        )
    if dossier.expires_at <= now:
        raise PreconditionFailedError(
            f"the dossier of promotion {shown.promotion} ended at "
            f"{dossier.expires_at:%Y-%m-%d %H:%M} UTC: wait for the next one"
        )
    return dossier


def _verified_dossier(
    data: bytes,
    environment: PinnedEnvironment,
    promotion: str,
    reference: Reference,
    message: admission_pb2.Admission,
) -> _VerifiedDossier:
    envelope = parse_envelope(data)
    verify_envelope(envelope, environment.signing_keys)
    statement = parse_statement(envelope)
    dossier = Dossier.parse(statement)
    stated = {
        "promotion": (dossier.promotion, promotion),
        "target": (dossier.target, environment.name),
        "source": (dossier.source, reference.environment),
        "namespace": (dossier.namespace, reference.namespace),
        "model": (dossier.model, reference.model),
        "version": (dossier.version, reference.version),
        "alias": (dossier.alias, message.alias),
        "by_rollout": (dossier.by_rollout, message.by_rollout),
        "bundle": (statement.subject_digest, message.bundle_digest),
        "requester": (dossier.requester, message.requester),
        "publisher": (dossier.publisher, message.publisher),
    }
    for field, (signed, said) in stated.items():
        if signed != said:
            raise StatementInvalidError(
                f"the dossier of promotion {promotion} says {field} {signed!r}, and {environment.name} "
                f"answers {said!r}",
                metadata={"field": field},
            )
    return _VerifiedDossier(dossier, envelope.digest, statement.subject_name, statement.subject_digest)


def _frozen(held: tuple[Evidence, ...], dossier: Dossier) -> tuple[Evidence, ...]:
    """Return the evidence that a dossier freezes, each piece of which was fetched and hashed here."""
    by_digest = {each.digest: each for each in held}
    missing = [digest for digest in dossier.evidence if digest not in by_digest]
    if missing:
        raise StatementInvalidError(
            f"{dossier.target} does not show the evidence {missing[0]}, which its dossier rests on: "
            "what cannot be seen is not to be approved"
        )
    if evidence_set_digest(dossier.evidence) != dossier.evidence_set_digest:
        raise StatementInvalidError("the dossier's evidence set is not the one that it states")
    return tuple(by_digest[digest] for digest in dossier.evidence)
