"""Who calls the promotion service, and what they may do: one interceptor for every call.

Responsible for identity (the SPIFFE id that gRPC found in the client's certificate), the small role table of
``sync.yaml``, errors as rich statuses, and a log line for what was refused. It guards this service only:
what a promotion may do is decided by the target, whoever asked here.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.errors import PermissionDeniedError
from carnet.serving.call_scope import CallScope, ServicerContext, spiffe_id_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from carnet_sync.config import CallerRoles

_GUARDED = "/carnet.sync.v1."
_ANY_ROLE = frozenset({"reader", "requester", "operator"})
_MOVERS = frozenset({"requester", "operator"})
PERMISSIONS: Mapping[str, frozenset[str]] = {
    f"{_GUARDED}PromotionService/CreatePromotion": frozenset({"requester"}),
    f"{_GUARDED}PromotionService/GetPromotion": _ANY_ROLE,
    f"{_GUARDED}PromotionService/ListPromotions": _ANY_ROLE,
    f"{_GUARDED}PromotionService/WatchPromotion": _ANY_ROLE,
    f"{_GUARDED}PromotionService/CancelPromotion": _MOVERS,
    f"{_GUARDED}PromotionService/RetryPromotion": _MOVERS,
    f"{_GUARDED}EnvironmentService/ListEnvironments": _ANY_ROLE,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever makes a call: its SPIFFE id, and its roles here."""

    subject: str
    roles: frozenset[str]


_CALLER: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Return whoever makes the present call."""
    return _CALLER.get()


class SyncCallScope(CallScope):
    """Enters one scope a call.

    Args:
        callers: What each caller may do.
    """

    guarded = (_GUARDED,)

    def __init__(self, callers: Sequence[CallerRoles]) -> None:
        super().__init__()
        self._roles = {caller.subject: frozenset(caller.roles) for caller in callers}

    def enter(self, method: str, request: Any, context: ServicerContext) -> None:
        """Recognise the caller, and refuse what it may not do; see ``CallScope.enter``."""
        del request
        subject = spiffe_id_of(context)
        held = self._roles.get(subject, frozenset())
        wanted = PERMISSIONS.get(method, frozenset())
        if not held & wanted:
            raise PermissionDeniedError(
                f"{subject} may not call {method.rpartition('/')[2]} here: it needs the role "
                f"{' or '.join(sorted(wanted)) or 'of nobody'}, and has {', '.join(sorted(held)) or 'none'}"
            )
        _CALLER.set(Caller(subject, held))
