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
from carnet.audit.break_glass import GlassJudge
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.signing.approval import Approval
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision, version_uri
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet.audit.glass_terms import GlassTerms
    from carnet.audit.pins import Pins
    from carnet.audit.report import BrokenGlass
    from carnet.audit.statements import Record


def judge_log(
    environment: str,
    records: Sequence[Record],
    pins: Pins,
    terms: Mapping[str, GlassTerms | None],
) -> tuple[list[Finding], list[BrokenGlass]]:
    """Judge one environment's log by itself.

    Args:
        environment: The environment.
        records: Every entry of its log, in order, with the statement that it rests on.
        pins: Who is who.
        terms: What each policy document lets people skip, by its digest.

    Returns:
        What is wrong, and every decision for which the glass was broken.
    """
    judge = _Judge(environment, records, pins, terms)
    return judge.run(), judge.broken_glass


@dataclass(slots=True)
class _Promotion:
    """What the log has told about one promotion so far."""

    requests: list[Record] = field(default_factory=list)
    dossiers: list[Record] = field(default_factory=list)
    approvals: list[Record] = field(default_factory=list)
    breaking: list[Record] = field(default_factory=list)
    decisions: list[Record] = field(default_factory=list)
    cancelled_at: int | None = None
    admitted_at: int | None = None


class _Judge:
    """One walk along a log, remembering what later entries depend on."""

    def __init__(
        self,
        environment: str,
        records: Sequence[Record],
        pins: Pins,
        terms: Mapping[str, GlassTerms | None],
    ) -> None:
        self._environment = environment
        self._records = records
        self._pins = pins
        self._findings: list[Finding] = []
        self._glass = GlassJudge(environment, pins, terms)
        self.broken_glass: list[BrokenGlass] = []
        self._policy: str | None = None
        self._promotions: dict[str, _Promotion] = {}
        self._revoked: dict[str, int] = {}
        self._named = {record.entry.envelope_digest for record in records}

    def run(self) -> list[Finding]:
        for record in self._records:
            self._check_statement(record)
            self._step(record)
        self.broken_glass = self._glass.finish()
        return self._findings + self._glass.findings

    def _step(self, record: Record) -> None:
        entry = record.entry
        promotion = self._promotions.setdefault(str(entry.subject.get("promotion", "")), _Promotion())
        match entry.type:
            case EntryType.POLICY_CHANGED | EntryType.TRUST_CHANGED:
                self._change_document(record)
            case EntryType.PROMOTION_REQUESTED:
                promotion.requests.append(record)
            case EntryType.DOSSIER_ISSUED:
                self._issue_dossier(record)
                promotion.dossiers.append(record)
            case EntryType.APPROVAL_RECORDED:
                promotion.approvals.append(record)
            case EntryType.BREAK_GLASS_RECORDED:
                promotion.breaking.append(record)
            case EntryType.DECISION_MADE:
                self._decide(record, promotion)
                promotion.decisions.append(record)
            case EntryType.PROMOTION_CANCELLED:
                promotion.cancelled_at = record.index
            case EntryType.VERSION_REVOKED:
                self._revoked.setdefault(str(entry.subject.get("bundle_digest", "")), record.index)
            case EntryType.VERSION_ADMITTED:
                self._admit(record, promotion)
                promotion.admitted_at = record.index
            case _:
                self._glass.step(record)

    def _check_statement(self, record: Record) -> None:
        """Insist that the entry and the statement that it rests on are about the same thing."""
        subject, statement, predicate = record.entry.subject, record.statement, record.predicate
        if statement is None:
            return
        told = subject.get("bundle_digest")
        if told is not None and statement.subject_digest != told:
            self._violated(
                record, f"it is about bundle {told}, its statement about {statement.subject_digest}"
            )
        if predicate is None or record.entry.type is EntryType.EVIDENCE_ADDED:
            return
        if predicate.promotion != subject.get("promotion", ""):
            self._violated(record, f"its statement is for another promotion: {predicate.promotion!r}")
        problem = _contradiction(self._environment, record)
        if problem:
            self._violated(record, problem)

    def _change_document(self, record: Record) -> None:
        entry = record.entry
        if entry.new is None or entry.new != entry.envelope_digest:
            self._violated(
                record, f"it sets {entry.new!r} and rests on the document {entry.envelope_digest!r}"
            )
        if entry.type is EntryType.POLICY_CHANGED:
            self._policy = entry.new

    def _issue_dossier(self, record: Record) -> None:
        if not isinstance(record.predicate, Dossier):
            return
        self._check_policy(record, record.predicate.policy_digest)
        missing = [digest for digest in record.predicate.evidence if digest not in self._named]
        if missing:
            message = f"the dossier names evidence that the log does not have: {', '.join(missing)}"
            self._add(Verdict.INCOMPLETE, record, message)

    def _decide(self, record: Record, promotion: _Promotion) -> None:
        decision = record.predicate
        if not isinstance(decision, Decision):
            return
        self._check_policy(record, decision.policy.digest.sha256)
        if decision.passed:
            self._findings += judge_approvals(
                self._environment,
                record,
                requests=promotion.requests,
                dossiers=promotion.dossiers,
                words=promotion.approvals,
                pins=self._pins,
            )
            self._glass.decide(record, promotion.dossiers, promotion.breaking)

    def _check_policy(self, record: Record, digest: str) -> None:
        if digest != self._policy:
            in_force = f"{self._policy} was in force" if self._policy else "no policy was in force"
            self._violated(record, f"it was made under the policy {digest}, and {in_force}")

    def _admit(self, record: Record, promotion: _Promotion) -> None:
        subject = record.entry.subject
        digest = subject.get("bundle_digest")
        if digest is None or not subject.get("promotion"):
            self._violated(record, "the admission names no bundle or no promotion")
            return
        if promotion.cancelled_at is not None:
            self._violated(record, f"its promotion was cancelled before, by entry {promotion.cancelled_at}")
        if promotion.admitted_at is not None:
            self._violated(record, f"its promotion was used before, by entry {promotion.admitted_at}")
        if str(digest) in self._revoked:
            self._violated(record, f"its bundle was revoked before, by entry {self._revoked[str(digest)]}")
        if not promotion.requests and not promotion.dossiers:
            self._add(Verdict.INCOMPLETE, record, "the log has neither a request nor a dossier for it")
        passed = [
            made
            for made in promotion.decisions
            if made.entry.new == "PASSED" and made.entry.subject.get("bundle_digest") == digest
        ]
        if len(passed) != 1:
            count = "no decision" if not passed else f"{len(passed)} decisions"
            self._violated(
                record, f"{count} with the result PASSED for this promotion and bundle came before it"
            )
            return
        decision = passed[0]
        if record.entry.envelope_digest not in {None, decision.entry.envelope_digest}:
            self._violated(record, f"it rests on another decision than entry {decision.index}")

    def _violated(self, record: Record, message: str) -> None:
        self._add(Verdict.POLICY_VIOLATED, record, message)

    def _add(self, verdict: Verdict, record: Record, message: str) -> None:
        affects = describe_subject(record.entry)
        text = f"{record.entry.type}: {message}"
        self._findings.append(Finding(verdict, self._environment, record.index, text, affects))


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
