"""What an audit found.

Responsible for the four verdicts, the findings and their JSON form. Draws no conclusion itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from carnet.translog.entry import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from carnet.audit.codes import Code
    from carnet.translog.entry import Entry


class Verdict(StrEnum):
    """What a finding says. None of them is a pass.

    ``tampered``: bytes contradict a signature or a digest. ``incomplete``: something that must be there is
    not. ``policy_violated``: all is genuine, and says that a rule was broken. ``cannot_verify``: the keys or
    facts that the check needs are not pinned.
    """

    TAMPERED = "tampered"
    INCOMPLETE = "incomplete"
    POLICY_VIOLATED = "policy_violated"
    CANNOT_VERIFY = "cannot_verify"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be.

    Attributes:
        verdict: What it says.
        code: What kind of thing is wrong, for machines; it never changes.
        environment: Whose log it is about.
        index: The first entry that it is about; None where no single one can be named.
        message: What is wrong, with the values, and what to do.
        affects: What can no longer be relied upon: versions, promotions, aliases.
    """

    verdict: Verdict
    code: Code
    environment: str
    index: int | None
    message: str
    affects: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {
            "verdict": str(self.verdict),
            "code": str(self.code),
            "environment": self.environment,
            "index": self.index,
            "message": self.message,
            "affects": list(self.affects),
        }


@dataclass(frozen=True, slots=True)
class EnvironmentSummary:
    """What was verified of one environment: the signed head of its log, and what its entries tell.

    Attributes:
        size: How many entries the signed tree has.
        root: Its root, in hexadecimal.
        checkpoint: The signed checkpoint, to be kept for the next audit.
        published: How many versions were published here.
        admitted: How many versions were admitted here from elsewhere.
        refused: How many decisions said no.
        documents: How many documents that entries rest on were found whole.
        last_time: The time of the last entry; None for an empty log.
        verified_from: The first entry that was verified now; those before it were verified by an earlier
            audit, and only that the log still begins with them was verified again.
        final_size: How many entries are final: witnessed by a quorum of the pinned witnesses; None where no
            quorum is pinned, or where the chain is broken.
        erased: How many documents were erased, as later entries tell.
    """

    size: int
    root: str
    checkpoint: str
    published: int
    admitted: int
    refused: int
    documents: int
    last_time: datetime | None
    verified_from: int = 0
    final_size: int | None = None
    erased: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a JSON object."""
        return {
            "size": self.size,
            "root": self.root,
            "checkpoint": self.checkpoint,
            "published": self.published,
            "admitted": self.admitted,
            "refused": self.refused,
            "documents": self.documents,
            "erased": self.erased,
            "last_time": format_time(self.last_time) if self.last_time else None,
            "verified_from": self.verified_from,
            "final_size": self.final_size,
        }


@dataclass(frozen=True, slots=True)
class Erasure:
    """A document that was erased, as an entry of the same log tells; nothing is wrong with that by itself.

    Attributes:
        environment: Whose log it is.
        index: The entry that says so.
        digest: The document.
        erased_at: When it was erased.
        erased_by: The subject that erased it.
        reason_code: Why, as a code.
        entries: The indexes of the entries that rest on it.
        types: Their types.
        affects: What they are about.
        unjudged: What could not be verified for that reason; nothing where it proved nothing.
    """

    environment: str
    index: int
    digest: str
    erased_at: datetime
    erased_by: str
    reason_code: str
    entries: tuple[int, ...]
    types: tuple[str, ...]
    affects: tuple[str, ...]
    unjudged: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "environment": self.environment,
            "index": self.index,
            "digest": self.digest,
            "erased_at": format_time(self.erased_at),
            "erased_by": self.erased_by,
            "reason_code": self.reason_code,
            "entries": list(self.entries),
            "types": list(self.types),
            "affects": list(self.affects),
            "unjudged": list(self.unjudged),
        }


@dataclass(frozen=True, slots=True)
class GlassStatement:
    """What one person signed to break the glass; of one that was erased, who it was by its entry."""

    person: str
    ticket: str
    reason: str
    erased: bool = False


@dataclass(frozen=True, slots=True)
class BrokenGlass:
    """A decision for which the glass was broken.

    Attributes:
        environment: Whose log it is in.
        index: The decision's entry.
        affects: What it was about.
        skipped: The rules that were skipped.
        statements: What those who broke it signed.
        decided_at: When it was decided.
        due_at: Until when it was to be reviewed; None where the policy in force cannot be read.
        review: ``accepted``, ``rejected``, or empty for one that nobody has reviewed.
        reviewed_by: The pinned person who reviewed it; empty for none.
    """

    environment: str
    index: int
    affects: tuple[str, ...]
    skipped: tuple[str, ...]
    statements: tuple[GlassStatement, ...]
    decided_at: datetime
    due_at: datetime | None
    review: str = ""
    reviewed_by: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "environment": self.environment,
            "index": self.index,
            "affects": list(self.affects),
            "skipped": list(self.skipped),
            "statements": [
                {
                    "person": each.person,
                    "ticket": each.ticket,
                    "reason": each.reason,
                    **({"erased": True} if each.erased else {}),
                }
                for each in self.statements
            ],
            "decided_at": format_time(self.decided_at),
            "due_at": format_time(self.due_at) if self.due_at else None,
            "review": self.review or None,
            "reviewed_by": self.reviewed_by or None,
        }


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome of an audit.

    Attributes:
        environments: Each environment whose checkpoint was verified.
        findings: Everything that is wrong, by environment and index.
        broken_glass: Every decision that skips rules; none of them is wrong by itself.
        notes: What a reader must know besides, such as why an audit was not continued but done in full.
        erasures: Every document that was erased; the same.
    """

    environments: Mapping[str, EnvironmentSummary]
    findings: tuple[Finding, ...]
    broken_glass: tuple[BrokenGlass, ...] = ()
    notes: tuple[str, ...] = ()
    erasures: tuple[Erasure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there was something to verify, and all of it was verified."""
        return bool(self.environments) and not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "ok": self.ok,
            "environments": {name: each.to_json() for name, each in self.environments.items()},
            "findings": [finding.to_json() for finding in self.findings],
            "broken_glass": [each.to_json() for each in self.broken_glass],
            "notes": list(self.notes),
            "erasures": [each.to_json() for each in self.erasures],
        }


def describe_subject(entry: Entry) -> tuple[str, ...]:
    """Say what an entry is about, for ``Finding.affects``."""
    subject = entry.subject
    described = []
    if "model" in subject:
        name = f"{subject.get('namespace', '?')}/{subject['model']}"
        described.append(f"version {name}@{subject['version']}" if "version" in subject else f"model {name}")
    if "alias" in subject:
        described.append(f"alias {subject['alias']}")
    described += [
        f"{key} {subject[key]}" for key in ("rollout", "promotion", "policy", "key") if key in subject
    ]
    return tuple(described)
