"""Who may break the glass, whose statements count, and what they make of an evaluation.

Pure rules. A statement is bound to the promotion, to the dossier that stands and to the rules that it names;
it is short, counts for one person, and skips nothing that its signer was not shown. The publisher never
counts, and who asked for the promotion only beside somebody else. What was admitted so falls due for review
by a person who had no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carnet.errors import ConflictError, PermissionDeniedError, PreconditionFailedError, StatementInvalidError
from carnet.signing.break_glass import BreakGlass, BreakGlassReview
from carnet.signing.dsse import parse_envelope
from carnet.signing.statement import parse_statement
from carnet_policies import break_glass
from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.schema_fields import in_words
from carnet_server.admission.ages import CLOCK_SKEW
from carnet_server.admission.dossier import is_shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from carnet.signing.dossier import Dossier
    from carnet.signing.statement import Statement
    from carnet_policies.evaluation import Evaluation
    from carnet_policies.facts import Party
    from carnet_policies.schema import BreakGlassTerms, PolicyDocument
    from carnet_server.admission.domain import Admission, HeldApproval, Signer

MEANING: Final = "break-glass"
REVIEWS: Final = {"accepted": "review-accepted", "rejected": "review-rejected"}
PURPOSE: Final = "break-glass"
ROLE: Final = "breaker"


def check_break_glass(
    statement: Statement,
    breaker: Signer,
    admission: Admission,
    dossier: Dossier,
    policy: PolicyDocument,
    *,
    now: datetime,
) -> BreakGlass:
    """Read a statement, and insist that it is about the dossier that stands and that its signer may make it.

    Args:
        statement: The statement, out of an envelope that is verified.
        breaker: Who signed it.
        admission: The promotion, with the people behind its publisher and requester as they are today.
        dossier: Its dossier.
        policy: The policy in force.
        now: This environment's clock.

    Raises:
        StatementInvalidError: It is malformed, about something else, expired, too long, or from the future.
        ConflictError: It is about another dossier than the one that stands now.
        PreconditionFailedError: The policy lets nobody skip one of these, or it is by rollout.
        PermissionDeniedError: The signer is nobody, published the version, or would be alone with their wish.
    """
    said = BreakGlass.parse(statement)
    _check_bound(
        {
            "promotion": (said.promotion, admission.promotion),
            "source": (said.source, admission.source),
            "target": (said.target, dossier.target),
            "subject": (statement.subject_name, admission.subject_name),
            "subject digest": (statement.subject_digest, admission.bundle_digest),
        }
    )
    if said.dossier_digest != admission.dossier_digest:
        raise ConflictError(
            f"the break-glass is about dossier {said.dossier_digest}, and the one that stands is "
            f"{admission.dossier_digest}: read it, and sign again",
            metadata={"dossierDigest": admission.dossier_digest or ""},
        )
    _check_bound(
        {
            "policy_digest": (said.policy_digest, dossier.policy_digest),
            "evidence_set_digest": (said.evidence_set_digest, dossier.evidence_set_digest),
        }
    )
    if admission.by_rollout:
        raise PreconditionFailedError(
            f"promotion {admission.promotion} is by rollout, and an emergency does not wait for one: ask for "
            "a promotion that moves the alias itself",
            metadata={"promotion": admission.promotion},
        )
    terms = policy.break_glass
    refused = [rule for rule in said.skips if terms is None or rule not in terms.skips]
    if terms is None or refused:
        allowed = f"only {', '.join(terms.skips)}" if terms else "none of its rules"
        raise PreconditionFailedError(
            f"{', '.join(refused)} cannot be skipped: {dossier.target}'s policy lets people skip {allowed}",
            metadata={"promotion": admission.promotion},
        )
    _check_times(said, terms, now)
    _check_breaker(breaker, admission, terms)
    return said


def _check_bound(fields: dict[str, tuple[str, str]]) -> None:
    for field, (signed, wanted) in fields.items():
        if signed != wanted:
            raise StatementInvalidError(
                f"the statement is about {field} {signed!r}, and this promotion's is {wanted!r}",
                metadata={"field": field},
            )


def _check_times(said: BreakGlass, terms: BreakGlassTerms, now: datetime) -> None:
    if said.expires_at <= now:
        raise StatementInvalidError(
            f"the break-glass expired at {said.expires_at.isoformat()}: sign again",
            metadata={"field": "expires_at"},
        )
    if said.signed_at > now + CLOCK_SKEW:
        raise StatementInvalidError(
            f"the break-glass is from the future ({said.signed_at.isoformat()}): set the signer's clock",
            metadata={"field": "signed_at"},
        )
    if said.expires_at - said.signed_at > terms.max_validity:
        raise StatementInvalidError(
            f"the break-glass is good for {in_words(said.expires_at - said.signed_at)}, and the policy lets "
            f"it be for {in_words(terms.max_validity)} at most: sign again with --expires",
            metadata={"field": "expires_at"},
        )


def _check_breaker(breaker: Signer, admission: Admission, terms: BreakGlassTerms) -> None:
    if breaker.person is None:
        raise PermissionDeniedError(
            f"{breaker.subject} maps to no person, and people break the glass",
            metadata={"subject": breaker.subject},
        )
    parties = [("published this version", admission.publisher, admission.publisher_person)]
    if terms.count == 1:
        parties.append(("asked for this promotion", admission.requester, admission.requester_person))
    for deed, subject, person in parties:
        if person is None:
            raise PermissionDeniedError(
                f"{subject}, who {deed}, maps to no person, so nobody can be shown to be somebody else",
                metadata={"subject": subject},
            )
        if breaker.subject == subject or breaker.person == person:
            raise PermissionDeniedError(
                f"{breaker.person} {deed}: somebody else must break the glass",
                metadata={"subject": breaker.subject},
            )


def said_in(held: HeldApproval) -> BreakGlass:
    """Return what a held statement says.

    Raises:
        NotFoundError: It was erased.
    """
    return BreakGlass.parse(parse_statement(parse_envelope(held.signed())))


def _breaking(held: HeldApproval) -> break_glass.Breaking:
    said = said_in(held)
    return break_glass.Breaking(
        held.person, frozenset(said.skips), said.ticket, said.signed_at, held.expires_at
    )


def counted_breakers(
    held: Iterable[HeldApproval],
    rules: Iterable[str],
    *,
    publisher: Party,
    requester: Party | None,
    terms: BreakGlassTerms,
    now: datetime,
) -> tuple[HeldApproval, ...]:
    """Return the statements that count for skipping some rules: one a person, in order of the person.

    Args:
        held: What was said about the dossier that stands, with the persons as they count today.
        rules: All the rules that stand open.
        publisher: Who published the version.
        requester: Who asked for the promotion.
        terms: The policy's terms.
        now: This environment's clock.
    """
    excluded = break_glass.excluded_people(terms, publisher, requester)
    if excluded is None:
        return ()
    wanted = set(rules)
    found: dict[str, HeldApproval] = {}
    for each in held:
        if each.person is not None and break_glass.counts(_breaking(each), wanted, excluded, now=now):
            found[each.person] = each
    return tuple(found[person] for person in sorted(found))


def with_break_glass(
    evaluation: Evaluation,
    policy: PolicyDocument,
    dossier: Dossier | None,
    statements: Sequence[HeldApproval],
    *,
    publisher: Party,
    requester: Party | None,
    emergency: bool,
    now: datetime,
) -> tuple[Evaluation, tuple[HeldApproval, ...]]:
    """Return what an evaluation is with what people signed, and the statements that it rests on.

    Args:
        evaluation: What the policy says, and whether the version is revoked.
        policy: The policy in force.
        dossier: The dossier that stands.
        statements: What was said about it, with the persons as they count today.
        publisher: Who published the version.
        requester: Who asked for the promotion.
        emergency: Whether the promotion was asked for as an emergency: what failed waits for people then.
        now: This environment's clock.
    """
    terms = policy.break_glass
    if terms is None or not break_glass.can_be_skipped(policy, evaluation):
        return evaluation, ()
    found = break_glass.open_rules(evaluation)
    counted: tuple[HeldApproval, ...] = ()
    if dossier is not None and all(is_shown(dossier, result) for result in found):
        rules = [result.rule for result in found]
        counted = counted_breakers(
            statements, rules, publisher=publisher, requester=requester, terms=terms, now=now
        )
    people = [each.person or "" for each in counted]
    if len(people) >= terms.count:
        tickets = ", ".join(dict.fromkeys(said_in(each).ticket for each in counted))
        return break_glass.skip_open(evaluation, people, terms.count, tickets), counted
    if emergency or people:
        return break_glass.hold_open(evaluation, people, terms), ()
    return evaluation, ()


def shown_in_emergency(evaluation: Evaluation) -> tuple[RuleResult, ...]:
    """Return the open rules that a dossier must name; none where an ordinary dossier shows them."""
    waits = any(
        result.rule == break_glass.RULE and result.status is RuleStatus.AWAITING
        for result in evaluation.results
    )
    found = break_glass.open_rules(evaluation) if waits else ()
    ordinary = all(
        result.status is RuleStatus.AWAITING and (result.awaits_people or result.awaits_clock)
        for result in found
    )
    return () if ordinary else found


def was_broken(admission: Admission) -> bool:
    """Whether the glass was broken for what was admitted."""
    return admission.evaluation is not None and bool(admission.evaluation.evaluation.skipped)


def check_review(
    statement: Statement,
    reviewer: Signer,
    admission: Admission,
    statements: Iterable[HeldApproval],
    *,
    environment: str,
    now: datetime,
) -> BreakGlassReview:
    """Read a review, and insist that it is of this admission, by somebody who had no part in it.

    Args:
        statement: The statement, out of an envelope that is verified.
        reviewer: Who signed it.
        admission: The promotion, admitted with the glass broken.
        statements: The statements that broke it.
        environment: This environment.
        now: Its clock.

    Raises:
        StatementInvalidError: It is malformed, about something else, or from the future.
        PermissionDeniedError: The reviewer is nobody, or had a part in it.
    """
    said = BreakGlassReview.parse(statement)
    _check_bound(
        {
            "promotion": (said.promotion, admission.promotion),
            "target": (said.target, environment),
            "decision_digest": (said.decision_digest, admission.decision_digest or ""),
            "subject": (statement.subject_name, admission.subject_name),
            "subject digest": (statement.subject_digest, admission.bundle_digest),
        }
    )
    if said.signed_at > now + CLOCK_SKEW:
        raise StatementInvalidError(
            f"the review is from the future ({said.signed_at.isoformat()}): set the reviewer's clock",
            metadata={"field": "signed_at"},
        )
    if reviewer.person is None:
        raise PermissionDeniedError(
            f"{reviewer.subject} maps to no person, and people review",
            metadata={"subject": reviewer.subject},
        )
    parts = [
        ("published this version", admission.publisher, admission.publisher_person),
        ("asked for this promotion", admission.requester, admission.requester_person),
        *(("broke the glass", each.approver, each.person) for each in statements),
    ]
    for deed, subject, person in parts:
        if reviewer.subject == subject or reviewer.person == person:
            raise PermissionDeniedError(
                f"{reviewer.person} {deed}: somebody else must review it",
                metadata={"subject": reviewer.subject},
            )
    return said
