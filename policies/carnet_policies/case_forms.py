"""The schema of a policy's test cases, and how the short form of facts is spelt out.

Responsible for turning what a case says (``publisher: ana``, ``age: 2h``) into ``Facts``. Whatever a case
leaves out is sound: the manifest is complete, the bundle signed, the people known. Time stands still, at
``NOW`` unless a case says otherwise.
"""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from carnet.canonical import canonical_json, sha256_hex
from carnet_policies.break_glass import Breaking
from carnet_policies.evaluation import RuleStatus
from carnet_policies.facts import (
    TEST_RESULT,
    ApprovalFact,
    Attestation,
    Facts,
    MetricValue,
    Party,
    PeerDecision,
    SignatureFact,
)
from carnet_policies.rollout_cases import RolloutCaseForm  # noqa: TC001 - pydantic reads it
from carnet_policies.schema_fields import Duration, Name, Some, Text  # noqa: TC001 - pydantic reads them
from carnet_policies.schema_times import Moment  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from carnet_policies.schema import BreakGlassTerms

# What a case says of a rule that did not pass and that people skip by breaking the glass.
SKIPPED: Final = "SKIPPED"
Expected = RuleStatus | Literal["NOT_DEMANDED", "SKIPPED"]
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
_METRIC = re.compile(r"([^{}=,]+)(?:\{([^{}=,]+=[^{}=,]+(?:,[^{}=,]+=[^{}=,]+)*)\})?")

COMPLETE_MANIFEST: dict[str, Any] = {
    "schema": "carnet.manifest/v1",
    "home": "dev",
    "namespace": "risk",
    "model": "fraud",
    "version": 1,
    "description": "Scores card payments.",
    "owner": "team-risk",
    "files": [{"path": "model.bin", "role": "model", "size_bytes": 1, "digest": sha256_hex(b"m")}],
    "lineage": {
        "code": {"repository": "https://git.example/risk/fraud", "commit": "0123abcd" * 5},
        "datasets": [{"name": "payments", "uri": "s3://data/payments", "digest": sha256_hex(b"d")}],
    },
    "environment": {"python": "3.12", "framework": {"name": "scikit-learn", "version": "1.6"}},
    "feature_schema": {
        "inputs": [{"name": "amount", "type": "float64"}],
        "outputs": [{"name": "score", "type": "float64"}],
    },
}


def _metric_key(value: str) -> str:
    if not _METRIC.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a metric: write its name, and for a slice name{{key=value,key=value}}"
        )
    return value


MetricKey = Annotated[str, AfterValidator(_metric_key)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class EvidenceForm(_Form):
    """One attestation; its metrics are higher-is-better unless listed as the contrary."""

    type: Text = TEST_RESULT
    suite: str = ""
    result: str = "PASSED"
    signer: Text = "signer"
    person: Text | None = None
    roles: tuple[Name, ...] = ()
    age: Duration | None = timedelta(hours=1)
    metrics: dict[MetricKey, float] = Field(default_factory=dict)
    sample_counts: dict[MetricKey, int] = Field(default_factory=dict)
    lower_is_better: tuple[MetricKey, ...] = ()

    def spell_out(self, index: int, now: datetime) -> Attestation:
        """Return the attestation; the index makes its digest."""
        return Attestation(
            digest=sha256_hex(b"evidence %d" % index),
            predicate_type=self.type,
            suite=self.suite,
            result=self.result,
            signer_subject=self.signer,
            signer_roles=frozenset(self.roles),
            time=None if self.age is None else now - self.age,
            metrics=tuple(self._metric(key, value) for key, value in self.metrics.items()),
            signer_person=self.person,
        )

    def _metric(self, key: str, value: float) -> MetricValue:
        match = _METRIC.fullmatch(key)
        assert match is not None
        part = dict(pair.split("=") for pair in match[2].split(",")) if match[2] else {}
        direction = "lower_is_better" if key in self.lower_is_better else "higher_is_better"
        return MetricValue(match[1], value, direction, part, self.sample_counts.get(key))


class DecisionForm(_Form):
    """One decision of another environment."""

    environment: Name
    result: Literal["PASSED", "FAILED"] = "PASSED"
    age: Duration = timedelta(hours=1)
    of_another_bundle: bool = False

    def spell_out(self, index: int, bundle_digest: str, now: datetime) -> PeerDecision:
        """Return the decision about the candidate, or about another bundle; the index makes its digest."""
        digest = sha256_hex(b"another bundle") if self.of_another_bundle else bundle_digest
        own = sha256_hex(b"decision %d" % index)
        return PeerDecision(self.environment, digest, self.result, own, now - self.age)


class ApprovalForm(_Form):
    """One statement of a person; a null person is an identity that maps to nobody."""

    person: Text | None
    subject: str = ""
    meaning: Literal["reviewed", "approved", "rejected", "withdrawn"] = "approved"
    age: Duration = timedelta(hours=1)
    valid_for: Duration = timedelta(days=7)
    authentication: Literal["passphrase", "service", "none"] = "none"

    def spell_out(self, now: datetime) -> ApprovalFact:
        """Return the statement."""
        time = now - self.age
        subject = self.subject or self.person or "unknown-approver"
        return ApprovalFact(
            self.person, subject, self.meaning, time, time + self.valid_for, self.authentication
        )


class BreakGlassForm(_Form):
    """One statement that breaks the glass; without ``skips`` it names every rule that may be skipped."""

    person: Text | None
    skips: tuple[Name, ...] | None = None
    ticket: Text = "INC-1"
    age: Duration = timedelta(minutes=5)
    valid_for: Duration = timedelta(hours=1)

    def spell_out(self, terms: BreakGlassTerms | None, now: datetime) -> Breaking:
        """Return the statement."""
        time = now - self.age
        named = self.skips if self.skips is not None else terms.skips if terms else ()
        return Breaking(self.person, frozenset(named), self.ticket, time, time + self.valid_for)


class BaselineForm(_Form):
    """The version behind the policy's baseline alias."""

    manifest: dict[str, Any] = Field(default_factory=dict)
    evidence: tuple[EvidenceForm, ...] = ()


class FactsForm(_Form):
    """Facts in short form."""

    source: str = ""
    target: Name | None = None
    namespace: Name = "risk"
    alias: str = ""
    manifest: dict[str, Any] = Field(default_factory=dict)
    without: tuple[Text, ...] = ()
    signed: bool = True
    publisher: Text | None = "publisher"
    requester: Text | None = "requester"
    evidence: tuple[EvidenceForm, ...] = ()
    decisions: tuple[DecisionForm, ...] = ()
    approvals: tuple[ApprovalForm, ...] = ()
    emergency: bool = False
    break_glass: tuple[BreakGlassForm, ...] = ()
    baseline: BaselineForm | None = None
    now: Moment = NOW

    def over(self, shared: FactsForm) -> FactsForm:
        """Return these facts, with what they leave out taken from shared ones."""
        return shared.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    def spell_out(self, environment: str) -> Facts:
        """Return the facts.

        Args:
            environment: The policy's environment, which decides unless a case names another target.
        """
        manifest = _merged(COMPLETE_MANIFEST, self.manifest)
        for path in self.without:
            _remove(manifest, path.split("."))
        baseline = self.baseline
        bundle_digest = sha256_hex(canonical_json(manifest))
        return Facts(
            source=self.source,
            target=self.target or environment,
            namespace=self.namespace,
            alias=self.alias,
            manifest=manifest,
            signature=SignatureFact(sha256_hex(b"key"), "publisher", self.publisher) if self.signed else None,
            publisher=Party(self.publisher or "unknown-publisher", self.publisher),
            requester=Party(self.requester or "unknown-requester", self.requester),
            evidence=tuple(form.spell_out(index, self.now) for index, form in enumerate(self.evidence)),
            decisions=tuple(
                form.spell_out(index, bundle_digest, self.now) for index, form in enumerate(self.decisions)
            ),
            approvals=tuple(form.spell_out(self.now) for form in self.approvals),
            baseline_manifest=None if baseline is None else _merged(COMPLETE_MANIFEST, baseline.manifest),
            baseline_evidence=tuple(
                form.spell_out(index, self.now)
                for index, form in enumerate(baseline.evidence if baseline else ())
            ),
            now=self.now,
        )


class CaseForm(_Form):
    """One case: what is given, and which rules do not pass; the others must."""

    case: Text
    facts: FactsForm = FactsForm()
    expect: dict[Name, Expected] = Field(default_factory=dict)


class CasesDocument(_Form):
    """A policy's test cases: of admissions, and of rollouts under its guardrails."""

    schema_: Literal["carnet.policy-cases/v1"] = Field(alias="schema")
    policy: Text
    facts: FactsForm = FactsForm()
    cases: Some[CaseForm]
    rollouts: tuple[RolloutCaseForm, ...] = ()


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else copy.deepcopy(value)
    return merged


def _remove(value: Any, path: list[str]) -> None:
    if isinstance(value, list):
        for element in value:
            _remove(element, path)
    elif isinstance(value, dict) and len(path) == 1:
        value.pop(path[0], None)
    elif isinstance(value, dict):
        _remove(value.get(path[0]), path[1:])
