"""What the logs of several environments must mean together.

Responsible for the two joins between logs that are both in the export: what was admitted from a source must
be in the source's log, and what a source recorded as admitted must be in the target's. Pure.

The logs of an export are copied one after the other, so the later copy may know of something that came after
the earlier one: as long as the other log's copy ends before the event, the verdict is ``incomplete``, and
only where it goes on and still lacks the entry, ``policy_violated``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003  read by state_codec
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import Judge
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.audit.statements import Record

_Deed = tuple[str, str]
"""A promotion with the digest of the bundle that it was for."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an entry says that another log must have as well.

    Attributes:
        index: The entry.
        time: Its time.
        affects: What it is about, a line each: there are many claims.
        deed: The promotion and the bundle.
        target: The log that must have admitted it; empty where the entry is an admission, and the log that it
            comes from must have had it.
    """

    index: int
    time: datetime
    affects: str
    deed: _Deed
    target: str = ""


@dataclass(slots=True)
class JoinState:
    """What one log tells that others depend on.

    Attributes:
        held: The bundles that were published or admitted.
        admitted: The promotions that admitted a bundle, or decided that it may be.
        requested_from: Where each promotion comes from, by its request.
        issued_from: The same by its dossier, which the target signed, and which overrules the request.
        claims: What other logs must have.
        last_time: The time of the last entry.
    """

    held: set[str] = field(default_factory=set)
    admitted: set[_Deed] = field(default_factory=set)
    requested_from: dict[str, str] = field(default_factory=dict)
    issued_from: dict[str, str] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    last_time: datetime | None = None

    def other_of(self, claim: Claim) -> str:
        """Return whose log must have what is claimed; empty if nothing tells."""
        promotion = claim.deed[0]
        return claim.target or self.issued_from.get(promotion) or self.requested_from.get(promotion, "")

    def has(self, claim: Claim) -> bool:
        """Whether this log has what another one claims.

        A promotion of a version that an earlier one brought admits nothing new: it only decides.
        """
        return claim.deed[1] in self.held and (not claim.target or claim.deed in self.admitted)


class JoinJudge(Judge):
    """One walk along a log, noting what the join with others needs."""

    NAME = "joins"
    TYPES = frozenset(
        {
            EntryType.VERSION_PUBLISHED,
            EntryType.VERSION_ADMITTED,
            EntryType.DECISION_MADE,
            EntryType.PROMOTION_RECORDED,
            EntryType.DOSSIER_ISSUED,
            EntryType.PROMOTION_REQUESTED,
        }
    )
    STATE = JoinState
    state: JoinState

    def step(self, record: Record) -> None:
        """Note the next record."""
        entry, state = record.entry, self.state
        match entry.type:
            case EntryType.VERSION_PUBLISHED:
                state.held.add(_deed(record)[1])
            case EntryType.VERSION_ADMITTED:
                deed = _deed(record)
                state.held.add(deed[1])
                state.admitted.add(deed)
                state.claims.append(_claim(record))
            case EntryType.DECISION_MADE if entry.new == "PASSED":
                state.admitted.add(_deed(record))
            case EntryType.PROMOTION_RECORDED if isinstance(record.predicate, Decision):
                state.claims.append(_claim(record, record.predicate.environment))
            case EntryType.DOSSIER_ISSUED if isinstance(record.predicate, Dossier):
                state.issued_from[_deed(record)[0]] = record.predicate.source
            case EntryType.PROMOTION_REQUESTED if isinstance(record.predicate, PromotionRequest):
                state.requested_from[_deed(record)[0]] = record.predicate.source


def judge_joins(logs: Mapping[str, JoinState]) -> list[Finding]:
    """Judge the logs of an export against each other, and forget the claims that are settled.

    Args:
        logs: What each log tells whose chain is intact, by environment.

    Returns:
        What is wrong.
    """
    findings: list[Finding] = []
    for name, state in logs.items():
        open_claims = []
        for claim in state.claims:
            other = state.other_of(claim)
            if other not in logs:
                open_claims.append(claim)
            elif not logs[other].has(claim):
                findings.append(_missing(name, claim, other, logs[other]))
        state.claims = open_claims
    return findings


def _deed(record: Record) -> _Deed:
    subject = record.entry.subject
    return str(subject.get("promotion", "")), str(subject.get("bundle_digest", ""))


def _claim(record: Record, target: str = "") -> Claim:
    affects = "\n".join(describe_subject(record.entry))
    return Claim(record.index, record.entry.time, affects, _deed(record), target)


def _missing(environment: str, claim: Claim, other: str, log: JoinState) -> Finding:
    later = log.last_time is not None and log.last_time > claim.time
    verdict = Verdict.POLICY_VIOLATED if later else Verdict.INCOMPLETE
    hint = "" if later else "; if that copy is older than this one, export again"
    if claim.target:
        code, kind = Code.ADMISSION_UNLOGGED, EntryType.PROMOTION_RECORDED
        message = f"the promotion is recorded as admitted to {other}, whose log does not have it"
    else:
        code, kind = Code.SOURCE_UNLOGGED, EntryType.VERSION_ADMITTED
        message = f"the bundle was admitted from {other}, whose log never had it"
    return Finding(
        verdict, code, environment, claim.index, f"{kind}: {message}{hint}", tuple(claim.affects.split("\n"))
    )
