"""Entering a call to the registry: who is calling, and whether the permission table lets it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from carnet.errors import CarnetError, PermissionDeniedError, UnauthenticatedError
from carnet.serving.call_scope import CallScope, ServicerContext
from carnet_server.access.authorize import require, require_acting, require_everywhere
from carnet_server.access.identity import recognise
from carnet_server.access.permissions import PERMISSIONS
from carnet_server.access.refusals import is_known, is_refusal
from carnet_server.access.scope import current_caller, enter_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet.client.renewal import FollowedIdentity
    from carnet_server.access.identity import Caller
    from carnet_server.access.refusals import RefusalLog
    from carnet_server.access.trust import TrustStore


class RegistryCallScope(CallScope):
    """Enters one scope a call.

    Args:
        trust: The trust document in force.
        identity: The authorities of callers; None where they cannot change.
        documents: Names the documents that are in force; None where they cannot change.
        refusals: Takes note of refused calls; None for nobody.
    """

    guarded = ("/carnet.",)

    def __init__(
        self,
        trust: TrustStore,
        *,
        identity: FollowedIdentity | None = None,
        documents: Callable[[], object] = lambda: None,
        refusals: RefusalLog | None = None,
    ) -> None:
        super().__init__()
        self._trust = trust
        self._identity = identity
        self._documents = documents
        self._refusals = refusals

    def edition(self) -> object:
        """Return what changes when callers must be looked at again; see ``CallScope.edition``."""
        return self._documents(), self._identity and self._identity.generation

    def enter(self, method: str, request: Any, context: ServicerContext) -> Awaitable[None] | None:
        """Recognise the caller, and consult the table with the request in hand; see ``CallScope.enter``."""
        documents = self._documents()
        caller = recognise(context, self._trust.current, self._identity)
        enter_scope(caller, documents)
        self.permit(method, request, caller)
        return None

    def refused(self, method: str, error: CarnetError, request: Any) -> None:
        """Count a call that was refused; see ``CallScope.refused``."""
        if self._refusals is None or not is_refusal(method, error):
            return
        actor = _actor_of(error)
        if actor is None:
            self._refusals.count_stranger()
        else:
            self._refusals.count(actor, method, error.reason, _namespace_of(method, request))

    @staticmethod
    def permit(method: str, request: Any, caller: Caller) -> None:
        """Consult the table.

        Raises:
            CarnetError: The caller may not do this, or the request names no place where it needs one.
        """
        permission = PERMISSIONS.get(method)
        if permission is None:
            raise PermissionDeniedError(f"{method} is open to nobody")
        if not caller.roles_in(None):
            require(caller, *permission.roles, namespace=None)
        if permission.everywhere:
            require_everywhere(caller, *permission.roles)
        place = permission.place(request) if permission.place else None
        if place is not None and permission.acts:
            require_acting(caller, *permission.roles, namespace=place.namespace, alias=place.alias)
        else:
            require(caller, *permission.roles, namespace=place.namespace if place else None)


def _actor_of(error: CarnetError) -> tuple[str, str, str] | None:
    """Return who was refused, as entries name it; None for somebody who is not known here."""
    try:
        caller = current_caller()
    except UnauthenticatedError:
        # Of all whose identity is refused, only who is revoked is named, and the trust document knows it.
        subject = error.metadata.get("subject") if isinstance(error, UnauthenticatedError) else None
        return (subject, "/".join(subject.split("/")[:3]), "mtls") if subject else None
    if not is_known(caller.subject, caller.trust):
        return None
    return caller.subject, caller.issuer, caller.method


def _namespace_of(method: str, request: Any) -> str:
    """Return the namespace that a call was about; empty where the table does not find it."""
    permission = PERMISSIONS.get(method)
    if request is None or permission is None or permission.place is None:
        return ""
    with contextlib.suppress(CarnetError):
        place = permission.place(request)
        return place.namespace if place is not None else ""
    return ""
