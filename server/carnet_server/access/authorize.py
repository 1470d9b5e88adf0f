"""Refusing what a caller may not do, before anything is said of what exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import PermissionDeniedError

if TYPE_CHECKING:
    from carnet_server.access.identity import Caller


def require(caller: Caller, *roles: str, namespace: str | None) -> None:
    """Insist that a caller has one of some roles.

    Args:
        caller: Who is calling.
        roles: The roles, any of which will do.
        namespace: Where; None for anywhere.

    Raises:
        PermissionDeniedError: It has none of them there.
    """
    if not caller.roles_in(namespace) & set(roles):
        where = f" in namespace {namespace!r}" if namespace is not None else ""
        wanted = " or ".join(sorted(roles))
        raise PermissionDeniedError(
            f"{caller.subject} may not do this{where}: it needs the role {wanted}; "
            "an administrator of this environment grants it in trust.yaml",
            metadata={"subject": caller.subject, "roles": ",".join(sorted(roles))},
        )
