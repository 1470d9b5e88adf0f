"""The facts that a decision was made on, out of an export.

Responsible for giving the policy exactly what the environment gave it: evidence, signatures and people as
they were believed under the trust document that was in force, and as far as the log went then. The rules of
believing are those of admission itself; nothing is taken from the decision but its time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from carnet.errors import CarnetError, IntegrityError
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass
from carnet.translog.entry import EntryType
from carnet_policies.facts import Facts, SignatureFact
from carnet_server.admission.approval_rules import approval_fact
from carnet_server.admission.break_glass_rules import MEANING
from carnet_server.admission.carried import believed_of
from carnet_server.admission.domain import HeldApproval
from carnet_server.admission.dossier import read_dossier
from carnet_server.admission.request_rules import verify_request
from carnet_server.admission.situation import words_about
from carnet_server.admission.verification import verify_publisher
from carnet_server.evidence.assessment import assess
from carnet_server.replaying.past import CannotTellError

if TYPE_CHECKING:
    from carnet.audit.statements import Record
    from carnet.bundle.manifest import Manifest
    from carnet.signing.decision import Decision
    from carnet.signing.dossier import Dossier
    from carnet.signing.keys import VerificationKey
    from carnet_policies.document import Policy
    from carnet_policies.facts import Attestation, PeerDecision
    from carnet_server.access.trust import Trust
    from carnet_server.admission.domain import Signer
    from carnet_server.admission.request_rules import VerifiedRequest
    from carnet_server.replaying.past import PastLog


@dataclass(frozen=True, slots=True)
class Known:
    """What one decision was made on.

    Attributes:
        facts: What the policy saw.
        dossier: The dossier that stood; None for none.
        breaking: What was signed about it to break the glass.
        emergency: Whether the promotion was asked for as an emergency.
    """

    facts: Facts
    dossier: Dossier | None = None
    breaking: tuple[HeldApproval, ...] = ()
    emergency: bool = False


def read_known(
    log: PastLog, record: Record, decision: Decision, policy: Policy, *, own_key: VerificationKey
) -> Known:
    """Rebuild what a decision was made on.

    Args:
        log: The environment's log.
        record: The decision's entry.
        decision: What was signed.
        policy: The policy that decided.
        own_key: A key of the environment's own statements.

    Raises:
        CannotTellError: Something of it is not in the export.
        IntegrityError: What the decision rests on was not to be believed then.
        PermissionDeniedError: Who asked was not allowed to.
    """
    moment = _Moment(log, record, decision, log.trust_before(record.index), own_key)
    return moment.known(policy.document.baseline_alias)


@dataclass(frozen=True, slots=True)
class _Moment:
    """The log as a decision found it."""

    log: PastLog
    record: Record
    decision: Decision
    trust: Trust
    own_key: VerificationKey

    @property
    def namespace(self) -> str:
        return str(self.record.entry.subject.get("namespace", ""))

    def known(self, baseline_alias: str | None) -> Known:
        digest = str(self.record.entry.subject.get("bundle_digest", ""))
        manifest, signature = self.log.bundle(digest)
        request, wish = self.request() if self.decision.promotion else (self.record, None)
        publisher = self.publisher(signature, manifest, request)
        baseline = ""
        if baseline_alias:
            place = (self.namespace, manifest.model, baseline_alias)
            baseline = self.log.alias_before(*place, self.record.index)
        evidence, decisions = self.evidence(digest)
        facts = Facts(
            source=wish.request.source if wish else "",
            target=self.log.environment,
            namespace=self.namespace,
            alias=wish.request.alias if wish else "",
            manifest=manifest.to_json(),
            signature=SignatureFact(publisher.key_id, publisher.subject, publisher.person),
            publisher=publisher.party,
            requester=wish.requester.party if wish else None,
            evidence=evidence,
            decisions=decisions,
            approvals=(),
            baseline_manifest=self.log.bundle(baseline)[0].to_json() if baseline else None,
            baseline_evidence=self.evidence(baseline)[0] if baseline else (),
            now=self.decision.time_verified,
        )
        return self.with_people(facts, wish) if wish else Known(facts)

    def publisher(self, signature: bytes, manifest: Manifest, request: Record) -> Signer:
        """Return who signed the bundle; its signature is named by no entry, so another proves nothing."""
        try:
            return verify_publisher(signature, manifest, self.trust, at=request.entry.time)
        except IntegrityError as error:
            problem = f"the model signature in the export was not to be believed then: {error.message}"
            raise CannotTellError(problem) from error

    def request(self) -> tuple[Record, VerifiedRequest]:
        """Return the request's entry, and what was asked, verified as it was when it arrived."""
        promotion = self.decision.promotion
        found = self.log.of_promotion(promotion, self.record.index, EntryType.PROMOTION_REQUESTED)
        digest = found[0].entry.envelope_digest if found else None
        if digest is None:
            raise CannotTellError(f"the request of promotion {promotion} is not in the log")
        data = self.log.document(digest, "the promotion's request")
        at = found[0].entry.time
        return found[0], verify_request(data, environment=self.log.environment, trust=self.trust, at=at)

    def evidence(self, bundle_digest: str) -> tuple[tuple[Attestation, ...], tuple[PeerDecision, ...]]:
        """Return what was believed of the evidence that was there about a bundle."""
        assessed = []
        for entry, data in self.log.evidence_before(self.namespace, bundle_digest, self.record.index):
            try:
                found = assess(
                    data, namespace=self.namespace, trust=self.trust, own_key=self.own_key, at=entry.time
                )
            except IntegrityError:
                continue  # It was kept, and counted for nothing under that trust document.
            if found.bundle_digest == bundle_digest:
                assessed.append(found)
        evidence, decisions = believed_of(assessed, environment=self.log.environment)
        person_of = self.trust.person_of
        named = (
            replace(each, signer_person=each.signer_person or person_of(each.signer_subject))
            for each in evidence
        )
        return tuple(named), tuple(decisions)

    def with_people(self, facts: Facts, wish: VerifiedRequest) -> Known:
        """Add the dossier that stood, and what people had signed about it."""
        log, promotion, index = self.log, self.decision.promotion, self.record.index
        issued = log.of_promotion(promotion, index, EntryType.DOSSIER_ISSUED)
        digest = (issued[-1].entry.envelope_digest or "") if issued else ""
        dossier = self.dossier(digest) if digest else None
        said = log.of_promotion(promotion, index, EntryType.APPROVAL_RECORDED, EntryType.BREAK_GLASS_RECORDED)
        words = words_about(
            map(self.held, said),
            digest if dossier else None,
            namespace=facts.namespace,
            alias=wish.request.alias,
            trust=self.trust,
        )
        approvals = tuple(approval_fact(each) for each in words.approvals)
        return Known(replace(facts, approvals=approvals), dossier, words.breaking, wish.request.emergency)

    def dossier(self, digest: str) -> Dossier | None:
        """Return a dossier if it stood: issued under the policy that decided, and not expired."""
        data = self.log.document(digest, "the dossier")
        try:
            dossier = read_dossier(data)
        except CarnetError as error:
            raise CannotTellError(error.message) from error
        decision = self.decision
        same_policy = dossier.policy_digest == decision.policy.digest.sha256
        return dossier if same_policy and dossier.expires_at > decision.time_verified else None

    def held(self, record: Record) -> HeldApproval:
        """Return what a person signed as the environment held it; the trust document says who that is."""
        word, entry = record.predicate, record.entry
        if not isinstance(word, Approval | BreakGlass) or entry.envelope_digest is None:
            raise CannotTellError(f"what was signed in entry {record.index} is by nobody who is pinned")
        key = self.trust.ring(entry.time).key(record.signer)
        return HeldApproval(
            promotion=word.promotion,
            digest=entry.envelope_digest,
            approver=key.subject if key else entry.actor.subject,
            approver_key_id=record.signer,
            person=None,
            meaning=word.meaning if isinstance(word, Approval) else MEANING,
            reason=word.reason,
            dossier_digest=word.dossier_digest,
            nonce=word.nonce,
            signed_at=word.signed_at,
            expires_at=word.expires_at,
            created_at=entry.time,
            log_index=record.index,
            envelope=self.log.document(entry.envelope_digest, "a person's word"),
        )
