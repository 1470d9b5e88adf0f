"""Looking at what a key has touched.

Responsible for asking a registry what was signed with a key, or as a subject. What comes back is what the
registry states; its log is verified with ``audit_verify``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.client.messages import key_use_of
from carnet.client.paging import all_pages
from carnet.client.session import Session
from carnet.registry.v1 import identity_pb2

if TYPE_CHECKING:
    from carnet.client.results import KeyUse


class KeyUses(Session):
    """Operations on what keys have touched."""

    async def key_uses(self, environment: str, *, key_id: str = "", subject: str = "") -> tuple[KeyUse, ...]:
        """List what was signed with a key, or as a subject with whichever key; the newest first.

        Needs the role ``auditor`` or ``admin`` in all namespaces.

        Args:
            environment: The environment whose registry is asked.
            key_id: The key; empty where a subject is given.
            subject: The subject; empty where a key is given.

        Returns:
            The versions, evidence, requests and approvals, each with what became of its version.

        Raises:
            InvalidInputError: Not exactly one of key and subject is given, or it is malformed.
            CarnetError: The call failed; the class says how.
        """
        registry = self._registry(environment)
        messages = await all_pages(
            registry,
            registry.identity.ListKeyUses,
            identity_pb2.ListKeyUsesRequest(key_id=key_id, subject=subject),
            "uses",
        )
        return tuple(key_use_of(each, environment) for each in messages)
