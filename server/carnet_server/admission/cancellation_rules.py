"""Who may end a promotion before its time.

Pure rules. A promotion is ended by whoever asked for it, or by an operator of the namespace. A cancellation
may arrive before the promotion does; it is kept, and binds then if its signer turns out to be one of these:
so a late admission is refused, and nobody can take away another's promotion by knowing its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import PermissionDeniedError, StatementInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet.signing.statement import Statement
    from carnet_server.access.key_ring import TrustedKey
    from carnet_server.access.trust import Trust
    from carnet_server.admission.domain import Admission, HeldCancellation


def is_operator(trust: Trust, subject: str, namespace: str) -> bool:
    """Whether a subject operates a namespace."""
    return "operator" in trust.acting_roles(subject, namespace)


def check_canceller(
    key: TrustedKey, statement: Statement, admission: Admission | None, namespace: str, trust: Trust
) -> None:
    """Insist that a signer may cancel a promotion, and that the statement is about its bundle.

    Args:
        key: The signer's key.
        statement: The signed statement.
        admission: The promotion; None where it was not heard of here so far.
        namespace: The namespace that the statement names.
        trust: The trust document in force.

    Raises:
        StatementInvalidError: The statement is about another bundle than the promotion.
        PermissionDeniedError: The signer neither asked for the promotion nor operates the namespace.
    """
    if admission is not None:
        stated = (statement.subject_name, statement.subject_digest)
        if stated != (admission.subject_name, admission.bundle_digest):
            raise StatementInvalidError(
                f"the cancellation is about {stated[0]} ({stated[1]}), and promotion {admission.promotion} "
                f"about {admission.subject_name} ({admission.bundle_digest})",
                metadata={"field": "subject"},
            )
    if is_operator(trust, key.subject, namespace) and "cancellation" in key.purposes:
        return
    if admission is None:
        asked_under = trust.for_token(key.token) if key.token else trust
        allowed = "requester" in asked_under.acting_roles(key.subject, namespace)
    else:
        allowed = key.subject == admission.requester
    if not allowed:
        raise PermissionDeniedError(
            f"{key.subject} may not cancel this promotion: its requester or an operator of namespace "
            f"{namespace!r} signs the cancellation",
            metadata={"subject": key.subject},
        )


def binding_cancellation(
    cancellations: Iterable[HeldCancellation], requester: str, namespace: str, trust: Trust
) -> HeldCancellation | None:
    """Return the first cancellation that ends a promotion; None where none does.

    Args:
        cancellations: What is held for the promotion's id.
        requester: The subject that signed its request.
        namespace: The request's namespace.
        trust: The trust document in force.
    """
    return next(
        (
            each
            for each in cancellations
            if each.canceller == requester or is_operator(trust, each.canceller, namespace)
        ),
        None,
    )
