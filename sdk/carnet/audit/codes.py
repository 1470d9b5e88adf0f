"""The codes of findings: one for each kind of thing that can be wrong, for machines.

Responsible for their names, which never change once they are released. What each says is in ``docs/log.md``;
how bad it is, is the finding's verdict, and a code can come with more than one.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """What a finding is about."""

    # The export, and what the auditor holds.
    EXPORT_EMPTY = "export-empty"
    ENVIRONMENT_UNPINNED = "environment-unpinned"
    ENVIRONMENT_MISSING = "environment-missing"
    LOG_FOREIGN = "log-foreign"
    LOG_CUT = "log-cut"
    HISTORY_REWRITTEN = "history-rewritten"
    # The chain.
    CHECKPOINT_MISSING = "checkpoint-missing"
    CHECKPOINT_INVALID = "checkpoint-invalid"
    CHECKPOINT_UNTRUSTED = "checkpoint-untrusted"
    ROOT_MISMATCH = "root-mismatch"
    ENTRY_CHANGED = "entry-changed"
    ENTRIES_MISSING = "entries-missing"
    ENTRIES_DAMAGED = "entries-damaged"
    TILE_MISSING = "tile-missing"
    TILE_MISMATCH = "tile-mismatch"
    TILE_STRAY = "tile-stray"
    CHANGED_WHILE_READ = "changed-while-read"
    # Each entry by itself.
    ENTRY_MALFORMED = "entry-malformed"
    ENTRY_FOREIGN = "entry-foreign"
    ENTRY_BACKDATED = "entry-backdated"
    ENTRY_INCONSISTENT = "entry-inconsistent"
    # The documents and the statements.
    DOCUMENT_MISSING = "document-missing"
    DOCUMENT_CHANGED = "document-changed"
    DOCUMENT_INVALID = "document-invalid"
    DOCUMENT_MISQUOTED = "document-misquoted"
    SIGNATURE_INVALID = "signature-invalid"
    SIGNATURE_MISSING = "signature-missing"
    SIGNER_UNPINNED = "signer-unpinned"
    SIGNER_UNAUTHORIZED = "signer-unauthorized"
    CERTIFICATE_MISMATCH = "certificate-mismatch"
    AUTHORITY_UNPINNED = "authority-unpinned"
    # Policies, evidence and decisions.
    POLICY_NOT_IN_FORCE = "policy-not-in-force"
    EVIDENCE_UNLOGGED = "evidence-unlogged"
    RULES_UNMET = "rules-unmet"
    DECISION_MISSING = "decision-missing"
    DECISION_MISMATCH = "decision-mismatch"
    DECISION_REUSED = "decision-reused"
    PERMIT_EXPIRED = "permit-expired"
    # Approvals and broken glass.
    DOSSIER_MISSING = "dossier-missing"
    SEPARATION_OF_DUTIES = "separation-of-duties"
    PARTY_UNPINNED = "party-unpinned"
    APPROVAL_UNBOUND = "approval-unbound"
    APPROVAL_EXPIRED = "approval-expired"
    APPROVAL_WITHDRAWN = "approval-withdrawn"
    PERSON_COUNTED_TWICE = "person-counted-twice"
    GLASS_FORBIDDEN = "glass-forbidden"
    GLASS_UNBOUND = "glass-unbound"
    GLASS_EXPIRED = "glass-expired"
    GLASS_TOO_FEW = "glass-too-few"
    GLASS_UNLOGGED = "glass-unlogged"
    REVIEW_OVERDUE = "review-overdue"
    REVIEW_UNFOUNDED = "review-unfounded"
    # Admissions, versions and what is made of them.
    REQUEST_MISSING = "request-missing"
    PROMOTION_CANCELLED = "promotion-cancelled"
    PROMOTION_REUSED = "promotion-reused"
    VERSION_REVOKED = "version-revoked"
    STATE_MISMATCH = "state-mismatch"
    ILLEGAL_TRANSITION = "illegal-transition"
    STAGE_UNTOLD = "stage-untold"
    MARK_UNFOUNDED = "mark-unfounded"
    ROLLOUT_OUT_OF_ORDER = "rollout-out-of-order"
    ROLLOUT_NOT_FOLLOWED = "rollout-not-followed"
    PURGE_ILLEGAL = "purge-illegal"
    HOLD_MISMATCH = "hold-mismatch"
    ERASURE_ILLEGAL = "erasure-illegal"
    ERASED_DOCUMENT_PRESENT = "erased-document-present"
    # Several logs.
    SOURCE_UNLOGGED = "source-unlogged"
    ADMISSION_UNLOGGED = "admission-unlogged"
    ANCHOR_INVALID = "anchor-invalid"
    ANCHOR_OUT_OF_ORDER = "anchor-out-of-order"
    ANCHOR_AHEAD = "anchor-ahead"
    ANCHOR_INCOMPARABLE = "anchor-incomparable"
    COSIGNATURE_INVALID = "cosignature-invalid"
    WITNESS_UNPINNED = "witness-unpinned"
    NOT_FINAL = "not-final"
    EQUIVOCATION = "log-equivocated"
    ALARM_UNFOUNDED = "alarm-unfounded"
    # Policies that are replayed.
    DECISION_NOT_REPLAYED = "decision-not-replayed"
    DECISION_UNFOUNDED = "decision-unfounded"
    # A live database.
    TABLE_MISMATCH = "table-mismatch"
