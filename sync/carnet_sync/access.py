"""Who calls the promotion service by certificate, and what they may do: the interceptor and its one table.

Responsible for identity (the SPIFFE id that gRPC found in the client's certificate), for whether the
certificate is good at this call (not ended, by an authority that is believed now, not revoked), and for the
table of roles. It guards this service only: what a promotion may do is decided by the target, whoever asked
here. Callers with tokens are ``carnet_sync.bearer``'s.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.errors import PermissionDeniedError, UnauthenticatedError
from carnet.serving.call_scope import CallScope, ServicerContext, certified_peer_of
from carnet.serving.callers.certificates import read_certificate, require_valid
from carnet.serving.callers.revocations import revoked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from carnet.client.renewal import FollowedIdentity
    from carnet.serving.callers.certificates import PeerCertificate
    from carnet_sync.callers import Callers, CallersStore

_GUARDED = "/carnet.sync.v1."
_ANY_ROLE = frozenset({"reader", "requester", "operator"})
_MOVERS = frozenset({"requester", "operator"})
_WITNESS = "/carnet.registry.v1.WitnessService/"
PERMISSIONS: Mapping[str, frozenset[str]] = {
    f"{_GUARDED}PromotionService/CreatePromotion": frozenset({"requester"}),
    f"{_GUARDED}PromotionService/GetPromotion": _ANY_ROLE,
    f"{_GUARDED}PromotionService/ListPromotions": _ANY_ROLE,
    f"{_GUARDED}PromotionService/WatchPromotion": _ANY_ROLE,
    f"{_GUARDED}PromotionService/CancelPromotion": _MOVERS,
    f"{_GUARDED}PromotionService/RetryPromotion": _MOVERS,
    f"{_GUARDED}EnvironmentService/ListEnvironments": _ANY_ROLE,
    f"{_GUARDED}ComplianceService/ListReportKinds": frozenset({"auditor"}),
    f"{_GUARDED}ComplianceService/GenerateReport": frozenset({"auditor"}),
    f"{_WITNESS}AddCheckpoint": frozenset({"log"}),
    f"{_WITNESS}GetWitnessed": _ANY_ROLE | {"log"},
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a call.

    Attributes:
        subject: Its SPIFFE id, or its token's subject.
        roles: Its roles here.
        token_ends_at: When its token ends, seconds since the epoch; None for one that showed none.
    """

    subject: str
    roles: frozenset[str]
    token_ends_at: float | None = None


_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def current_caller() -> Caller:
    """Return whoever makes the present call."""
    caller = _CALLER.get()
    if caller is None:
        raise UnauthenticatedError("nobody makes this call")
    return caller


def known_caller() -> Caller | None:
    """Return whoever was let into the present call before; None where nobody was so far."""
    return _CALLER.get()


class SyncCallScope(CallScope):
    """Enters one scope a call.

    Args:
        callers: Who may do what now.
        identity: The authorities of callers; None where they cannot change.
    """

    guarded = (_GUARDED, _WITNESS)

    def __init__(self, callers: CallersStore, *, identity: FollowedIdentity | None = None) -> None:
        super().__init__()
        self._callers = callers
        self._identity = identity

    def edition(self) -> object:
        """Return what changes when callers must be looked at again; see ``CallScope.edition``."""
        return self._callers.current, self._identity and self._identity.generation

    def enter(self, method: str, request: Any, context: ServicerContext) -> Awaitable[None] | None:
        """Recognise the caller, and refuse what it may not do; see ``CallScope.enter``."""
        del request
        subject, pem, chain = certified_peer_of(context)
        certificate = read_certificate(pem)
        require_valid(certificate, chain=chain, identity=self._identity)
        callers = self._callers.current
        require_unrevoked(callers, subject, certificate)
        permit(method, Caller(subject, callers.roles(subject)))
        return None


def require_unrevoked(callers: Callers, subject: str, certificate: PeerCertificate | None = None) -> None:
    """Refuse a caller whose identity is revoked.

    Args:
        callers: What is in force.
        subject: The caller's subject.
        certificate: Its certificate; None for one that showed none.

    Raises:
        UnauthenticatedError: The subject, or this certificate of it, is revoked.
    """
    revocation = callers.revocation_of(subject, certificate)
    if revocation is not None:
        raise revoked(
            subject, revocation, mend="an administrator of the promotion service lets another identity in"
        )


def permit(method: str, caller: Caller) -> None:
    """Consult the table, and let the caller in.

    Args:
        method: The method's full name.
        caller: Whoever calls it.

    Raises:
        PermissionDeniedError: The caller has no role that may call it.
    """
    wanted = PERMISSIONS.get(method, frozenset())
    if not caller.roles & wanted:
        raise PermissionDeniedError(
            f"{caller.subject} may not call {method.rpartition('/')[2]} here: it needs the role "
            f"{' or '.join(sorted(wanted)) or 'of nobody'}, and has "
            f"{', '.join(sorted(caller.roles)) or 'none'}"
        )
    _CALLER.set(caller)
