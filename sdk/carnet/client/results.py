"""What the client's calls answer with: frozen values, not messages of the wire.

Responsible for the vocabulary of answers. A value here was checked against pinned keys wherever its
docstring says so; everything else is what a registry states. Does not know gRPC or protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from carnet.bundle.manifest import Manifest
    from carnet.references import Reference
    from carnet.signing.dossier import Dossier
    from carnet.translog.entry import Entry
    from carnet.translog.receipt import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """A log's entry whose inclusion was verified against the environment's pinned log key.

    Attributes:
        environment: Whose log it is.
        entry: What the entry says.
        receipt: The proof, which verifies alone; ``carnet.translog.receipt.format_receipt`` writes it.
    """

    environment: str
    entry: Entry
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A named, moving pointer, as its registry states it; version 0 where it was removed or never set."""

    reference: Reference
    version: int
    bundle_digest: str
    revision: int
    protected: bool
    updated_at: datetime | None
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One move of an alias: kind ``set``, ``admitted``, ``rolled_back`` or ``removed``."""

    revision: int
    kind: str
    old_version: int
    new_version: int
    actor: str
    reason_code: str
    note: str
    promotion: str
    moved_at: datetime | None
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasChange:
    """An alias after it was moved by this client, with the verified receipt of the move."""

    alias: Alias
    receipt: VerifiedReceipt
    rolled_back_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A named series of versions, as its registry states it."""

    reference: Reference
    home: str
    owner: str
    latest_version: int
    version_count: int
    aliases: tuple[Alias, ...]
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One immutable release of a model, as its registry lists it; ``stage`` is registered or revoked."""

    reference: Reference
    home: str
    bundle_digest: str
    stage: str
    size_bytes: int
    file_count: int
    publisher: str
    source: str
    promotion: str
    created_at: datetime | None
    log_index: int
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedVersion:
    """What a reference points at now, checked.

    The manifest hashes to the digest and names this version, the signature is by a pinned signer and covers
    exactly its files, and the receipt is in the log and says the same.

    Attributes:
        reference: The version, by its number.
        version: What the registry states about it.
        manifest: The manifest.
        signature: The model signature's bytes.
        signer: Who signed the bundle, by the pinned key.
        alias: The alias that was asked for; None where a number was.
        receipt: The receipt of the alias's last move, or of the version's arrival.
    """

    reference: Reference
    version: Version
    manifest: Manifest
    signature: bytes
    signer: str
    alias: Alias | None
    receipt: VerifiedReceipt

    @property
    def bundle_digest(self) -> str:
        """The SHA-256 of the canonical manifest."""
        return self.version.bundle_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """A publication.

    Attributes:
        reference: The version.
        bundle_digest: The SHA-256 of its canonical manifest.
        already_published: Whether this very content was published before; nothing was changed then.
        size_bytes: The sum of the files' sizes.
        receipt: The verified receipt of its entry.
    """

    reference: Reference
    bundle_digest: str
    already_published: bool
    size_bytes: int
    receipt: VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledBundle:
    """A bundle on this disk, verified to the last file.

    Attributes:
        reference: The version, by its number.
        path: The directory.
        bundle_digest: The SHA-256 of its canonical manifest.
        signer: Who signed it, by the pinned key.
        already_there: Whether the directory was this very bundle before; nothing was changed then.
        manifest: The manifest.
    """

    reference: Reference
    path: Path
    bundle_digest: str
    signer: str
    already_there: bool
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle whose manifest, signature and every file were verified, on this disk or in a registry.

    Attributes:
        subject: The bundle's name, ``HOME/NAMESPACE/MODEL@VERSION``.
        where: The directory or the reference that was verified.
        bundle_digest: The SHA-256 of its canonical manifest.
        signer: Who signed it, by the pinned key.
        file_count: How many files were hashed.
        size_bytes: Their size.
        evidence_count: How many attestations were verified; 0 for a directory, which has none.
        receipt: The receipt of its arrival or of the alias's move; None for a directory.
    """

    subject: str
    where: str
    bundle_digest: str
    signer: str
    file_count: int
    size_bytes: int
    evidence_count: int
    receipt: VerifiedReceipt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measured figure, with the part of the data that it was measured on (empty for all)."""

    name: str
    value: float
    direction: str
    slice: Mapping[str, str]

    @property
    def key(self) -> str:
        """The name, and for a slice ``name{key=value}``."""
        inner = ",".join(f"{key}={value}" for key, value in sorted(self.slice.items()))
        return f"{self.name}{{{inner}}}" if inner else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A signed attestation about a bundle. Its digest and its subject were recomputed here.

    Attributes:
        digest: The SHA-256 of the envelope.
        predicate_type: What kind of statement it is.
        suite: The suite, for a test result.
        result: ``PASSED``, ``WARNED``, ``FAILED``, or empty.
        signer: Whose pinned key signed it; empty where the key is not pinned here.
        stated_signer: Who the registry says signed it.
        trusted: Whether the registry trusts the signer for this kind of statement.
        metrics: What it measured.
        added_at: When the registry took it in.
        log_index: Its entry in the registry's log.
        envelope: The DSSE envelope.
    """

    digest: str
    predicate_type: str
    suite: str
    result: str
    signer: str
    stated_signer: str
    trusted: bool
    metrics: tuple[Metric, ...]
    added_at: datetime | None
    log_index: int
    envelope: bytes

    @property
    def kind(self) -> str:
        """What it is, in a few words: the suite of a test result, or the type's last part."""
        if self.suite:
            return self.suite
        return {
            "https://slsa.dev/verification_summary/v1": "decision",
            "https://in-toto.io/attestation/test-result/v0.1": "test-result",
        }.get(self.predicate_type, self.predicate_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestResult:
    """An attestation that this client made and a registry holds now."""

    evidence: Evidence
    already_held: bool
    receipt: VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """What became of one rule: ``status`` is PASSED, FAILED or AWAITING."""

    rule: str
    status: str
    message: str
    remedy: str
    values: Mapping[str, str]
    awaits_people: bool


class PromotionState(StrEnum):
    """Where a promotion stands."""

    PENDING = "PENDING"
    CHECKING = "CHECKING"
    AWAITING = "AWAITING"
    TRANSFERRING = "TRANSFERRING"
    ADMITTING = "ADMITTING"
    SUCCEEDED = "SUCCEEDED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of its own accord."""
        return self in _ENDED


_ENDED = frozenset(
    {
        PromotionState.SUCCEEDED,
        PromotionState.REJECTED,
        PromotionState.FAILED,
        PromotionState.CANCELLED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionEvent:
    """One step of a promotion, in words."""

    sequence: int
    state: PromotionState
    message: str
    happened_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One attempt to bring a version from a source to a target, as the promotion service tells it.

    It is hearsay, except for ``receipt``: where a promotion is read by its id and has succeeded, the target's
    signed decision and the receipt of its log are verified against pinned keys, or the call fails.

    Attributes:
        id: Its id.
        state: Where it stands.
        message: What it is doing, or why it ended.
        reference: The version at the source.
        target: The environment that it is for.
        alias: The alias that is to be moved there; empty for none.
        bundle_digest: The bundle.
        requester: Who asked for it.
        rules: What became of each rule of the target's policy.
        policy_digest: That policy; empty before the target answered.
        awaits_dossier: Whether the dossier for approvers is out and no decision is made yet.
        transferred_bytes: How many of the missing bytes the target has.
        total_bytes: How many it lacked.
        transfer: ``pull`` or ``relay``.
        error_reason: The reason of the error that it failed with; empty otherwise.
        sequence: The number of its newest event.
        created_at: When it was created.
        updated_at: When it last changed.
        receipt: The verified receipt of the target's log, once it is admitted.
        events: Its events, where they were asked for.
    """

    id: str
    state: PromotionState
    message: str
    reference: Reference
    target: str
    alias: str
    bundle_digest: str
    requester: str
    rules: tuple[RuleResult, ...]
    policy_digest: str
    awaits_dossier: bool
    transferred_bytes: int
    total_bytes: int
    transfer: str
    error_reason: str
    sequence: int
    created_at: datetime | None
    updated_at: datetime | None
    receipt: VerifiedReceipt | None
    events: tuple[PromotionEvent, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of its own accord."""
        return self.state.ended


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionUpdate:
    """A promotion as it stands, and the event that is news; None where only the progress changed."""

    promotion: Promotion
    event: PromotionEvent | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's signed word, as the target holds it; ``signer`` is by the pinned key, empty if unknown."""

    digest: str
    approver: str
    person: str
    meaning: str
    reason: str
    signer: str
    received_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A promotion at its target, with what an approver must see; all digests were recomputed here.

    Attributes:
        promotion: The promotion's id.
        target: The environment that decides.
        source: The environment that the version comes from.
        state: awaiting, ready, refused, admitted or cancelled.
        reference: The version at the source.
        alias: The alias that is to be moved; empty for none.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeResult:
    """A version that was withdrawn for good."""

    version: Version
    receipt: VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment as it answers now, compared with what is pinned.

    Attributes:
        name: Its name.
        endpoint: Its address.
        reachable: Whether it answered.
        problem: Why not, or what it states otherwise than is pinned.
        policy_digest: The policy in force.
        log_size: The size of its log.
        server_version: The version of Carnet that serves it.
        caller: The subject that it recognised this client as.
        roles: The roles that this client has there.
        targets: The environments that the promotion service carries to from here.
    """

    name: str
    endpoint: str
    reachable: bool
    problem: str
    policy_digest: str
    log_size: int
    server_version: str
    caller: str
    roles: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A copy of logs and documents, for verifying without any server: entries by environment."""

    directory: Path
    entries: Mapping[str, int]
    documents: Mapping[str, int]
