"""Entering a call to the registry: who is calling, and whether the permission table lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.errors import PermissionDeniedError
from carnet.serving.call_scope import CallScope, ServicerContext
from carnet_server.access.authorize import require, require_acting, require_everywhere
from carnet_server.access.identity import recognise
from carnet_server.access.permissions import PERMISSIONS
from carnet_server.access.scope import enter_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from carnet.client.renewal import FollowedIdentity
    from carnet_server.access.identity import Caller
    from carnet_server.access.trust import TrustStore


class RegistryCallScope(CallScope):
    """Enters one scope a call.

    Args:
        trust: The trust document in force.
        identity: The authorities of callers; None where they cannot change.
        documents: Names the documents that are in force; None where they cannot change.
    """

    guarded = ("/carnet.",)

    def __init__(
        self,
        trust: TrustStore,
        *,
        identity: FollowedIdentity | None = None,
        documents: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self._trust = trust
        self._identity = identity
        self._documents = documents

    def edition(self) -> object:
        """Return what changes when callers must be looked at again; see ``CallScope.edition``."""
        return self._documents(), self._identity and self._identity.generation

    def enter(self, method: str, request: Any, context: ServicerContext) -> Awaitable[None] | None:
        """Recognise the caller, and consult the table with the request in hand; see ``CallScope.enter``."""
        documents = self._documents()
        caller = recognise(context, self._trust.current, self._identity)
        self.permit(method, request, caller)
        enter_scope(caller, documents)
        return None

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
