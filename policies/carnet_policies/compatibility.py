"""Rules of compatibility: no break of the contract with those who call the model, unless it is announced.

Responsible for comparing the feature schema with the baseline's, and for the announcement: a label with a
semantic version, whose major number is raised. Fails closed: a schema that cannot be read is incompatible,
and a label that is no semantic version announces nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from carnet.bundle.compatibility import breaking_changes
from carnet.bundle.feature_schema import FeatureSchema
from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from carnet_policies.facts import Facts
    from carnet_policies.schema import CompatibilityDemand

_NUMBER = r"(0|[1-9][0-9]{0,8})"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
# https://semver.org, version 2.0.0.
_SEMANTIC_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?")
_MAX_TOLD = 10


def check_compatibility(demand: CompatibilityDemand, facts: Facts, *, baseline_alias: str) -> RuleResult:
    """Check that nothing breaks that was not announced by a major version.

    Args:
        demand: The label that announces a break, if there is one.
        facts: The facts, of which both manifests are read.
        baseline_alias: What the baseline is called.
    """
    if facts.baseline_manifest is None:
        message = f"no {baseline_alias} yet whose contract could be broken"
        return RuleResult(demand.rule, RuleStatus.PASSED, message)
    try:
        before, after = _schema(facts.baseline_manifest), _schema(facts.manifest)
    except ValidationError:
        message = "a feature schema cannot be read, so it cannot be compared"
        return RuleResult(demand.rule, RuleStatus.FAILED, message, "Push a new version with a sound schema.")
    changes = breaking_changes(before, after)
    label = demand.unless_major
    values = {name: text for name, text in _versions(label, facts, baseline_alias).items() if text}
    if not changes:
        message = f"nothing breaks for those who call {baseline_alias}"
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values)
    values |= {change.name: change.message for change in changes[:_MAX_TOLD]}
    more = f"; and {len(changes) - _MAX_TOLD} more" if len(changes) > _MAX_TOLD else ""
    told = "; ".join(change.message for change in changes[:_MAX_TOLD]) + more
    if label is not None and _is_major(facts.baseline_manifest, facts.manifest, label):
        message = f"a new major version ({label} {values[label]}): {told}"
        return RuleResult(demand.rule, RuleStatus.PASSED, message, "", values)
    way_out = f", or raise the major number of labels.{label} and tell those who call it" if label else ""
    return RuleResult(
        demand.rule,
        RuleStatus.FAILED,
        f"breaks those who call {baseline_alias}: {told}",
        demand.remedy or f"Keep the feature schema compatible{way_out}, and push a new version.",
        values,
    )


def major_of(manifest: Mapping[str, Any], label: str) -> int | None:
    """Return the major number of a semantic version in a label; None where there is none."""
    match = _SEMANTIC_VERSION.fullmatch(_label(manifest, label))
    return int(match[1]) if match else None


def _is_major(before: Mapping[str, Any], after: Mapping[str, Any], label: str) -> bool:
    old, new = major_of(before, label), major_of(after, label)
    # A baseline from before the label was in use counts as 0; one with another text in it as nothing at all.
    base = 0 if not _label(before, label) else old
    return base is not None and new is not None and new > base


def _versions(label: str | None, facts: Facts, baseline_alias: str) -> dict[str, str]:
    if label is None or facts.baseline_manifest is None:
        return {}
    return {
        label: _label(facts.manifest, label),
        f"{baseline_alias}'s {label}": _label(facts.baseline_manifest, label),
    }


def _label(manifest: Mapping[str, Any], label: str) -> str:
    labels = manifest.get("labels")
    value = labels.get(label) if isinstance(labels, Mapping) else None
    return value if isinstance(value, str) else ""


def _schema(manifest: Mapping[str, Any]) -> FeatureSchema:
    return FeatureSchema.model_validate(manifest.get("feature_schema") or {})
