"""Answers about admissions: what a target shows its approvers, and what it made of their word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.bundle.manifest import Manifest
    from carnet.client.results.evidence import Evidence
    from carnet.client.results.promotions import RuleResult
    from carnet.client.results.receipts import VerifiedReceipt
    from carnet.references import Reference
    from carnet.signing.dossier import Dossier


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's signed word, as the target holds it; ``signer`` is by the pinned key, empty if unknown.

    Of one that was ``erased``, who said what and when is the target's word, and the reason is gone.
    """

    digest: str
    approver: str
    person: str
    meaning: str
    reason: str
    signer: str
    received_at: datetime | None
    erased: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A promotion at its target, with what an approver must see; all digests were recomputed here.

    Attributes:
        promotion: The promotion's id.
        target: The environment that decides.
        source: The environment that the version comes from.
        state: awaiting, ready, refused, admitted or cancelled.
        reference: The version at the source.
        alias: The alias that is to be moved, on admission or by a rollout; empty for none.
        bundle_digest: The bundle.
        requester: Who asked for it.
        publisher: Who published the version.
        rules: What became of each rule.
        policy_digest: The policy of the newest evaluation.
        dossier: The dossier, verified against the target's pinned key; None before it is issued.
        dossier_digest: The SHA-256 of its envelope; empty where there is none.
        dossier_subject: The bundle's name in the dossier.
        evidence: The evidence that the dossier freezes, in its order; all that is held where there is none.
        approvals: The approvals so far.
        manifest: The manifest, read at the source and checked against the digest; None where the source
            did not let it be read.
        manifest_problem: Why not.
        decision_digest: The SHA-256 of the decision's envelope, verified; empty before it is admitted.
        decision_subject: The bundle's name in the decision.
        skipped: The rules that were skipped because the glass was broken, as the decision says.
        by_rollout: Whether admission only permits the alias to move, which a rollout then does.
        decision_receipt: The verified receipt of the decision's entry, refusals too; None before that.
    """

    promotion: str
    target: str
    source: str
    state: str
    reference: Reference
    alias: str
    bundle_digest: str
    requester: str
    publisher: str
    rules: tuple[RuleResult, ...]
    policy_digest: str
    dossier: Dossier | None
    dossier_digest: str
    dossier_subject: str
    evidence: tuple[Evidence, ...]
    approvals: tuple[Approval, ...]
    manifest: Manifest | None
    manifest_problem: str
    decision_digest: str = ""
    decision_subject: str = ""
    skipped: tuple[str, ...] = ()
    by_rollout: bool = False
    decision_receipt: VerifiedReceipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalResult:
    """A word that this client signed, and the verified receipt that the target wrote it down."""

    promotion: str
    target: str
    meaning: str
    reason: str
    dossier_digest: str
    counts: bool
    admission_state: str
    rules: tuple[RuleResult, ...]
    receipt: VerifiedReceipt
