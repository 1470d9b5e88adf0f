"""What differs between two versions.

Responsible for comparing two manifests as rules without I/O: metrics by name and slice, with the direction
telling better from worse; settings, features, environment, lineage and files by name; and what would break
callers. Figures that evidence states are handed in. Does not judge whether a difference is acceptable;
policies do, and ``carnet.bundle.compare_gate`` for a build.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from carnet.bundle.compatibility import breaking_changes
from carnet.bundle.metric_comparison import Figure, compare_figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carnet.bundle.compatibility import BreakingChange
    from carnet.bundle.manifest import Manifest
    from carnet.bundle.metric_comparison import MetricChange

Kind = Literal["changed", "added", "removed"]


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
    """All that differs between two manifests, and every metric of both.

    ``schema_breaks`` are the changes of the feature schema that break callers.
    """

    before: str
    after: str
    metrics: tuple[MetricChange, ...]
    hyperparameters: tuple[Change, ...]
    feature_schema: tuple[Change, ...]
    environment: tuple[Change, ...]
    lineage: tuple[Change, ...]
    files: tuple[Change, ...]
    schema_breaks: tuple[BreakingChange, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return asdict(self)


def compare_manifests(
    before: Manifest,
    after: Manifest,
    *,
    measured_before: Iterable[Figure] = (),
    measured_after: Iterable[Figure] = (),
) -> Comparison:
    """Compare two manifests.

    Args:
        before: The version to compare with.
        after: The version that is compared.
        measured_before: What trusted evidence measured of the first.
        measured_after: What it measured of the second.

    Returns:
        What differs. A metric whose direction or unit is another is another metric: one removed, one added.
    """
    return Comparison(
        before=before.subject_name,
        after=after.subject_name,
        metrics=tuple(
            compare_figures(
                (*_figures(before), *measured_before),
                (*_figures(after), *measured_after),
            )
        ),
        hyperparameters=_changes(before.hyperparameters, after.hyperparameters),
        feature_schema=_changes(_features(before), _features(after)),
        environment=_changes(_section(before, "environment"), _section(after, "environment")),
        lineage=_changes(_section(before, "lineage"), _section(after, "lineage")),
        files=_changes(_files(before), _files(after)),
        schema_breaks=breaking_changes(before.feature_schema, after.feature_schema),
    )


def _figures(manifest: Manifest) -> Iterable[Figure]:
    return (Figure(each.name, each.value, each.direction, each.slice, each.unit) for each in manifest.metrics)


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
