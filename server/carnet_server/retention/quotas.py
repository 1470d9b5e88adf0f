"""Quotas: how much the blobs of a namespace may be together, by the policy in force.

A namespace is charged for each blob that it has, once, whoever else has it too. The policy's first entry that
fits a namespace counts; where none fits there is no quota.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import ResourceExhaustedError
from carnet_policies.scope import fits_any
from carnet_server.blobs.queries import read_storage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from carnet_policies.schema_retention import QuotaTerms
    from carnet_server.environment.state import EnvironmentState

_UNITS = ("B", "KiB", "MiB", "GiB")


def quota_of(terms: Sequence[QuotaTerms], namespace: str) -> int | None:
    """Return a namespace's quota in bytes; None for none."""
    return next((each.storage for each in terms if fits_any(each.namespaces, namespace)), None)


class StorageQuotas:
    """Holds namespaces to their quotas; called by the blob service.

    Args:
        state: The environment, for its policy in force.
    """

    def __init__(self, state: EnvironmentState) -> None:
        self._state = state

    def __call__(self, connection: Connection, namespace: str, more_bytes: int) -> None:
        """Insist that a namespace may be given more.

        Args:
            connection: Where to read; the transaction's, when it is given.
            namespace: The namespace.
            more_bytes: How much it is to be given that it has not.

        Raises:
            ResourceExhaustedError: It would have more than its quota.
        """
        quota = quota_of(self._state.policy.document.quotas, namespace)
        if quota is None or not more_bytes:
            return
        used = read_storage(connection, namespace)
        if used + more_bytes > quota:
            raise ResourceExhaustedError(
                f"namespace {namespace!r} stores {size_text(used)} of its quota of {size_text(quota)} in "
                f"{self._state.name}, and {size_text(more_bytes)} more do not fit: purge archived versions "
                "(carnet purge), which frees their bytes once the policy's grace is over, or ask whoever "
                "owns the policy for more under `quotas`",
                metadata={
                    "namespace": namespace,
                    "usedBytes": str(used),
                    "quotaBytes": str(quota),
                    "moreBytes": str(more_bytes),
                },
            )


def size_text(count: int) -> str:
    """Return a number of bytes in a unit that fits, for people."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
