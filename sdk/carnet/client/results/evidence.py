"""Answers about evidence: signed attestations, and what they measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from carnet.client.results.receipts import VerifiedReceipt

_SHORT_TYPES = {
    "https://slsa.dev/verification_summary/v1": "decision",
    "https://in-toto.io/attestation/test-result/v0.1": "test-result",
    "https://in-toto.io/attestation/svr/v0.2": "verification-result",
    "https://in-toto.io/attestation/scai/v0.3": "attribute-report",
    "https://slsa.dev/provenance/v1": "provenance",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measured figure, with the part of the data that it was measured on (empty for all)."""

    name: str
    value: float
    direction: str
    slice: Mapping[str, str]

    @property
    def key(self) -> str:
        """The name, and for a slice ``name{key=value}``."""
        inner = ",".join(f"{key}={value}" for key, value in sorted(self.slice.items()))
        return f"{self.name}{{{inner}}}" if inner else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A signed attestation about a bundle. Its digest and its subject were recomputed here.

    Attributes:
        digest: The SHA-256 of the envelope.
        predicate_type: What kind of statement it is.
        suite: What was run or looked at, such as ``evaluation``; empty where that is not said.
        result: ``PASSED``, ``WARNED``, ``FAILED``, or empty.
        signer: Whose pinned key signed it; empty where the key is not pinned here.
        stated_signer: Who the registry says signed it.
        trusted: Whether the registry trusts the signer for this kind of statement.
        metrics: What it measured.
        added_at: When the registry took it in.
        log_index: Its entry in the registry's log.
        envelope: The DSSE envelope.
    """

    digest: str
    predicate_type: str
    suite: str
    result: str
    signer: str
    stated_signer: str
    trusted: bool
    metrics: tuple[Metric, ...]
    added_at: datetime | None
    log_index: int
    envelope: bytes

    @property
    def kind(self) -> str:
        """What it is, in a few words: what was run or looked at, or else the type."""
        return self.suite or _SHORT_TYPES.get(self.predicate_type, self.predicate_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestResult:
    """An attestation that this client made and a registry holds now."""

    evidence: Evidence
    already_held: bool
    receipt: VerifiedReceipt
