"""What the entries of one log must mean together.

Responsible for the rules inside one environment's log: which policy was in force, that every admission rests
on one decision that said yes, that statements say what their entries say, and that those who approved were
others than those who published and asked. Pure: it reads records whose chain and signatures are verified, and
no files.

Does not replay policies: whether a rule's answer was right is not asked, only whether the decision is this
environment's, for this bundle, under the policy in force. Rules across logs are in ``carnet.audit.joins``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.approvals import judge_approvals
from carnet.audit.break_glass import GlassJudge, GlassState
from carnet.audit.codes import Code
from carnet.audit.judging import Judge, JudgedLog
from carnet.audit.report import Verdict
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.audit.pins import Pins
    from carnet.audit.report import BrokenGlass
    from carnet.audit.statements import Record

_TOLD_OF_PROMOTIONS = frozenset(
    {
        EntryType.PROMOTION_REQUESTED,
        EntryType.DOSSIER_ISSUED,
        EntryType.APPROVAL_RECORDED,
        EntryType.BREAK_GLASS_RECORDED,
        EntryType.DECISION_MADE,
    }
)


@dataclass(slots=True)
class _Promotion:
    """What the log has told about one promotion so far: its entries by reference, and how it ended."""

    told: list[bytes] = field(default_factory=list)
    cancelled_at: int | None = None
    admitted_at: int | None = None


@dataclass(slots=True)
class MeaningState:
    """What later entries depend on.

    Attributes:
        policy: The digest of the policy in force.
        promotions: Every promotion, by its id.
        revoked: The entry that revoked each bundle.
        unlogged: The dossiers that named a piece of evidence before the log had it, by its digest.
        glass: What was skipped.
    """

    policy: str | None = None
    promotions: dict[str, _Promotion] = field(default_factory=dict)
    revoked: dict[str, int] = field(default_factory=dict)
    unlogged: dict[str, list[bytes]] = field(default_factory=dict)
    glass: GlassState = field(default_factory=GlassState)


class MeaningJudge(Judge):
    """One walk along a log, remembering what later entries depend on.

    Args:
        log: The log.
        pins: Who is who.
    """

    NAME = "meaning"
    STATE = MeaningState
    state: MeaningState

    def __init__(self, log: JudgedLog, pins: Pins) -> None:
        super().__init__(log)
        self._pins = pins

    @property
    def _glass(self) -> GlassJudge:
        return GlassJudge(self.log, self._pins, self.state.glass, self.findings)

    @property
    def broken_glass(self) -> list[BrokenGlass]:
        """Every decision for which the glass was broken."""
        return self._glass.uses()

    def step(self, record: Record) -> None:
        """Judge the next record."""
        entry = record.entry
        if self.state.unlogged and entry.envelope_digest is not None:
            self.state.unlogged.pop(entry.envelope_digest, None)
        if record.statement is not None:
            self._check_statement(record)
        match entry.type:
            case EntryType.POLICY_CHANGED | EntryType.TRUST_CHANGED:
                self._change_document(record)
            case kind if kind in _TOLD_OF_PROMOTIONS:
                self._hear(record, self._promotion(record))
            case EntryType.PROMOTION_CANCELLED:
                self._promotion(record).cancelled_at = record.index
            case EntryType.VERSION_REVOKED:
                self.state.revoked.setdefault(str(entry.subject.get("bundle_digest", "")), record.index)
            case EntryType.VERSION_ADMITTED:
                promotion = self._promotion(record)
                self._admit(record, promotion)
                promotion.admitted_at = record.index
            case EntryType.BREAK_GLASS_USED | EntryType.BREAK_GLASS_REVIEWED:
                self._glass.step(record)

    def finish(self) -> None:
        """Tell of evidence that never came, and of a broken glass that no entry tells of."""
        missing: dict[bytes, list[str]] = {}
        for digest, dossiers in self.state.unlogged.items():
            for reference in dossiers:
                missing.setdefault(reference, []).append(digest)
        for reference, digests in missing.items():
            message = f"the dossier names evidence that the log does not have: {', '.join(digests)}"
            self.add(Verdict.INCOMPLETE, self.log.recall(reference), Code.EVIDENCE_UNLOGGED, message)
        self._glass.finish()

    def _hear(self, record: Record, promotion: _Promotion) -> None:
        """Judge what is told of a promotion, and remember it."""
        if record.entry.type is EntryType.DOSSIER_ISSUED:
            self._issue_dossier(record)
        elif record.entry.type is EntryType.DECISION_MADE:
            self._decide(record, promotion)
        promotion.told.append(self.log.remember(record))

    def _promotion(self, record: Record) -> _Promotion:
        name = str(record.entry.subject.get("promotion", ""))
        found = self.state.promotions.get(name)
        if found is None:
            found = self.state.promotions[name] = _Promotion()
        return found

    def _told(self, promotion: _Promotion) -> dict[EntryType, list[Record]]:
        """Return what was told of a promotion, by type and in order."""
        told: dict[EntryType, list[Record]] = {each: [] for each in _TOLD_OF_PROMOTIONS}
        for record in map(self.log.recall, promotion.told):
            told[record.entry.type].append(record)
        return told

    def _check_statement(self, record: Record) -> None:
        """Insist that the entry and the statement that it rests on are about the same thing."""
        subject, statement, predicate = record.entry.subject, record.statement, record.predicate
        if statement is None:
            return
        told = subject.get("bundle_digest")
        if told is not None and statement.subject_digest != told:
            message = f"it is about bundle {told}, its statement about {statement.subject_digest}"
            self.violated(record, Code.DOCUMENT_MISQUOTED, message)
        if predicate is None or record.entry.type is EntryType.EVIDENCE_ADDED:
            return
        if predicate.promotion != subject.get("promotion", ""):
            message = f"its statement is for another promotion: {predicate.promotion!r}"
            self.violated(record, Code.DOCUMENT_MISQUOTED, message)
        problem = _contradiction(self.log.environment, record)
        if problem:
            self.violated(record, Code.DOCUMENT_MISQUOTED, problem)

    def _change_document(self, record: Record) -> None:
        entry = record.entry
        if entry.new is None or entry.new != entry.envelope_digest:
            message = f"it sets {entry.new!r} and rests on the document {entry.envelope_digest!r}"
            self.violated(record, Code.ENTRY_INCONSISTENT, message)
        if entry.type is EntryType.POLICY_CHANGED:
            self.state.policy = entry.new
            self._glass.change_policy(str(entry.envelope_digest))

    def _issue_dossier(self, record: Record) -> None:
        if not isinstance(record.predicate, Dossier):
            return
        self._check_policy(record, record.predicate.policy_digest)
        for digest in record.predicate.evidence:
            if not self.log.is_named(digest):
                self.state.unlogged.setdefault(digest, []).append(self.log.remember(record))

    def _decide(self, record: Record, promotion: _Promotion) -> None:
        decision = record.predicate
        if not isinstance(decision, Decision):
            return
        self._check_policy(record, decision.policy.digest.sha256)
        if decision.passed:
            told = self._told(promotion)
            dossiers = told[EntryType.DOSSIER_ISSUED]
            self.findings += judge_approvals(
                self.log.environment,
                record,
                requests=told[EntryType.PROMOTION_REQUESTED],
                dossiers=dossiers,
                words=told[EntryType.APPROVAL_RECORDED],
                pins=self._pins,
            )
            self._glass.decide(record, dossiers, told[EntryType.BREAK_GLASS_RECORDED])

    def _check_policy(self, record: Record, digest: str) -> None:
        if digest != self.state.policy:
            in_force = f"{self.state.policy} was in force" if self.state.policy else "no policy was in force"
            message = f"it was made under the policy {digest}, and {in_force}"
            self.violated(record, Code.POLICY_NOT_IN_FORCE, message)

    def _admit(self, record: Record, promotion: _Promotion) -> None:
        subject = record.entry.subject
        digest = subject.get("bundle_digest")
        if digest is None or not subject.get("promotion"):
            message = "the admission names no bundle or no promotion"
            self.violated(record, Code.ENTRY_INCONSISTENT, message)
            return
        if promotion.cancelled_at is not None:
            message = f"its promotion was cancelled before, by entry {promotion.cancelled_at}"
            self.violated(record, Code.PROMOTION_CANCELLED, message)
        if promotion.admitted_at is not None:
            message = f"its promotion was used before, by entry {promotion.admitted_at}"
            self.violated(record, Code.PROMOTION_REUSED, message)
        if str(digest) in self.state.revoked:
            message = f"its bundle was revoked before, by entry {self.state.revoked[str(digest)]}"
            self.violated(record, Code.VERSION_REVOKED, message)
        told = self._told(promotion)
        if not told[EntryType.PROMOTION_REQUESTED] and not told[EntryType.DOSSIER_ISSUED]:
            message = "the log has neither a request nor a dossier for it"
            self.add(Verdict.INCOMPLETE, record, Code.REQUEST_MISSING, message)
        passed = [
            made
            for made in told[EntryType.DECISION_MADE]
            if made.entry.new == "PASSED" and made.entry.subject.get("bundle_digest") == digest
        ]
        if len(passed) != 1:
            count = "no decision" if not passed else f"{len(passed)} decisions"
            message = f"{count} with the result PASSED for this promotion and bundle came before it"
            self.violated(record, Code.DECISION_MISSING if not passed else Code.DECISION_MISMATCH, message)
            return
        decision = passed[0]
        if record.entry.envelope_digest not in {None, decision.entry.envelope_digest}:
            message = f"it rests on another decision than entry {decision.index}"
            self.violated(record, Code.DECISION_MISMATCH, message)


def _contradiction(environment: str, record: Record) -> str:
    """Say how a statement contradicts its entry or its log; empty if it does not."""
    said = record.predicate
    if isinstance(said, PromotionRequest) and environment not in {said.source, said.target}:
        return f"the request is from {said.source} to {said.target}"
    if isinstance(said, Dossier | Approval | BreakGlass | BreakGlassReview) and said.target != environment:
        return f"its statement is for {said.target}"
    if isinstance(said, Decision):
        return _decision_contradiction(environment, record, said)
    return _misquoted(record)


def _misquoted(record: Record) -> str:
    """Say how an entry tells something else than a person signed; empty if it does not."""
    match record.predicate:
        case Approval() as approval:
            told, who = str(approval.meaning), "approver"
        case BreakGlass() as statement:
            told, who = ",".join(statement.skips), "signer"
        case BreakGlassReview() as review:
            told, who = str(review.verdict), "reviewer"
        case _:
            return ""
    logged = record.entry.new
    return "" if told == logged else f"it says {logged!r}, the {who} signed {told!r}"


def _decision_contradiction(environment: str, record: Record, decision: Decision) -> str:
    entry = record.entry
    if entry.type is EntryType.PROMOTION_RECORDED:
        return "" if decision.passed else f"{decision.environment} decided {decision.verification_result}"
    if decision.environment != environment:
        return f"the decision is by {decision.verifier.id!r}"
    if entry.type is EntryType.BREAK_GLASS_USED:
        skipped = ",".join(decision.skipped)
        return "" if skipped == entry.new else f"it says {entry.new!r}, the decision skips {skipped!r}"
    if decision.verification_result != entry.new:
        return f"it says {entry.new!r}, the decision says {decision.verification_result!r}"
    subject = entry.subject
    if {"namespace", "model", "version"} <= set(subject):
        version = int(subject["version"])
        uri = version_uri(environment, str(subject["namespace"]), str(subject["model"]), version)
        if decision.resource_uri != uri:
            return f"it is about {uri!r}, the decision about {decision.resource_uri!r}"
    return ""
