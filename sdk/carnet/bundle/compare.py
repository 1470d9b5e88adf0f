"""What differs between two versions.

Responsible for comparing two manifests as rules without I/O: metrics by name and slice, with the direction
telling better from worse; settings, features, environment, lineage and files by name. Does not judge whether
a difference is acceptable; policies do.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carnet.bundle.manifest import Manifest
    from carnet.bundle.metadata import Metric

Verdict = Literal["improved", "regressed", "unchanged", "added", "removed"]
Kind = Literal["changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric on both sides; ``before``, ``after`` and ``delta`` (after less before) where they exist."""

    name: str
    slice: Mapping[str, str]
    direction: str
    unit: str
    before: float | None
    after: float | None
    delta: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs.

    Attributes:
        name: Which: a setting, ``inputs.NAME`` of the feature schema, a dotted field, or a file's path.
        kind: ``changed``, ``added`` or ``removed``.
        before: The value in the first manifest; None where it has none.
        after: The value in the second; None where it has none.
    """

    name: str
    kind: Kind
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs between two manifests, and every metric of both."""

    before: str
    after: str
    metrics: tuple[MetricChange, ...]
    hyperparameters: tuple[Change, ...]
    feature_schema: tuple[Change, ...]
    environment: tuple[Change, ...]
    lineage: tuple[Change, ...]
    files: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return asdict(self)


def compare_manifests(before: Manifest, after: Manifest) -> Comparison:
    """Compare two manifests.

    Args:
        before: The version to compare with.
        after: The version that is compared.

    Returns:
        What differs. A metric whose direction or unit is another is another metric: one removed, one added.
    """
    return Comparison(
        before=before.subject_name,
        after=after.subject_name,
        metrics=tuple(_metrics(before.metrics, after.metrics)),
        hyperparameters=_changes(before.hyperparameters, after.hyperparameters),
        feature_schema=_changes(_features(before), _features(after)),
        environment=_changes(_section(before, "environment"), _section(after, "environment")),
        lineage=_changes(_section(before, "lineage"), _section(after, "lineage")),
        files=_changes(_files(before), _files(after)),
    )


def _metrics(before: Iterable[Metric], after: Iterable[Metric]) -> Iterable[MetricChange]:
    olds, news = ({_identity(metric): metric for metric in side} for side in (before, after))
    for identity in sorted(olds.keys() | news.keys()):
        old, new = olds.get(identity), news.get(identity)
        either = new or old
        assert either is not None
        first, second = old.value if old else None, new.value if new else None
        yield MetricChange(
            name=either.name,
            slice=either.slice,
            direction=either.direction,
            unit=either.unit,
            before=first,
            after=second,
            delta=_delta(first, second),
            verdict=_verdict(first, second, either.direction),
        )


def _identity(metric: Metric) -> tuple[Any, ...]:
    return (metric.name, tuple(sorted(metric.slice.items())), metric.direction, metric.unit)


def _delta(before: float | None, after: float | None) -> float | None:
    """Return the difference, where there is one that JSON can hold."""
    if before is None or after is None or not math.isfinite(after - before):
        return None
    return after - before


def _verdict(before: float | None, after: float | None, direction: str) -> Verdict:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if before == after:
        return "unchanged"
    return "improved" if (after > before) == (direction == "higher_is_better") else "regressed"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    found = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            found.append(Change(name, "added", None, after[name]))
        elif name not in after:
            found.append(Change(name, "removed", before[name], None))
        elif not _same(before[name], after[name]):
            found.append(Change(name, "changed", before[name], after[name]))
    return tuple(found)


def _same(before: Any, after: Any) -> bool:
    """Equal as JSON values: to Python, True is 1 as well."""
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    return bool(before == after)


def _features(manifest: Manifest) -> dict[str, Any]:
    schema = manifest.feature_schema
    return {
        f"{side}.{feature.name}": feature.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
        for side, features in (("inputs", schema.inputs), ("outputs", schema.outputs))
        for feature in features
    }


def _files(manifest: Manifest) -> dict[str, Any]:
    return {file.path: file.model_dump(mode="json", exclude={"path"}) for file in manifest.files}


def _section(manifest: Manifest, name: str) -> dict[str, Any]:
    return dict(_flatten(manifest.to_json().get(name, {}), ""))


def _flatten(value: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flatten(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, inner
