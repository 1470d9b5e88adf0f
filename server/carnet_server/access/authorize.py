"""Refusing what a caller may not do, before anything is said of what exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from carnet_server.access.identity import Caller


def require(caller: Caller, *roles: str, namespace: str | None) -> None:
    """Insist that a caller may read in one of some roles.

    Args:
        caller: Who is calling.
        roles: The roles, any of which will do.
        namespace: Where; None for anywhere.

    Raises:
        PermissionDeniedError: It has none of them there.
    """
    if not caller.trust.roles(caller.subject, namespace) & set(roles):
        raise refused(caller, roles, f" in namespace {namespace!r}" if namespace is not None else "")


def require_acting(caller: Caller, *roles: str, namespace: str, alias: str = "") -> None:
    """Insist that a caller may act in one of some roles.

    Args:
        caller: Who is calling.
        roles: The roles, any of which will do.
        namespace: Where.
        alias: The alias that is acted on; empty where none is.

    Raises:
        PermissionDeniedError: It has none of them there, or is denied what it has.
    """
    trust, subject, wanted = caller.trust, caller.subject, frozenset(roles)
    if trust.acting_roles(subject, namespace, alias) & wanted:
        return
    where = f" in namespace {namespace!r}" + (f" on the alias {alias!r}" if alias else "")
    denial = trust.denial_of(subject, wanted, namespace, alias)
    if denial is not None and trust.roles(subject, None):
        reason = f": {denial.reason}" if denial.reason else ""
        raise PermissionDeniedError(
            f"{subject} may not do this{where}: trust.yaml denies it the role "
            f"{' and '.join(sorted(wanted & set(denial.roles)))} there{reason}",
            metadata={"subject": subject, "roles": ",".join(sorted(wanted))},
        )
    raise refused(caller, roles, where)


def require_everywhere(caller: Caller, *roles: str) -> None:
    """Insist that a caller has one of some roles in all namespaces.

    Args:
        caller: Who is calling.
        roles: The roles, any of which will do.

    Raises:
        PermissionDeniedError: It has none of them, or in some namespaces only.
    """
    if not caller.trust.roles_everywhere(caller.subject) & set(roles):
        raise refused(caller, roles, " in all namespaces")


def refused(caller: Caller, roles: Iterable[str], where: str) -> PermissionDeniedError:
    """Return the error of a caller who has none of some roles at a place."""
    wanted = sorted(roles)
    return PermissionDeniedError(
        f"{caller.subject} may not do this{where}: it needs the role {' or '.join(wanted)}; "
        "an administrator of this environment grants it in trust.yaml",
        metadata={"subject": caller.subject, "roles": ",".join(wanted)},
    )
