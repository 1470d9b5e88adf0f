"""What an approver may say, and which of the things said count.

Pure rules. An approval is bound to the dossier that stands: another promotion's, another dossier's or an
expired one is none. People count, not accounts: whose subject maps to nobody is heard and not counted, and
whose work it is may not approve it. What was said is never forgotten; a person's latest word holds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from carnet.errors import (
    ConflictError,
    PermissionDeniedError,
    PreconditionFailedError,
    StatementInvalidError,
)
from carnet.signing.approval import Approval
from carnet.signing.dsse import parse_envelope
from carnet.signing.statement import parse_statement
from carnet_policies.facts import ApprovalFact
from carnet_server.admission.ages import CLOCK_SKEW

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from carnet.signing.dossier import Dossier
    from carnet.signing.statement import Statement
    from carnet_policies.facts import Party
    from carnet_server.access.trust import Trust
    from carnet_server.admission.domain import Admission, HeldApproval, Signer

ENDORSEMENTS = frozenset({"reviewed", "approved"})
MEANINGS = ENDORSEMENTS | {"rejected", "withdrawn"}


def check_approval(
    statement: Statement, approver: Signer, admission: Admission, dossier: Dossier, *, now: datetime
) -> Approval:
    """Read an approver's statement, and insist that it is about the dossier that stands.

    Args:
        statement: The statement, out of an envelope that is verified.
        approver: Who signed it.
        admission: The promotion.
        dossier: Its dossier.
        now: This environment's clock.

    Returns:
        The approval.

    Raises:
        StatementInvalidError: It is malformed, about something else, expired, or from the future.
        ConflictError: It is about another dossier than the one that stands now.
        PreconditionFailedError: The dossier has expired, or is one for breaking the glass only.
        PermissionDeniedError: The approver published the version or asked for the promotion.
    """
    approval = Approval.parse(statement)
    _check_bound(approval, statement, admission, dossier)
    if approval.dossier_digest != admission.dossier_digest:
        raise ConflictError(
            f"the approval is about dossier {approval.dossier_digest}, and the one that stands is "
            f"{admission.dossier_digest}: read it, and sign again",
            metadata={"dossierDigest": admission.dossier_digest or ""},
        )
    for field, signed, wanted in (
        ("policy_digest", approval.policy_digest, dossier.policy_digest),
        ("evidence_set_digest", approval.evidence_set_digest, dossier.evidence_set_digest),
    ):
        if signed != wanted:
            raise _wrong(field, signed, wanted)
    if dossier.expires_at <= now:
        raise PreconditionFailedError(
            f"the dossier expired at {dossier.expires_at.isoformat()}: wait for the next one, and sign that"
        )
    if approval.expires_at <= now:
        raise StatementInvalidError(
            f"the approval expired at {approval.expires_at.isoformat()}: sign again",
            metadata={"field": "expires_at"},
        )
    if approval.signed_at > now + CLOCK_SKEW:
        raise StatementInvalidError(
            f"the approval is from the future ({approval.signed_at.isoformat()}): set the approver's clock",
            metadata={"field": "signed_at"},
        )
    if approval.meaning in ENDORSEMENTS and dossier.open_rules:
        raise PreconditionFailedError(
            "rules stand open, so there is nothing to approve yet; who may break the glass can: "
            + ", ".join(each.rule for each in dossier.open_rules),
            metadata={"promotion": admission.promotion},
        )
    if approval.meaning in ENDORSEMENTS:
        check_independent(approver, admission)
    return approval


def _check_bound(approval: Approval, statement: Statement, admission: Admission, dossier: Dossier) -> None:
    for field, signed, wanted in (
        ("promotion", approval.promotion, admission.promotion),
        ("source", approval.source, admission.source),
        ("target", approval.target, dossier.target),
        ("subject", statement.subject_name, admission.subject_name),
        ("subject", statement.subject_digest, admission.bundle_digest),
    ):
        if signed != wanted:
            raise _wrong(field, signed, wanted)


def _wrong(field: str, signed: str, wanted: str) -> StatementInvalidError:
    return StatementInvalidError(
        f"the approval is about {field} {signed!r}, and this promotion's is {wanted!r}",
        metadata={"field": field},
    )


def check_independent(approver: Signer, admission: Admission) -> None:
    """Insist that an approver is neither who published the version nor who asked for the promotion.

    Raises:
        PermissionDeniedError: The approver is, as a subject or as a person.
    """
    deeds = (
        ("published this version", admission.publisher, admission.publisher_person),
        ("asked for this promotion", admission.requester, admission.requester_person),
    )
    for deed, subject, person in deeds:
        if approver.subject == subject or (approver.person is not None and approver.person == person):
            raise PermissionDeniedError(
                f"{approver.person or approver.subject} {deed}: approvers must be other people",
                metadata={"subject": approver.subject},
            )


def with_people_of_today(admission: Admission, trust: Trust) -> Admission:
    """Return a promotion with the people behind its publisher and its requester as they are today.

    Whom a job's token stood for is known of the time at which it signed only, and stays.
    """
    return replace(
        admission,
        publisher_person=trust.person_of(admission.publisher) or admission.publisher_person,
        requester_person=trust.person_of(admission.requester) or admission.requester_person,
    )


def approvals_of_dossier(
    approvals: Iterable[HeldApproval], dossier_digest: str | None
) -> tuple[HeldApproval, ...]:
    """Return what approvers said about one dossier; nothing where there is none."""
    return tuple(
        each
        for each in approvals
        if dossier_digest is not None and each.dossier_digest == dossier_digest and each.meaning in MEANINGS
    )


def approval_as_of_today(
    approval: HeldApproval,
    namespace: str,
    trust: Trust,
    *,
    alias: str,
    purpose: str = "approval",
    role: str = "approver",
) -> HeldApproval:
    """Return a statement with the person that it counts for now; none, where its key or role was taken away.

    Args:
        approval: What was said.
        namespace: The promotion's namespace.
        trust: The trust document in force.
        alias: The alias that the promotion is to move; empty for none.
        purpose: What its key must be trusted for.
        role: The role that its signer must have.
    """
    key = trust.ring(approval.created_at).key(approval.approver_key_id)
    believed = (
        key is not None
        and key.subject == approval.approver
        and purpose in key.purposes
        and key.covers(namespace)
        and role in trust.acting_roles(approval.approver, namespace, alias)
    )
    return replace(approval, person=trust.person_of(approval.approver) if believed else None)


def approval_fact(approval: HeldApproval) -> ApprovalFact:
    """Return a statement as policies see it; its time is that of its arrival here.

    Raises:
        NotFoundError: It was erased.
    """
    said = Approval.parse(parse_statement(parse_envelope(approval.signed())))
    return ApprovalFact(
        approval.person,
        approval.approver,
        approval.meaning,
        approval.created_at,
        approval.expires_at,
        said.authentication,
    )


def counted_approvals(
    approvals: Iterable[HeldApproval], authors: Collection[Party], *, now: datetime
) -> tuple[HeldApproval, ...]:
    """Return the approvals that a decision rests on: each person's latest word, where it is one that stands.

    Args:
        approvals: What was said about the dossier, in the order of arrival.
        authors: Who published the version and who asked for the promotion.
        now: This environment's clock.
    """
    latest: dict[str, HeldApproval] = {}
    for each in approvals:
        if each.person is not None:
            latest[each.person] = each
    people = {author.person for author in authors}
    return tuple(
        each
        for person, each in latest.items()
        if each.meaning == "approved" and each.expires_at > now and person not in people
    )
