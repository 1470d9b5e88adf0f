"""Whether those who broke the glass could, and whether somebody else looked at it afterwards.

Responsible for the statements that a decision rests on where it skips rules: bound to the dossier that was
open, in force, by enough different people, none of them the publisher, and for rules that the policy in force
let them skip; for the reviews; and for listing every such admission, which is no finding by itself. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from carnet.audit.report import BrokenGlass, Finding, GlassStatement, Verdict, describe_subject
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet.audit.glass_terms import GlassTerms
    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record


@dataclass(slots=True)
class _Use:
    """A decision that skips rules, and what became of it."""

    decision: Record
    listed: BrokenGlass
    parties: frozenset[str]
    is_logged: bool = False
    reviewed_at: int | None = None


@dataclass(slots=True)
class GlassJudge:
    """One walk along a log, remembering what was skipped and what is still to be reviewed.

    Attributes:
        environment: Whose log it is.
        pins: Who is who.
        terms: The terms of each policy document, by its digest; None for one that has none.
        findings: What is wrong, so far.
    """

    environment: str
    pins: Pins
    terms: Mapping[str, GlassTerms | None]
    findings: list[Finding] = field(default_factory=list)
    _uses: list[_Use] = field(default_factory=list)

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
            self._violated(record, f"it says PASSED, and that {', '.join(unmet)} did not")
        skipped = set(decision.skipped)
        if not skipped:
            return
        dossier = dossiers[-1].predicate if dossiers else None
        if not isinstance(dossier, Dossier):
            self._add(Verdict.INCOMPLETE, record, "it skips rules, and the log has no dossier for that")
            return
        inputs = {each.digest.sha256 for each in decision.input_attestations}
        named = [each for each in statements if each.entry.envelope_digest in inputs]
        terms = self.terms.get(decision.policy.digest.sha256)
        if terms is None:
            self._violated(record, "it skips rules, and the policy in force lets nobody skip any")
        else:
            self._judge(record, dossiers[-1], named, terms)
        self._uses.append(self._used(record, decision, dossier, named, terms))

    def step(self, record: Record) -> None:
        """Judge an entry that is about a glass that was broken; pass over any other."""
        if record.entry.type is EntryType.BREAK_GLASS_USED:
            self._log_use(record)
        elif record.entry.type is EntryType.BREAK_GLASS_REVIEWED:
            self._review(record)

    def _log_use(self, record: Record) -> None:
        """Note the entry that says aloud that the glass was broken."""
        use = self._use_of(record)
        if use is None or use.decision.entry.envelope_digest != record.entry.envelope_digest:
            self._violated(record, "no decision that skips rules came before it")
        else:
            use.is_logged = True

    def _review(self, record: Record) -> None:
        """Judge a review, and close what it is about."""
        said = record.predicate
        if not isinstance(said, BreakGlassReview) and not record.erased:
            return
        use = self._use_of(record)
        about = said.decision_digest if isinstance(said, BreakGlassReview) else None
        if use is None or about not in {None, use.decision.entry.envelope_digest}:
            self._violated(record, "it reviews a decision that skips nothing, or that the log does not have")
            return
        if use.reviewed_at is not None:
            self._violated(record, f"it was reviewed before, by entry {use.reviewed_at}")
            return
        person = record.signed_by(self.pins)
        if person is None and not record.erased:
            self._add(Verdict.CANNOT_VERIFY, record, "the review is signed by no pinned person")
        elif person in use.parties:
            self._violated(record, f"{person} reviewed what they had a part in: that must be somebody else")
        use.reviewed_at = record.index
        # Of one that is genuine the entry says the same; a review that says otherwise is a finding.
        verdict = said.verdict if isinstance(said, BreakGlassReview) else record.entry.new or ""
        use.listed = replace(use.listed, review=verdict, reviewed_by=person or "")

    def finish(self) -> list[BrokenGlass]:
        """Return every use, with what became of it; one that no entry tells of is a finding."""
        for use in self._uses:
            if not use.is_logged:
                self._violated(use.decision, "it skips rules, and no entry says that the glass was broken")
        return [use.listed for use in self._uses]

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
            self._violated(record, f"it skips {', '.join(shut)}, which the policy in force lets nobody skip")
        unseen = sorted(skipped - {each.rule for each in said.open_rules})
        if said.open_rules and unseen:
            self._violated(record, f"it skips {', '.join(unseen)}, which its dossier does not show as open")
        excluded = self._excluded(record, said, terms)
        people: dict[str, int] = {}
        for each in named:
            if not isinstance(each.predicate, BreakGlass) and not each.erased:
                continue
            for problem in _unbound(each.predicate, dossier, decision, terms):
                self._violated(each, f"a counted break-glass {problem}")
            self._check_none_overdue(each)
            self._check_person(each, excluded, people)
        if len(people) < terms.count:
            self._violated(record, f"{len(people)} of {terms.count} people broke the glass for what it skips")

    def _check_person(self, each: Record, excluded: Mapping[str, str], people: dict[str, int]) -> None:
        """Count who signed a statement, and see that it is somebody else than the others and the parties."""
        person = each.signed_by(self.pins)
        if person is None and not each.erased:
            self._add(Verdict.CANNOT_VERIFY, each, "a counted break-glass is signed by no pinned person")
        elif person is not None and person in excluded:
            self._violated(each, f"{person} broke the glass as its {excluded[person]}")
        if person is not None and person in people:
            self._violated(each, f"{person} is counted twice: by entries {people[person]} and {each.index}")
        unknown = each.entry.actor.subject if each.erased else f"key {each.signer}"
        people.setdefault(person or unknown, each.index)

    def _excluded(self, record: Record, dossier: Dossier, terms: GlassTerms) -> dict[str, str]:
        parties = {"publisher": dossier.publisher}
        if terms.count == 1:
            parties["requester"] = dossier.requester
        excluded: dict[str, str] = {}
        for party, subject in parties.items():
            person = self.pins.person_of_subject(subject)
            if person is None:
                message = f"independence cannot be judged: the {party} {subject!r} is no pinned person"
                self._add(Verdict.CANNOT_VERIFY, record, message)
            else:
                excluded.setdefault(person, party)
        return excluded

    def _check_none_overdue(self, statement: Record) -> None:
        for use in self._uses:
            due = use.listed.due_at
            is_open = use.reviewed_at is None or use.reviewed_at > statement.index
            if due is not None and due <= statement.entry.time and is_open:
                self._violated(
                    statement,
                    f"the glass was broken again while the review of entry {use.decision.index} was overdue",
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
        parties = {self.pins.person_of_subject(each) for each in subjects}
        parties |= {each.signed_by(self.pins) for each in named}
        statements = tuple(
            self._told(each) for each in named if isinstance(each.predicate, BreakGlass) or each.erased
        )
        listed = BrokenGlass(
            environment=self.environment,
            index=record.index,
            affects=describe_subject(record.entry),
            skipped=decision.skipped,
            statements=statements,
            decided_at=record.entry.time,
            due_at=record.entry.time + terms.review_within if terms else None,
        )
        return _Use(record, listed, frozenset(each for each in parties if each))

    def _told(self, record: Record) -> GlassStatement:
        person = record.signed_by(self.pins) or "nobody pinned"
        if isinstance(record.predicate, BreakGlass):
            return GlassStatement(person, record.predicate.ticket, record.predicate.reason)
        return GlassStatement(person, "", "", erased=True)

    def _use_of(self, record: Record) -> _Use | None:
        promotion = record.entry.subject.get("promotion")
        return next(
            (each for each in self._uses if each.decision.entry.subject.get("promotion") == promotion), None
        )

    def _violated(self, record: Record, message: str) -> None:
        self._add(Verdict.POLICY_VIOLATED, record, message)

    def _add(self, verdict: Verdict, record: Record, message: str) -> None:
        affects = describe_subject(record.entry)
        text = f"{record.entry.type}: {message}"
        self.findings.append(Finding(verdict, self.environment, record.index, text, affects))


def _unbound(said: object, dossier: Record, decision: Decision, terms: GlassTerms) -> list[str]:
    if not isinstance(said, BreakGlass):
        return []  # It was erased.
    problems = []
    asked = dossier.predicate
    assert isinstance(asked, Dossier)
    if said.dossier_digest != dossier.entry.envelope_digest:
        problems.append(f"is for another dossier than the last one issued (entry {dossier.index})")
    if (asked.source, asked.policy_digest, asked.evidence_set_digest) != (
        said.source,
        said.policy_digest,
        said.evidence_set_digest,
    ):
        problems.append("names another source, policy or set of evidence than its dossier")
    if said.policy_digest != decision.policy.digest.sha256:
        problems.append("was given under another policy than the decision was made under")
    if said.expires_at < decision.time_verified:
        problems.append("had expired when the decision was made")
    if said.expires_at - said.signed_at > terms.max_validity:
        problems.append("was good for longer than the policy in force lets it be")
    unsigned = sorted(set(decision.skipped) - set(said.skips))
    if unsigned:
        problems.append(f"does not name {', '.join(unsigned)}, which was skipped")
    return problems
