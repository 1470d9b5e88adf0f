"""What a source environment answers about a version that leaves it: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.translog.receipt import Receipt


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release statement's envelope, the receipt of the version's arrival here, and the stamps it names."""

    envelope: bytes
    receipt: Receipt
    stamps: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedCapability:
    """A read capability's envelope, and when it ends."""

    envelope: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PromotionRecord:
    """An admission elsewhere, as it is recorded here."""

    promotion: str
    target: str
    namespace: str
    model: str
    version: int
    bundle_digest: str
    decision_digest: str
    target_receipt: str
    created_at: datetime
    log_index: int
