"""What a semantic version promises, and whether a version keeps it.

Responsible, as rules without I/O, for what a manifest claims; for how much of that may change when the patch,
the minor or the major number is raised; and for the number that would be right. Does not read a registry:
the versions that there are come with the call.

A manifest claims its feature schema, each metric's name, direction and unit, and the labels ``task`` and
``claim.…``. Metrics' values and slices, files and everything else are no claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from carnet.bundle.compatibility import breaking_changes
from carnet.bundle.semantic_version import Level, SemanticVersion, parse_semantic_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from carnet.bundle.feature_schema import FeatureSchema
    from carnet.bundle.manifest import Manifest

TASK_LABEL = "task"
CLAIM_PREFIX = "claim."
LEVELS: tuple[Level, ...] = ("patch", "minor", "major")


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One change of what a manifest claims.

    Attributes:
        field: The manifest's field: ``feature_schema.inputs.amount``, ``metrics.recall`` or ``labels.task``.
        level: Which number must be raised for it, at least.
        message: What changed, for a person.
    """

    field: str
    level: Level
    message: str


@dataclass(frozen=True, slots=True)
class EarlierVersion:
    """A version of the model that states a semantic version."""

    version: int
    semantic_version: SemanticVersion
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """What a semantic version promises, and the manifest does not keep.

    Attributes:
        field: The field that breaks it.
        message: Why, for a person.
        taken: Whether the number itself is another version's.
        suggestion: The least number that would be right.
    """

    field: str
    message: str
    taken: bool
    suggestion: SemanticVersion


def contract_changes(before: Manifest, after: Manifest) -> tuple[ContractChange, ...]:
    """Compare what two manifests claim.

    Args:
        before: The earlier version.
        after: The later one.

    Returns:
        Every change: the feature schema's first, then the metrics', then the labels'.
    """
    return tuple(
        chain(
            _schema_changes(before.feature_schema, after.feature_schema),
            _claim_changes("metrics", _metrics(before), _metrics(after)),
            _claim_changes("labels", _labels(before), _labels(after)),
        )
    )


def base_of(version: SemanticVersion, earlier: Iterable[EarlierVersion]) -> EarlierVersion | None:
    """Return the version whose users a version must not disappoint.

    That is the one of the highest precedence that is not above it, among the releases that are not revoked:
    a pre-release promises nothing to anybody.

    Args:
        version: The later version.
        earlier: The model's versions.
    """
    usable = (
        each
        for each in earlier
        if not each.revoked and not each.semantic_version.is_prerelease and each.semantic_version <= version
    )
    return max(usable, key=lambda each: each.semantic_version, default=None)


def newest_of_line(version: SemanticVersion, earlier: Iterable[EarlierVersion]) -> EarlierVersion | None:
    """Return the newest version of the line that a version would go on.

    A patch goes on the line of its minor number, a new minor that of its major number, and a new major all.
    Revoked versions keep their numbers.
    """
    depth = 2 if version.patch else 1 if version.minor else 0
    line = (each for each in earlier if each.semantic_version.core[:depth] == version.core[:depth])
    return max(line, key=lambda each: each.semantic_version, default=None)


def find_violation(
    manifest: Manifest,
    earlier: Sequence[EarlierVersion],
    read_manifest: Callable[[int], Manifest],
) -> Violation | None:
    """Check a manifest's semantic version against the versions that there are.

    Args:
        manifest: The manifest of the version that is to be published.
        earlier: The model's versions that state a semantic version.
        read_manifest: Returns the manifest of one of them, by its number.

    Returns:
        The first thing that is wrong; None where the contract is kept, or none is stated.
    """
    if not manifest.semantic_version:
        return None
    stated = parse_semantic_version(manifest.semantic_version)
    manifests: dict[int, Manifest] = {}

    def read(version: int) -> Manifest:
        if version not in manifests:
            manifests[version] = read_manifest(version)
        return manifests[version]

    found = _judge(stated, manifest, earlier, read)
    if found is None:
        return None
    field, message, taken = found
    return Violation(field, message, taken, _suggest(stated, manifest, earlier, read))


def _judge(
    stated: SemanticVersion,
    manifest: Manifest,
    earlier: Sequence[EarlierVersion],
    read: Callable[[int], Manifest],
) -> tuple[str, str, bool] | None:
    same = next((each for each in earlier if each.semantic_version == stated), None)
    if same is not None:
        message = f"{stated} is taken by version {same.version} ({same.semantic_version})"
        return "semantic_version", message, True
    newest = newest_of_line(stated, earlier)
    if newest is not None and newest.semantic_version > stated:
        message = f"{stated} is not above {newest.semantic_version} (version {newest.version}) of its line"
        return "semantic_version", message, False
    base = base_of(stated, earlier)
    if base is None:
        return None
    level = stated.level_above(base.semantic_version)
    allowed = LEVELS.index(level)
    broken = [
        change
        for change in contract_changes(read(base.version), manifest)
        if LEVELS.index(change.level) > allowed
    ]
    if not broken:
        return None
    told = "; ".join(change.message for change in broken[:5])
    more = f", and {len(broken) - 5} more" if len(broken) > 5 else ""
    word = "may change no contract" if level == "patch" else "may only widen a contract"
    message = (
        f"{stated} is a {level} release after {base.semantic_version} (version {base.version}), "
        f"which {word}; {told}{more}"
    )
    return broken[0].field, message, False


def _suggest(
    stated: SemanticVersion,
    manifest: Manifest,
    earlier: Sequence[EarlierVersion],
    read: Callable[[int], Manifest],
) -> SemanticVersion:
    """Return the least number that keeps the contract: of the stated line, or else the next major."""
    newest = max(each.semantic_version for each in earlier)
    of_major = [each.semantic_version for each in earlier if each.semantic_version.major == stated.major]
    of_minor = [each for each in of_major if each.minor == stated.minor]
    candidates = [max(of_minor).next("patch")] if of_minor else []
    candidates += [max(of_major).next("minor")] if of_major else []
    last = newest.next("major")
    return next((each for each in candidates if _judge(each, manifest, earlier, read) is None), last)


def _schema_changes(before: FeatureSchema, after: FeatureSchema) -> Iterator[ContractChange]:
    breaks = breaking_changes(before, after)
    for change in breaks:
        yield ContractChange(f"feature_schema.{change.name}", "major", change.message)
    broken = {change.name for change in breaks}
    for side in ("inputs", "outputs"):
        olds = {feature.name: feature for feature in getattr(before, side)}
        news = {feature.name: feature for feature in getattr(after, side)}
        for name in [*olds, *(each for each in news if each not in olds)]:
            if olds.get(name) == news.get(name) or f"{side}.{name}" in broken:
                continue
            word = "changes, and breaks nobody" if name in olds else "is new"
            message = f"the {side.removesuffix('s')} {name} {word}"
            yield ContractChange(f"feature_schema.{side}.{name}", "minor", message)


def _claim_changes(
    field: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[ContractChange]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None:
            yield ContractChange(f"{field}.{name}", "minor", f"{field}.{name} is new")
        elif new is None:
            yield ContractChange(f"{field}.{name}", "major", f"{field}.{name} is no longer stated")
        elif old != new:
            yield ContractChange(f"{field}.{name}", "major", f"{field}.{name} is {new!r}, and was {old!r}")


def _metrics(manifest: Manifest) -> dict[str, str]:
    """Return what is measured, and which way is better; a name's slices and values are no claims."""
    return {
        metric.name: f"{metric.direction} {metric.unit}".strip()
        for metric in sorted(manifest.metrics, key=lambda metric: bool(metric.slice), reverse=True)
    }


def _labels(manifest: Manifest) -> dict[str, str]:
    return {
        name: value
        for name, value in manifest.labels.items()
        if name == TASK_LABEL or name.startswith(CLAIM_PREFIX)
    }
