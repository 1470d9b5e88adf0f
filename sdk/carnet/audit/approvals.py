"""Whether those who approved could: the rule of separate duties.

Responsible for the approvals that a decision rests on: bound to the dossier that was open, in force when the
decision was made, each by another person, and none by who published the version or asked for it. Pure.

Does not ask how many approvals a policy wants: the decision says that it was satisfied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.signing.approval import Approval
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record


def judge_approvals(
    environment: str,
    decision: Record,
    *,
    requests: Sequence[Record],
    dossiers: Sequence[Record],
    words: Sequence[Record],
    pins: Pins,
) -> list[Finding]:
    """Judge the approvals that one decision counted.

    Those are the ones that its input attestations name; if they name none, all approvals of the promotion.

    Args:
        environment: Whose log it is.
        decision: The record of the decision.
        requests: The promotion's requests, in the order of the log.
        dossiers: Its dossiers before the decision.
        words: Its approvals, rejections, reviews and withdrawals before the decision.
        pins: Who is who.

    Returns:
        What is wrong.
    """
    findings: list[Finding] = []

    def add(verdict: Verdict, code: Code, record: Record, message: str) -> None:
        affects = describe_subject(decision.entry)
        findings.append(Finding(verdict, code, environment, record.index, message, affects))

    counted = _counted(decision, words)
    if not counted:
        return findings
    dossier = dossiers[-1] if dossiers else None
    if dossier is None:
        message = "the decision counts approvals, and the log has no dossier for them"
        add(Verdict.INCOMPLETE, Code.DOSSIER_MISSING, decision, message)
        return findings
    excluded, unknown = _excluded(requests, dossier, pins)
    for party in unknown:
        message = f"independence cannot be judged: the {party} belongs to no pinned person"
        add(Verdict.CANNOT_VERIFY, Code.PARTY_UNPINNED, decision, message)
    approved_by: dict[str, int] = {}
    for record, approval in counted:
        for code, problem in [*_unbound(approval, dossier, decision), *_taken_back(record, words)]:
            add(Verdict.POLICY_VIOLATED, code, record, f"a counted approval {problem}")
        person = record.signed_by(pins)
        if person is None:
            findings += _unknown(environment, decision, record)
            continue
        if person in excluded:
            message = f"{person} approved a promotion as its {excluded[person]}: that must be somebody else"
            add(Verdict.POLICY_VIOLATED, Code.SEPARATION_OF_DUTIES, record, message)
        if person in approved_by:
            message = f"{person} is counted twice: by entries {approved_by[person]} and {record.index}"
            add(Verdict.POLICY_VIOLATED, Code.PERSON_COUNTED_TWICE, record, message)
        approved_by.setdefault(person, record.index)
    return findings


def _counted(decision: Record, words: Sequence[Record]) -> list[tuple[Record, Approval | None]]:
    """Return the approvals that a decision counted; of one that was erased, its entry alone."""
    approved = [
        (record, record.predicate if isinstance(record.predicate, Approval) else None)
        for record in words
        if _meaning_of(record) == "approved"
    ]
    if not isinstance(decision.predicate, Decision):
        return []
    inputs = {each.digest.sha256 for each in decision.predicate.input_attestations}
    named = [pair for pair in approved if pair[0].entry.envelope_digest in inputs]
    return named or approved


def _meaning_of(record: Record) -> str:
    """Return what an approver said: as it was signed or, where that was erased, as the entry says."""
    if isinstance(record.predicate, Approval):
        return record.predicate.meaning
    return record.entry.new or "" if record.erased else ""


def _excluded(requests: Sequence[Record], dossier: Record, pins: Pins) -> tuple[dict[str, str], list[str]]:
    """Return who may not approve, with why, and which parties are nobody that is pinned."""
    excluded: dict[str, str] = {}
    unknown: list[str] = []
    if isinstance(dossier.predicate, Dossier):
        parties = {"requester": dossier.predicate.requester, "publisher": dossier.predicate.publisher}
        for party, subject in parties.items():
            person = pins.person_of_subject(subject)
            if person is None:
                unknown.append(f"{party} {subject!r}")
            else:
                excluded.setdefault(person, party)
    for request in requests:
        signer = pins.person_of_key(request.signer)
        if signer is not None:
            excluded.setdefault(signer, "requester")
    return excluded, unknown


def _unknown(environment: str, decision: Record, record: Record) -> list[Finding]:
    """Say that nobody pinned signed; nothing of what was erased, whose signature is told as lost."""
    if record.erased:
        return []
    message = "a counted approval is signed by no pinned person"
    affects = describe_subject(decision.entry)
    return [Finding(Verdict.CANNOT_VERIFY, Code.SIGNER_UNPINNED, environment, record.index, message, affects)]


def _unbound(approval: Approval | None, dossier: Record, decision: Record) -> list[tuple[Code, str]]:
    if approval is None:
        return []  # It was erased.
    problems = []
    if approval.dossier_digest != dossier.entry.envelope_digest:
        message = f"is for another dossier than the last one issued (entry {dossier.index})"
        problems.append((Code.APPROVAL_UNBOUND, message))
    if isinstance(dossier.predicate, Dossier):
        asked = (
            dossier.predicate.source,
            dossier.predicate.policy_digest,
            dossier.predicate.evidence_set_digest,
        )
        if asked != (approval.source, approval.policy_digest, approval.evidence_set_digest):
            message = "names another source, policy or set of evidence than its dossier"
            problems.append((Code.APPROVAL_UNBOUND, message))
    if isinstance(decision.predicate, Decision):
        if approval.policy_digest != decision.predicate.policy.digest.sha256:
            message = "was given under another policy than the decision was made under"
            problems.append((Code.APPROVAL_UNBOUND, message))
        if approval.expires_at < decision.predicate.time_verified:
            problems.append((Code.APPROVAL_EXPIRED, "had expired when the decision was made"))
    return problems


def _taken_back(record: Record, words: Sequence[Record]) -> list[tuple[Code, str]]:
    """Find what the same key said later: a person's latest word is the one that holds."""
    return [
        (
            Code.APPROVAL_WITHDRAWN,
            f"was overruled by its own approver in entry {later.index} ({_meaning_of(later)})",
        )
        for later in words
        if later.index > record.index
        and _is_by_the_same(later, record)
        and _meaning_of(later) in {"rejected", "withdrawn"}
    ]


def _is_by_the_same(later: Record, record: Record) -> bool:
    if later.erased or record.erased:
        return later.entry.actor.subject == record.entry.actor.subject
    return later.signer == record.signer
