"""The schema of a policy document.

Responsible for the shape of a policy's YAML: which fields there are, their types, and their bounds. What
holds between fields is in ``checks`` and ``contradictions``; what the fields demand of a bundle is in the
rule modules. Does no I/O.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from carnet_policies.schema_fields import (
    Duration,
    Expression,
    FieldPath,
    Figure,
    MaxRegression,
    Name,
    Part,
    Some,
    Text,
    Texts,
    one_or_more,
)
from carnet_policies.schema_retention import (  # noqa: TC001 - pydantic reads them
    QuotaTerms,
    RetentionTerms,
)
from carnet_policies.schema_rollouts import RolloutTerms  # noqa: TC001 - pydantic reads it
from carnet_policies.schema_scope import LabelDeclaration, When  # noqa: TC001 - pydantic reads them
from carnet_policies.schema_times import FreezeDemand, WindowDemand  # noqa: TC001 - pydantic reads them

MAX_RULES = 100
# A log entry names all that were skipped, in at most 1,024 characters.
MAX_SKIPS = 15


class SignatureDemand(Part):
    """Whether the bundle must be signed by a publisher that is trusted here (rule ``signature``)."""

    required: bool = True


class MetadataDemand(Part):
    """The fields of the manifest that must be filled in."""

    rule: Name = "metadata"
    when: When | None = None
    required: Some[FieldPath]


class CompatibilityDemand(Part):
    """No breaking change of the feature schema against the baseline.

    Attributes:
        rule: The rule's id.
        when: What it is asked of.
        unless_major: The label whose semantic version announces a break by its major number; None for none.
        remedy: What to do about it.
    """

    rule: Name = "compatibility"
    when: When | None = None
    unless_major: Text | None = None
    remedy: str = Field(default="", max_length=2000)


class EvidenceDemand(Part):
    """Attestations that must be there, of a type and suite, by signers trusted for them.

    Attributes:
        rule: The rule's id.
        when: What it is asked of.
        type: A predicate type, or one of the words in ``evidence_kinds``.
        suite: What was looked at; None for anything of that type.
        signers: The roles, one of which a signer's key must have here.
        results: The results that are good enough.
        count: How many different signers there must be.
        max_age: How old it may be.
        metrics: Whether its figures are those that rules read.
        remedy: What to do about it.
    """

    rule: Name
    when: When | None = None
    type: Text
    suite: Name | None = None
    signers: Some[Name]
    results: Some[Literal["PASSED", "WARNED"]] = ("PASSED",)
    count: Annotated[int, Field(ge=1, le=20)] = 1
    max_age: Duration | None = None
    metrics: bool = False
    remedy: str = Field(default="", max_length=2000)


class MetricDemand(Part):
    """What figures out of trusted evidence must be, over all of the data and in each slice of it.

    Attributes:
        rule: The rule's id.
        when: What it is asked of.
        needs: The rules of evidence with ``metrics: true`` whose attestations give the figures.
        metric: The metric's name.
        overall: Whether the figure over all of the data must meet it.
        slices: The slices that must: each a mapping from key to values, ``*`` for every value reported.
        at_least: A floor.
        at_most: A ceiling, or a budget.
        max_regression: How much worse than the baseline's it may be, by the metric's own direction.
        min_sample_count: The least number of samples that a figure must be measured on.
        remedy: What to do about it.
    """

    rule: Name
    when: When | None = None
    needs: Some[Name]
    metric: Text
    overall: bool = True
    slices: Annotated[tuple[dict[str, Texts], ...], Field(max_length=20)] = ()
    at_least: Figure | None = None
    at_most: Figure | None = None
    max_regression: MaxRegression | None = None
    min_sample_count: Annotated[int, Field(ge=1)] | None = None
    remedy: str = Field(default="", max_length=2000)


class DecisionDemand(Part):
    """An earlier environment's signed decision that must be there.

    Attributes:
        rule: The rule's id.
        when: What it is asked of.
        environment: The environment.
        soak: How long the bundle must have been there.
        remedy: What to do about it.
    """

    rule: Name
    when: When | None = None
    environment: Name
    soak: Duration | None = None
    remedy: str = Field(default="", max_length=2000)


class ApprovalDemand(Part):
    """How many people must approve, of whom they must be independent, and how they show who they are.

    Attributes:
        rule: The rule's id.
        when: The versions that it is about.
        count: How many different people must approve.
        independent_of: Whose own approvals do not count.
        authentication: How a person must have been authenticated right before signing, any of these; empty
            where it does not matter.
        remedy: What to do about it.
    """

    rule: Name
    when: When | None = None
    count: int = Field(ge=1, le=20)
    independent_of: tuple[Literal["publisher", "requester"], ...] = ()
    authentication: tuple[Literal["passphrase", "service"], ...] = ()
    remedy: str = Field(default="", max_length=2000)


class BreakGlassTerms(Part):
    """What people may skip in an emergency, and how.

    Attributes:
        skips: The ids of the rules that can be skipped.
        count: How many different people must sign.
        max_validity: How long a statement may be good for.
        review_within: How long after an admission somebody else must have reviewed it.
    """

    skips: Annotated[Some[Name], Field(max_length=MAX_SKIPS)]
    count: int = Field(ge=1, le=20)
    max_validity: Duration = timedelta(hours=1)
    review_within: Duration = timedelta(days=3)


class RollbackTerms(Part):
    """What is asked of a version before an alias is rolled back to it.

    Attributes:
        smoke_test: Whether it must hold a smoke test that did not fail (``required``), or must only not have
            failed the one that it holds (``heeded``).
    """

    smoke_test: Literal["required", "heeded"] = "heeded"


class ExpressionRule(Part):
    """A rule that a CEL expression decides."""

    rule: Name
    when: When | None = None
    needs: tuple[Name, ...] = ()
    expression: Expression
    values: dict[Name, Expression] = Field(default_factory=dict, max_length=20)
    message: Text
    remedy: Text


class PolicyDocument(Part):
    """What one environment demands before it admits a bundle.

    Attributes:
        schema_: The form of the document.
        environment: The environment that decides.
        version: Yours to count; a decision names the SHA-256 of the file.
        description: What the policy is for.
        sources: The environments that it admits from.
        publishing: Whether versions may be published here directly.
        request_max_age: How long a signed promotion request may be carried out.
        release_max_age: How old the source's release statement may be.
        dossier_valid_for: How long approvers have.
        protected_aliases: Aliases that move only by a decision of their own.
        traffic_share_above: The share of a protected alias's traffic, from 0 to 1, above which a version
            needs such a decision too; left out, any share does.
        baseline_alias: The alias of the version that others are compared with.
        labels: The labels of the manifest that demands select by, each with all of its values.
        signature: Whether the bundle must be signed by a publisher that is trusted here.
        metadata: The fields of the manifest that must be filled in.
        compatibility: No breaking change of the feature schema against the baseline.
        evidence: The attestations that must be there, and whose they must be.
        metrics: What figures out of that evidence must be, overall and by slice.
        decisions: The earlier environments that must have admitted this very bundle, and for how long.
        change_windows: The hours of the week at which versions are let in.
        freezes: The times at which none is.
        approvals: How many people must approve, and of whom they must be independent.
        rules: What an expression decides.
        break_glass: What people may skip in an emergency; None where nothing can be.
        rollouts: What a challenger is judged by beside the champion; None where there are no guardrails.
        retention: What is archived by itself, and what may be purged; None for nothing.
        quotas: How much a namespace may store; the first that fits counts.
        rollback: What is asked of a version before an alias is rolled back to it.
    """

    schema_: Literal["carnet.policy/v1"] = Field(alias="schema")
    environment: Name
    version: int = Field(ge=1, le=2**31 - 1)
    description: str = Field(default="", max_length=2000)
    sources: tuple[Name, ...] = ()
    publishing: bool = False
    request_max_age: Duration = timedelta(days=30)
    release_max_age: Duration = timedelta(minutes=10)
    dossier_valid_for: Duration = timedelta(days=7)
    protected_aliases: tuple[Name, ...] = ()
    traffic_share_above: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    baseline_alias: Name | None = None
    labels: dict[str, LabelDeclaration] = Field(default_factory=dict, max_length=20)
    signature: SignatureDemand = SignatureDemand()
    metadata: Annotated[tuple[MetadataDemand, ...], one_or_more(MetadataDemand)] = ()
    compatibility: Annotated[tuple[CompatibilityDemand, ...], one_or_more(CompatibilityDemand)] = ()
    evidence: tuple[EvidenceDemand, ...] = Field(default=(), max_length=MAX_RULES)
    metrics: tuple[MetricDemand, ...] = Field(default=(), max_length=MAX_RULES)
    decisions: tuple[DecisionDemand, ...] = Field(default=(), max_length=MAX_RULES)
    change_windows: tuple[WindowDemand, ...] = Field(default=(), max_length=MAX_RULES)
    freezes: tuple[FreezeDemand, ...] = Field(default=(), max_length=MAX_RULES)
    approvals: Annotated[tuple[ApprovalDemand, ...], one_or_more(ApprovalDemand)] = ()
    rules: tuple[ExpressionRule, ...] = Field(default=(), max_length=MAX_RULES)
    break_glass: BreakGlassTerms | None = None
    rollouts: RolloutTerms | None = None
    retention: RetentionTerms | None = None
    quotas: tuple[QuotaTerms, ...] = Field(default=(), max_length=MAX_RULES)
    rollback: RollbackTerms = RollbackTerms()
