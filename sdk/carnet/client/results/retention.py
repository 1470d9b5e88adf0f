"""Answers about what is kept: purges, holds, and what looks neglected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.client.results.receipts import VerifiedReceipt
    from carnet.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgedVersion:
    """An archived or revoked version that was looked at for purging.

    Attributes:
        reference: The version.
        bundle_digest: Its digest.
        purged: Whether its files were purged, or would be.
        why: Why they go, or are kept, in the registry's words.
        freed_bytes: The sum of the sizes of its blobs that nothing else there names.
        receipt: The verified receipt of its entry; None where nothing was purged.
    """

    reference: Reference
    bundle_digest: str
    purged: bool
    why: str
    freed_bytes: int
    receipt: VerifiedReceipt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold on a version, or on a model and all of its versions, as its registry states it.

    ``expires_at`` is None for one that only a release ends; ``released_at`` is None until then.
    """

    hold: int
    reference: Reference
    reason: str
    actor: str
    created_at: datetime | None
    expires_at: datetime | None
    released_at: datetime | None
    releaser: str
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldResult:
    """A hold that was placed or released, with the verified receipt of the entry."""

    hold: Hold
    receipt: VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureResult:
    """A document of a log that was erased, with the verified receipt of the entry that says so.

    Attributes:
        environment: Whose log it is.
        digest: The document.
        reason_code: Why, as the entry says.
        erased_before: Whether it was erased before; the entry is then the first erasure's.
        receipt: The verified receipt.
    """

    environment: str
    digest: str
    reason_code: str
    erased_before: bool
    receipt: VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class HygieneFinding:
    """One thing that looks neglected, as its registry states it.

    Attributes:
        kind: ``orphan``, ``stale_alias``, ``unowned_model``, ``name``, ``duplicate``, ``quota`` or
            ``unrehearsed_rollback``.
        subject: What is meant: a resource name, or a digest.
        message: What was found.
        remedy: What to do about it.
        related: The others that it is found with.
        size_bytes: The bytes that it takes; 0 where that means nothing.
    """

    kind: str
    subject: str
    message: str
    remedy: str
    related: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceStorage:
    """What a namespace stores; ``quota_bytes`` is 0 where the policy sets none."""

    namespace: str
    size_bytes: int
    blob_count: int
    model_count: int
    version_count: int
    quota_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hygiene:
    """What looks neglected in an environment, and what its namespaces store.

    ``truncated`` says that there are more findings than these.
    """

    findings: tuple[HygieneFinding, ...]
    storage: tuple[NamespaceStorage, ...]
    truncated: bool
