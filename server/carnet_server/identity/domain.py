"""What rests on a signature, as plain values; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class UseKind(IntEnum):
    """What was signed; the numbers are those of the contract."""

    BUNDLE = 1
    EVIDENCE = 2
    REQUEST = 3
    APPROVAL = 4


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that was signed with a key.

    Attributes:
        kind: What it is.
        digest: Its own digest: the bundle's, or the envelope's.
        namespace: The version's namespace.
        model: Its model.
        version: Its number.
        bundle_digest: Its bundle.
        key_id: The key.
        subject: Whose key it was when it arrived; empty where that was unknown here.
        promotion: The promotion that it is about; empty for none.
        created_at: When it arrived here.
        log_index: Its entry; 0 where that was not kept.
        live: Whether the version is registered here, and not revoked.
    """

    kind: UseKind
    digest: str
    namespace: str
    model: str
    version: int
    bundle_digest: str
    key_id: str
    subject: str
    promotion: str
    created_at: datetime
    log_index: int
    live: bool


@dataclass(frozen=True, slots=True)
class JudgedUse:
    """A use, with what it means now.

    Attributes:
        use: The use.
        since_compromise: Whether it arrived after its key was compromised, as the trust document says.
        aliases: The aliases of the model that point at the version now.
    """

    use: Use
    since_compromise: bool
    aliases: tuple[str, ...]
