"""Answers about models, their versions, and the aliases that point at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.bundle.manifest import Manifest
    from carnet.client.results.receipts import VerifiedReceipt
    from carnet.references import Reference


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
class RevokeResult:
    """A version that was withdrawn for good."""

    version: Version
    receipt: VerifiedReceipt
