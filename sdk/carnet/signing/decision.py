"""A policy's signed answer about one bundle: a SLSA verification summary, version 1.1.

Signed by the target environment, for refusals too. The fields whose names begin with ``carnet_`` say for
which promotion and alias it was made, whether the alias moves with it or by a rollout, and what became of
each rule.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from carnet.signing.fields import FrozenModel, Hex32, Many, OptionalName, Time
from carnet.signing.predicate import DigestSet, ForeignModel, ForeignPredicate

_ENVIRONMENT = "urn:carnet:environment:"


def verifier_id(environment: str) -> str:
    """Return the id of an environment as the verifier of a decision."""
    return _ENVIRONMENT + environment


def version_uri(target: str, namespace: str, model: str, version: int) -> str:
    """Return the URI of the version, at the target, that a decision is about."""
    return f"{_ENVIRONMENT}{target}/{namespace}/{model}@{version}"


class Verifier(ForeignModel):
    """Who decided: ``urn:carnet:environment:ENV``, and the versions of its software, by component."""

    id: str
    version: dict[str, str] = Field(default_factory=dict)


class PolicyReference(ForeignModel):
    """The policy that was applied."""

    uri: str
    digest: DigestSet


class InputAttestation(ForeignModel):
    """An envelope that the decision rests on."""

    uri: str = ""
    digest: DigestSet


class RuleOutcome(FrozenModel):
    """What became of one rule; ``SKIPPED`` is one that had not passed when the glass was broken."""

    rule: str
    status: Literal["PASSED", "FAILED", "AWAITING", "SKIPPED"]
    message: str


class Decision(ForeignPredicate):
    """A decision.

    Attributes:
        verifier: The environment that decided.
        time_verified: When.
        resource_uri: The version at the target, as ``version_uri`` writes it.
        policy: The policy that was applied.
        input_attestations: All envelopes that were used, and no others.
        verification_result: ``PASSED`` or ``FAILED``.
        verified_levels: What the bundle has reached, in the verifier's words.
        slsa_version: The version of the predicate's specification.
        promotion: The promotion that it was made for; empty when the version was being published.
        alias: The alias that it permits to move; empty for none.
        rules: What became of each rule.
        by_rollout: Whether the alias does not move with the admission, but by a rollout.
        permit_expires_at: Until when a rollout may move it there; None unless one may.
    """

    PREDICATE_TYPE: ClassVar[str] = "https://slsa.dev/verification_summary/v1"

    verifier: Verifier
    time_verified: Time = Field(alias="timeVerified")
    resource_uri: str = Field(alias="resourceUri")
    policy: PolicyReference
    input_attestations: Many[InputAttestation] = Field(default=(), alias="inputAttestations")
    verification_result: Literal["PASSED", "FAILED"] = Field(alias="verificationResult")
    verified_levels: Many[str] = Field(alias="verifiedLevels")
    slsa_version: str = Field(default="1.1", alias="slsaVersion")
    promotion: Hex32 | Literal[""] = Field(default="", alias="carnet_promotion")
    alias: OptionalName = Field(default="", alias="carnet_alias")
    rules: Many[RuleOutcome] = Field(default=(), alias="carnet_rules")
    by_rollout: bool = Field(default=False, alias="carnet_by_rollout")
    permit_expires_at: Time | None = Field(default=None, alias="carnet_permit_expires_at")

    def check_consistency(self) -> None:
        """Refuse a rollout of no alias or past skipped rules, and a permit without a rollout or a yes."""
        if self.by_rollout and not (self.alias and self.promotion):
            raise self.inconsistent("carnet_by_rollout", "needs a promotion and an alias")
        if self.by_rollout and self.skipped:
            raise self.inconsistent("carnet_by_rollout", "contradicts rules that were skipped")
        if (self.permit_expires_at is not None) != (self.by_rollout and self.passed):
            raise self.inconsistent(
                "carnet_permit_expires_at",
                "belongs to a decision by rollout that says PASSED, and to no other",
            )
        if self.permit_expires_at is not None and self.permit_expires_at <= self.time_verified:
            raise self.inconsistent("carnet_permit_expires_at", "is not after timeVerified")

    @property
    def environment(self) -> str:
        """The environment that decided; empty where the verifier is none."""
        return (
            self.verifier.id.removeprefix(_ENVIRONMENT) if self.verifier.id.startswith(_ENVIRONMENT) else ""
        )

    @property
    def passed(self) -> bool:
        """Whether the policy said yes."""
        return self.verification_result == "PASSED"

    @property
    def skipped(self) -> tuple[str, ...]:
        """The rules that were skipped because the glass was broken."""
        return tuple(each.rule for each in self.rules if each.status == "SKIPPED")

    def to_predicate(self) -> dict[str, Any]:
        """Return the predicate as a JSON object; the specification's version is always named."""
        return super().to_predicate() | {"slsaVersion": self.slsa_version}
