"""What a held attestation is, as plain values; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.translog.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Evidence:
    """One attestation, as a namespace holds it.

    Attributes:
        namespace: Where it is held.
        bundle_digest: The bundle that it is about.
        digest: The SHA-256 of the envelope's bytes.
        model: The model that it was added to.
        version: The version that it was added to, whether that is here or not.
        predicate_type: The predicate type.
        suite: What was looked at, such as ``evaluation``; empty where that is not said.
        result: ``PASSED``, ``WARNED``, ``FAILED``, or empty where the type has none.
        signer: The signer's subject; empty where the key is unknown here.
        signer_key_id: The signer's key; empty where it is unknown here.
        trusted: Whether the signer is trusted here for this predicate type.
        created_at: When it was added.
        log_index: Its entry.
        envelope: The envelope's bytes, as received.
    """

    namespace: str
    bundle_digest: str
    digest: str
    model: str
    version: int
    predicate_type: str
    suite: str
    result: str
    signer: str
    signer_key_id: str
    trusted: bool
    created_at: datetime
    log_index: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Addition:
    """What became of an addition: what is held now, whether it was before, and the receipt of its entry."""

    evidence: Evidence
    already_held: bool
    receipt: Receipt
