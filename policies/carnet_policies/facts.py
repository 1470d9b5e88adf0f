"""The facts that a policy is evaluated on.

Responsible for the plain values that a registry hands to the engine. Invariant, kept by the caller: every
fact here was verified by the deciding environment itself; an attestation, decision, approval or signature
that is not trusted is not handed in at all. Nothing here is asserted by the promotion service.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from carnet.canonical import canonical_json, sha256_hex

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


@dataclass(frozen=True, slots=True)
class Party:
    """Who did something: an identity, and the person whom it maps to, if it maps to one."""

    subject: str
    person: str | None


@dataclass(frozen=True, slots=True)
class SignatureFact:
    """The bundle's signature, verified with a key that is trusted here for publishing."""

    key_id: str
    subject: str
    person: str | None


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One figure in an attestation.

    Attributes:
        name: What was measured.
        value: The figure.
        direction: ``higher_is_better`` or ``lower_is_better``.
        slice: The part of the data that it was measured on; empty for all of it.
        sample_count: How many samples it was measured on; None where that is not stated.
    """

    name: str
    value: float
    direction: str
    slice: Mapping[str, str] = field(default_factory=dict)
    sample_count: int | None = None


@dataclass(frozen=True, slots=True)
class Attestation:
    """One verified attestation about a bundle.

    Attributes:
        digest: The envelope's digest.
        predicate_type: The type of what is attested.
        suite: What was looked at, such as ``evaluation``; empty where that is not said.
        result: ``PASSED``, ``WARNED``, ``FAILED``, or empty where the type has none.
        signer_subject: The signer.
        signer_roles: What the signer's key is trusted for in the deciding environment.
        time: When the attested work was finished, timezone-aware.
        metrics: The figures that it states.
        signer_person: The person whom the signer maps to, if it maps to one.
    """

    digest: str
    predicate_type: str
    suite: str
    result: str
    signer_subject: str
    signer_roles: frozenset[str]
    time: datetime | None
    metrics: tuple[MetricValue, ...] = ()
    signer_person: str | None = None


@dataclass(frozen=True, slots=True)
class PeerDecision:
    """Another environment's signed decision; ``result`` is ``PASSED`` or ``FAILED``."""

    environment: str
    bundle_digest: str
    result: str
    digest: str
    time: datetime


@dataclass(frozen=True, slots=True)
class ApprovalFact:
    """A person's signed statement about the dossier that is being decided on.

    ``meaning`` is ``reviewed``, ``approved``, ``rejected`` or ``withdrawn``; ``authentication`` says how the
    person was authenticated right before signing: ``passphrase``, ``service`` or ``none``.
    """

    person: str | None
    subject: str
    meaning: str
    time: datetime
    expires: datetime
    authentication: str = "none"


@dataclass(frozen=True)
class Facts:
    """Everything that a policy may look at, about one bundle and one target.

    Attributes:
        source: The environment that the bundle comes from; empty when it is being published.
        target: The environment that decides.
        namespace: The namespace in the target.
        alias: The alias that is to be moved to the version; empty for none.
        manifest: The candidate's manifest, as parsed from its canonical bytes.
        signature: The bundle's signature; None when no trusted one verifies.
        publisher: Who published the version.
        requester: Who asked for the promotion; None when nobody did.
        evidence: The verified attestations about the candidate.
        decisions: The verified decisions of other environments.
        approvals: The verified statements of people, in any order.
        baseline_manifest: The manifest behind the policy's baseline alias; None when there is none.
        baseline_evidence: The verified attestations about that version.
        now: The deciding environment's clock, timezone-aware.
    """

    source: str
    target: str
    namespace: str
    alias: str
    manifest: Mapping[str, Any]
    signature: SignatureFact | None
    publisher: Party
    requester: Party | None
    evidence: tuple[Attestation, ...]
    decisions: tuple[PeerDecision, ...]
    approvals: tuple[ApprovalFact, ...]
    baseline_manifest: Mapping[str, Any] | None
    baseline_evidence: tuple[Attestation, ...]
    now: datetime

    @cached_property
    def bundle_digest(self) -> str:
        """The candidate's digest: the SHA-256 of its manifest's canonical form."""
        return sha256_hex(canonical_json(dict(self.manifest)))

    @property
    def reference(self) -> str:
        """The candidate as people write it, where it now is: ``dev/risk/fraud@3``."""
        model, version = self.manifest.get("model", "MODEL"), self.manifest.get("version", "VERSION")
        return f"{self.source or self.target}/{self.namespace}/{model}@{version}"
