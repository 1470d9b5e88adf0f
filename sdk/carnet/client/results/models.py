"""Answers about models, their versions, and the aliases that point at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.bundle.manifest import Manifest
    from carnet.client.results.receipts import VerifiedReceipt
    from carnet.client.results.serving import RollbackCheck, Serving
    from carnet.references import Reference
    from carnet.translog.finality import Finality


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A named, moving pointer, as its registry states it; version 0 where it was removed or never set.

    ``marked_version`` is the one that people marked as known-good, 0 for none: since ``marked_at``, by
    ``marked_by``, for the reason ``mark_note``. It is told by the calls that read or mark an alias.
    ``finality`` is that of its last move, where it was asked for: by the entry that the registry names, and
    by what the pinned witnesses cosigned. None where a call does not tell it.
    """

    reference: Reference
    version: int
    bundle_digest: str
    revision: int
    protected: bool
    updated_at: datetime | None
    log_index: int
    serving: Serving | None = None
    last_drill_at: datetime | None = None
    marked_version: int = 0
    marked_at: datetime | None = None
    marked_by: str = ""
    mark_note: str = ""
    finality: Finality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """One move of an alias.

    ``kind`` is ``set``, ``admitted``, ``rolled_back``, ``removed``, ``drilled`` or ``rollout``;
    ``accepted_untested`` says that it was rolled back without the smoke test that the policy required.
    ``finality`` is judged as an alias's is.
    """

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
    accepted_untested: bool = False
    finality: Finality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasChange:
    """An alias after it was moved by this client, with the verified receipt of the move."""

    alias: Alias
    receipt: VerifiedReceipt
    rolled_back_version: int = 0
    check: RollbackCheck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkChange:
    """An alias after its mark was changed by this client, with the verified receipt of the change."""

    alias: Alias
    old_marked_version: int
    receipt: VerifiedReceipt


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
    """One immutable release of a model, as its registry lists it.

    ``stage`` is registered, candidate, approved, deployed, archived or revoked, since ``staged_at`` and by
    the entry ``stage_log_index``. ``semantic_version`` is empty where the manifest states none.
    ``purged_at`` and the entry ``purge_log_index`` say that its files were purged; None and 0 where they are
    kept.
    """

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
    semantic_version: str = ""
    staged_at: datetime | None = None
    stage_log_index: int = 0
    purged_at: datetime | None = None
    purge_log_index: int = 0


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
class CompatibleVersion:
    """An earlier version of a model, and whether those who use it may go on with a later one unchanged.

    Attributes:
        reference: The earlier version.
        semantic_version: Its semantic version; empty where it states none.
        compatible: Whether they may.
        changes: What breaks them, for a person; empty where nothing does.
    """

    reference: Reference
    semantic_version: str
    compatible: bool
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """A version where it stands now, with the verified receipt of the entry that put it there."""

    version: Version
    receipt: VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedVersion:
    """A version that was archived for its age and disuse, or would be.

    Attributes:
        version: As it is then; as it stands where it was only told of.
        last_used_at: When it was last staged, told of by evidence, or admitted elsewhere.
        why: Why it qualifies, in the registry's words.
        receipt: The verified receipt of its entry; None where it was only told of.
    """

    version: Version
    last_used_at: datetime | None
    why: str
    receipt: VerifiedReceipt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeResult:
    """A version that was withdrawn for good."""

    version: Version
    receipt: VerifiedReceipt
