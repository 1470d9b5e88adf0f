"""When the files of a version may be purged: pure rules.

Invariant: nothing is purged that has any reason to be kept. What the reasons are is read in ``kept``; here
are those that follow from the policy's terms and the version itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError, PreconditionFailedError
from carnet_server.models.archival_rules import ago
from carnet_server.models.domain import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from carnet.translog.receipt import Receipt
    from carnet_policies.schema_retention import RetentionTerms
    from carnet_server.models.domain import Version

KEEP_LAST_MAX = 10_000
_AT_REST = (Stage.ARCHIVED, Stage.REVOKED)


@dataclass(frozen=True, slots=True)
class PurgeRule:
    """What may be purged.

    Attributes:
        keep_last: How many archived versions of each model are kept, the newest ones.
        archived_for: How long a version must have been archived, or revoked.
        min_age: How long ago it must have arrived.
        grace: How long its bytes stay in the store after that.
    """

    keep_last: int
    archived_for: timedelta
    min_age: timedelta
    grace: timedelta

    def to_json(self) -> dict[str, int]:
        """Return the rule as the purge's document has it."""
        return {
            "keep_last": self.keep_last,
            "archived_for_seconds": int(self.archived_for.total_seconds()),
            "min_age_seconds": int(self.min_age.total_seconds()),
            "grace_seconds": int(self.grace.total_seconds()),
        }


@dataclass(frozen=True, slots=True)
class Looked:
    """A version that is looked at.

    Attributes:
        version: The version, as lists have it.
        newer_archived: How many archived versions of its model are newer and have their files.
    """

    version: Version
    newer_archived: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version's files go, and why, for people."""

    goes: bool
    why: str


@dataclass(frozen=True, slots=True)
class Purged:
    """A version that was looked at for purging.

    Attributes:
        version: As it is then.
        purged: Whether its files were purged, or would be.
        why: Why they go, or are kept.
        freed_bytes: The sum of the sizes of its blobs that nothing else here names; 0 where they are kept.
        receipt: The receipt of the entry; None where nothing was purged.
    """

    version: Version
    purged: bool
    why: str
    freed_bytes: int = 0
    receipt: Receipt | None = None


def rule_of(terms: RetentionTerms | None, keep_last: int | None, *, environment: str) -> PurgeRule:
    """Return the rule by a policy's terms and a request's own wish.

    Args:
        terms: What the policy in force says of retention.
        keep_last: How many archived versions to keep at least; None for what the policy says.
        environment: The environment, for the message.

    Raises:
        PreconditionFailedError: The policy lets nothing be purged.
        InvalidInputError: Fewer versions are to be kept than the policy keeps, or far too many.
    """
    purge = terms.purge if terms is not None else None
    if purge is None:
        raise PreconditionFailedError(
            f"the policy in force of {environment} lets nothing be purged: it has no `retention.purge`, in "
            "which whoever owns it says what may go",
            metadata={"field": "retention.purge", "subject": environment},
        )
    if keep_last is not None and not purge.keep_last <= keep_last <= KEEP_LAST_MAX:
        raise InvalidInputError(
            f"keep_last: {keep_last}: the policy keeps the {purge.keep_last} newest archived versions of "
            f"each model; ask for so many at least, {KEEP_LAST_MAX} at most",
            metadata={"field": "keep_last"},
        )
    kept = purge.keep_last if keep_last is None else keep_last
    return PurgeRule(kept, purge.archived_for, purge.min_age, purge.grace)


def judge(rule: PurgeRule, looked: Looked, reasons: Sequence[str], now: datetime) -> Verdict:
    """Say whether the files of a version may go.

    Args:
        rule: What may be purged.
        looked: The version.
        reasons: Why it is needed, as far as that was read; none for no reason.
        now: The time.
    """
    version = looked.version
    if version.purged_at is not None:
        return Verdict(goes=False, why=f"was purged {ago(now - version.purged_at)}")
    if version.stage not in _AT_REST:
        return Verdict(goes=False, why=f"{version.stage}: only archived and revoked versions can be purged")
    against = [*reasons, *_terms_against(rule, looked, now)]
    if against:
        return Verdict(goes=False, why="; ".join(against))
    beyond = f", not among the {rule.keep_last} newest archived" if version.stage is Stage.ARCHIVED else ""
    since, arrived = ago(now - version.staged_at), ago(now - version.created_at)
    return Verdict(goes=True, why=f"{version.stage} {since}, arrived {arrived}{beyond}")


def _terms_against(rule: PurgeRule, looked: Looked, now: datetime) -> list[str]:
    """Say which of the policy's terms keep a version."""
    version = looked.version
    found = []
    if now - version.created_at < rule.min_age:
        found.append(f"arrived {ago(now - version.created_at)}, and is kept for {span(rule.min_age)}")
    if now - version.staged_at < rule.archived_for:
        found.append(
            f"{version.stage} {ago(now - version.staged_at)}, and is kept for {span(rule.archived_for)}"
        )
    if version.stage is Stage.ARCHIVED and looked.newer_archived < rule.keep_last:
        found.append(f"one of the {rule.keep_last} newest archived versions of its model")
    return found


def span(length: timedelta) -> str:
    """Return a length of time, for people."""
    seconds = int(length.total_seconds())
    for unit, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit:
            count = seconds // unit
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} s"
