"""Whether those who broke the glass could, and whether somebody else looked at it afterwards.

Responsible for the statements that a decision rests on where it skips rules: bound to the dossier that was
open, in force, by enough different people, none of them the publisher, and for rules that the policy in force
let them skip; for the reviews; and for listing every such admission, which is no finding by itself. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.glass_terms import read_terms
from carnet.audit.report import BrokenGlass, Finding, GlassStatement, Verdict, describe_subject
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet.audit.glass_terms import GlassTerms
    from carnet.audit.judging import JudgedLog
    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record


@dataclass(slots=True)
class _Use:
    """A decision that skips rules, and what became of it."""

    promotion: str
    digest: str | None
    listed: BrokenGlass
    parties: frozenset[str]
    is_logged: bool = False
    reviewed_at: int | None = None


@dataclass(slots=True)
class GlassState:
    """What was skipped, and the policies that were put in force."""

    uses: list[_Use] = field(default_factory=list)
    policies: set[str] = field(default_factory=set)


class GlassJudge:
    """One walk along a log, remembering what was skipped and what is still to be reviewed.

    Args:
        log: The log.
        pins: Who is who.
        state: What an earlier part of the log left.
        findings: Where to tell what is wrong.
    """

    def __init__(self, log: JudgedLog, pins: Pins, state: GlassState, findings: list[Finding]) -> None:
        self._log = log
        self._pins = pins
        self._state = state
        self._findings = findings

    def change_policy(self, digest: str) -> None:
        """Note that a policy was put in force: its document tells what people may skip."""
        self._state.policies.add(digest)

    def _terms(self, policy: str) -> GlassTerms | None:
        document = self._log.document(policy) if policy in self._state.policies else None
        return read_terms(document) if document is not None else None

    def decide(self, record: Record, dossiers: Sequence[Record], statements: Sequence[Record]) -> None:
        """Judge a decision that said yes.

        Args:
            record: The decision.
            dossiers: The promotion's dossiers before it.
            statements: What was signed to break the glass for it.
        """
        decision = record.predicate
        assert isinstance(decision, Decision)
        unmet = [each.rule for each in decision.rules if each.status in {"FAILED", "AWAITING"}]
        if unmet:
            self._violated(record, Code.RULES_UNMET, f"it says PASSED, and that {', '.join(unmet)} did not")
        skipped = set(decision.skipped)
        if not skipped:
            return
        dossier = dossiers[-1].predicate if dossiers else None
        if not isinstance(dossier, Dossier):
            self._add(
                Verdict.INCOMPLETE,
                record,
                Code.DOSSIER_MISSING,
                "it skips rules, and the log has no dossier for that",
            )
            return
        inputs = {each.digest.sha256 for each in decision.input_attestations}
        named = [each for each in statements if each.entry.envelope_digest in inputs]
        terms = self._terms(decision.policy.digest.sha256)
        if terms is None:
            self._violated(
                record, Code.GLASS_FORBIDDEN, "it skips rules, and the policy in force lets nobody skip any"
            )
        else:
            self._judge(record, dossiers[-1], named, terms)
        self._state.uses.append(self._used(record, decision, dossier, named, terms))

    def step(self, record: Record) -> None:
        """Judge an entry that is about a glass that was broken; pass over any other."""
        if record.entry.type is EntryType.BREAK_GLASS_USED:
            self._log_use(record)
        elif record.entry.type is EntryType.BREAK_GLASS_REVIEWED:
            self._review(record)

    def _log_use(self, record: Record) -> None:
        """Note the entry that says aloud that the glass was broken."""
        use = self._use_of(record)
        if use is None or use.digest != record.entry.envelope_digest:
            self._violated(record, Code.DECISION_MISSING, "no decision that skips rules came before it")
        else:
            use.is_logged = True

    def _review(self, record: Record) -> None:
        """Judge a review, and close what it is about."""
        said = record.predicate
        if not isinstance(said, BreakGlassReview) and not record.erased:
            return
        use = self._use_of(record)
        about = said.decision_digest if isinstance(said, BreakGlassReview) else None
        if use is None or about not in {None, use.digest}:
            self._violated(
                record,
                Code.REVIEW_UNFOUNDED,
                "it reviews a decision that skips nothing, or that the log does not have",
            )
            return
        if use.reviewed_at is not None:
            self._violated(
                record, Code.REVIEW_UNFOUNDED, f"it was reviewed before, by entry {use.reviewed_at}"
            )
            return
        person = record.signed_by(self._pins)
        if person is None and not record.erased:
            self._add(
                Verdict.CANNOT_VERIFY,
                record,
                Code.SIGNER_UNPINNED,
                "the review is signed by no pinned person",
            )
        elif person in use.parties:
            self._violated(
                record,
                Code.SEPARATION_OF_DUTIES,
                f"{person} reviewed what they had a part in: that must be somebody else",
            )
        use.reviewed_at = record.index
        # Of one that is genuine the entry says the same; a review that says otherwise is a finding.
        verdict = said.verdict if isinstance(said, BreakGlassReview) else record.entry.new or ""
        use.listed = replace(use.listed, review=verdict, reviewed_by=person or "")

    def finish(self) -> None:
        """Tell of every use that no entry tells of."""
        message = f"{EntryType.DECISION_MADE}: it skips rules, and no entry says that the glass was broken"
        self._findings += [
            Finding(
                Verdict.POLICY_VIOLATED,
                Code.GLASS_UNLOGGED,
                self._log.environment,
                use.listed.index,
                message,
                use.listed.affects,
            )
            for use in self._state.uses
            if not use.is_logged
        ]

    def uses(self) -> list[BrokenGlass]:
        """Return every use, with what became of it."""
        return [use.listed for use in self._state.uses]

    def _judge(
        self,
        record: Record,
        dossier: Record,
        named: Sequence[Record],
        terms: GlassTerms,
    ) -> None:
        decision, said = record.predicate, dossier.predicate
        assert isinstance(decision, Decision)
        assert isinstance(said, Dossier)
        skipped = set(decision.skipped)
        shut = sorted(skipped - terms.skips)
        if shut:
            self._violated(
                record,
                Code.GLASS_FORBIDDEN,
                f"it skips {', '.join(shut)}, which the policy in force lets nobody skip",
            )
        unseen = sorted(skipped - {each.rule for each in said.open_rules})
        if said.open_rules and unseen:
            self._violated(
                record,
                Code.GLASS_UNBOUND,
                f"it skips {', '.join(unseen)}, which its dossier does not show as open",
            )
        excluded = self._excluded(record, said, terms)
        people: dict[str, int] = {}
        for each in named:
            if not isinstance(each.predicate, BreakGlass) and not each.erased:
                continue
            for code, problem in _unbound(each.predicate, dossier, decision, terms):
                self._violated(each, code, f"a counted break-glass {problem}")
            self._check_none_overdue(each)
            self._check_person(each, excluded, people)
        if len(people) < terms.count:
            self._violated(
                record,
                Code.GLASS_TOO_FEW,
                f"{len(people)} of {terms.count} people broke the glass for what it skips",
            )

    def _check_person(self, each: Record, excluded: Mapping[str, str], people: dict[str, int]) -> None:
        """Count who signed a statement, and see that it is somebody else than the others and the parties."""
        person = each.signed_by(self._pins)
        if person is None and not each.erased:
            message = "a counted break-glass is signed by no pinned person"
            self._add(Verdict.CANNOT_VERIFY, each, Code.SIGNER_UNPINNED, message)
        elif person is not None and person in excluded:
            message = f"{person} broke the glass as its {excluded[person]}"
            self._violated(each, Code.SEPARATION_OF_DUTIES, message)
        if person is not None and person in people:
            message = f"{person} is counted twice: by entries {people[person]} and {each.index}"
            self._violated(each, Code.PERSON_COUNTED_TWICE, message)
        unknown = each.entry.actor.subject if each.erased else f"key {each.signer}"
        people.setdefault(person or unknown, each.index)

    def _excluded(self, record: Record, dossier: Dossier, terms: GlassTerms) -> dict[str, str]:
        parties = {"publisher": dossier.publisher}
        if terms.count == 1:
            parties["requester"] = dossier.requester
        excluded: dict[str, str] = {}
        for party, subject in parties.items():
            person = self._pins.person_of_subject(subject)
            if person is None:
                message = f"independence cannot be judged: the {party} {subject!r} is no pinned person"
                self._add(Verdict.CANNOT_VERIFY, record, Code.PARTY_UNPINNED, message)
            else:
                excluded.setdefault(person, party)
        return excluded

    def _check_none_overdue(self, statement: Record) -> None:
        for use in self._state.uses:
            due = use.listed.due_at
            is_open = use.reviewed_at is None or use.reviewed_at > statement.index
            if due is not None and due <= statement.entry.time and is_open:
                self._violated(
                    statement,
                    Code.REVIEW_OVERDUE,
                    f"the glass was broken again while the review of entry {use.listed.index} was overdue",
                )

    def _used(
        self,
        record: Record,
        decision: Decision,
        dossier: Dossier,
        named: Sequence[Record],
        terms: GlassTerms | None,
    ) -> _Use:
        subjects = (dossier.publisher, dossier.requester)
        parties = {self._pins.person_of_subject(each) for each in subjects}
        parties |= {each.signed_by(self._pins) for each in named}
        statements = tuple(
            self._told(each) for each in named if isinstance(each.predicate, BreakGlass) or each.erased
        )
        listed = BrokenGlass(
            environment=self._log.environment,
            index=record.index,
            affects=describe_subject(record.entry),
            skipped=decision.skipped,
            statements=statements,
            decided_at=record.entry.time,
            due_at=record.entry.time + terms.review_within if terms else None,
        )
        people = frozenset(each for each in parties if each)
        return _Use(_promotion_of(record), record.entry.envelope_digest, listed, people)

    def _told(self, record: Record) -> GlassStatement:
        person = record.signed_by(self._pins) or "nobody pinned"
        if isinstance(record.predicate, BreakGlass):
            return GlassStatement(person, record.predicate.ticket, record.predicate.reason)
        return GlassStatement(person, "", "", erased=True)

    def _use_of(self, record: Record) -> _Use | None:
        promotion = _promotion_of(record)
        return next((each for each in self._state.uses if each.promotion == promotion), None)

    def _violated(self, record: Record, code: Code, message: str) -> None:
        self._add(Verdict.POLICY_VIOLATED, record, code, message)

    def _add(self, verdict: Verdict, record: Record, code: Code, message: str) -> None:
        affects = describe_subject(record.entry)
        text = f"{record.entry.type}: {message}"
        self._findings.append(Finding(verdict, code, self._log.environment, record.index, text, affects))


def _promotion_of(record: Record) -> str:
    return str(record.entry.subject.get("promotion", ""))


def _unbound(said: object, dossier: Record, decision: Decision, terms: GlassTerms) -> list[tuple[Code, str]]:
    if not isinstance(said, BreakGlass):
        return []  # It was erased.
    problems = []
    asked = dossier.predicate
    assert isinstance(asked, Dossier)
    if said.dossier_digest != dossier.entry.envelope_digest:
        message = f"is for another dossier than the last one issued (entry {dossier.index})"
        problems.append((Code.GLASS_UNBOUND, message))
    if (asked.source, asked.policy_digest, asked.evidence_set_digest) != (
        said.source,
        said.policy_digest,
        said.evidence_set_digest,
    ):
        message = "names another source, policy or set of evidence than its dossier"
        problems.append((Code.GLASS_UNBOUND, message))
    if said.policy_digest != decision.policy.digest.sha256:
        message = "was given under another policy than the decision was made under"
        problems.append((Code.GLASS_UNBOUND, message))
    if said.expires_at < decision.time_verified:
        problems.append((Code.GLASS_EXPIRED, "had expired when the decision was made"))
    if said.expires_at - said.signed_at > terms.max_validity:
        message = "was good for longer than the policy in force lets it be"
        problems.append((Code.GLASS_EXPIRED, message))
    unsigned = sorted(set(decision.skipped) - set(said.skips))
    if unsigned:
        message = f"does not name {', '.join(unsigned)}, which was skipped"
        problems.append((Code.GLASS_UNBOUND, message))
    return problems
