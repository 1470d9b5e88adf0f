"""Answers about keys: what rests on their signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """One thing that was signed with a key, as its registry states it.

    Attributes:
        kind: ``bundle``, ``evidence``, ``request`` or ``approval``, which is an approver's statement of any
            meaning, and one that breaks the glass or reviews that.
        reference: The version that it is about.
        bundle_digest: Its bundle.
        key_id: The key.
        subject: Whose it is; empty where that is unknown there.
        promotion: The promotion that it is about; empty for none.
        created_at: When it arrived there.
        log_index: Its entry in the log; 0 for a request from before that was kept.
        since_compromise: Whether it arrived after the key was compromised, as the trust document there says.
        live: Whether the version is registered there, and not revoked.
        aliases: The aliases of the model that point at the version now.
    """

    kind: str
    reference: Reference
    bundle_digest: str
    key_id: str
    subject: str
    promotion: str
    created_at: datetime | None
    log_index: int
    since_compromise: bool
    live: bool
    aliases: tuple[str, ...]
