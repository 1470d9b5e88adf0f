"""Answers about what serving hosts run, about what was checked before a rollback, and about stale aliases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.client.results.models import Alias
    from carnet.client.results.receipts import VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRevision:
    """How many instances run one revision of an alias."""

    revision: int
    bundle_digest: str
    instance_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the serving hosts of an alias say that they run, as its registry counts them.

    Attributes:
        revisions: How many instances run what, the newest revision first.
        instance_count: How many report.
        current_count: How many of them run what the alias points at, at its present revision.
        lagging: Some of the others, as subject and instance.
    """

    revisions: tuple[ServedRevision, ...]
    instance_count: int
    current_count: int
    lagging: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A version that a rollback passed over, and why."""

    version: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackCheck:
    """What a registry checked of a version before an alias was moved back to it.

    Attributes:
        blob_count: How many blobs it has, all of which are whole.
        hashed_count: How many of them were hashed for this; the others were not long before.
        oldest_at: When the one whose check is the oldest was hashed.
        smoke_test: The result of its latest smoke test; empty where none is held.
        passed_over: The better candidates that would not do.
    """

    blob_count: int
    hashed_count: int
    oldest_at: datetime | None
    smoke_test: str
    passed_over: tuple[PassedOver, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A rehearsed rollback, with the verified receipts of both moves."""

    alias: Alias
    drilled_version: int
    back: VerifiedReceipt
    forward: VerifiedReceipt
    check: RollbackCheck | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmVersion:
    """A version that hosts keep on disk."""

    version: int
    bundle_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingReport:
    """The answer to a report: the alias now, whether what runs has drifted, how long the report counts."""

    alias: Alias
    drifted: bool
    ttl_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleAlias:
    """A stale alias: reasons ``unmoved``, ``unresolved`` and ``revoked``, and how it was used."""

    alias: Alias
    reasons: tuple[str, ...]
    last_resolved_at: datetime | None
    resolve_count: int
