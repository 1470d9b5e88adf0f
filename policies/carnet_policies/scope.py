"""Which demands are asked of a version: ``when``, and the rule ``scope``.

Responsible for leaving out the demands whose ``when`` does not hold, and for saying so in one result. Fails
closed: a label that a manifest leaves out counts as the policy's default, and where there is none, or where
the value is unknown to the policy, the rule ``scope`` fails and every demand that selects by that label is
asked. What is left out has no result: ``PASSED`` beside a demand that nobody met would mislead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carnet_policies.facts import Facts
    from carnet_policies.schema import PolicyDocument
    from carnet_policies.schema_scope import LabelDeclaration, When

RULE = "scope"
# The fields of a policy that hold demands, in the order of their results.
DEMANDS = (
    "metadata",
    "compatibility",
    "evidence",
    "metrics",
    "decisions",
    "change_windows",
    "freezes",
    "rules",
    "approvals",
)


class Demand(Protocol):
    """What every demand has: its rule's id, and what it is asked of."""

    @property
    def rule(self) -> str:
        """The rule's id."""

    @property
    def when(self) -> When | None:
        """What it is asked of; None for every version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """On what occasion a ``when`` is asked, where it is no admission: no version comes from anywhere then.

    Attributes:
        namespace: The namespace.
        alias: The alias that it is about; empty for none.
        source: Empty.
    """

    namespace: str
    alias: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a policy asks of one version.

    Attributes:
        document: The policy, with the demands that are asked only.
        result: The rule ``scope``; None where the policy asks the same of every version.
        labels: What each declared label counts as; None where that is not known.
    """

    document: PolicyDocument
    result: RuleResult | None
    labels: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class _Label:
    """What a label counts as: a value, or None with the problem that there is none."""

    value: str | None
    shown: str
    problem: str = ""


def is_scoped(document: PolicyDocument) -> bool:
    """Return whether a policy has the rule ``scope``: it declares labels, or a demand has a ``when``."""
    return bool(document.labels) or next(selections(document), None) is not None


def demands(document: PolicyDocument) -> Iterator[tuple[str, int, Demand]]:
    """Yield every demand of a policy with the field and the index that it stands at."""
    for field in DEMANDS:
        for index, demand in enumerate(getattr(document, field)):
            yield field, index, demand


def selections(document: PolicyDocument) -> Iterator[tuple[str, int, str, When]]:
    """Yield every ``when`` and ``exempt``: the field and index of its demand, its own name, and itself."""
    for field, index, demand in demands(document):
        for name in ("when", "exempt"):
            selection = getattr(demand, name, None)
            if selection is not None:
                yield field, index, name, selection


def scope_of(document: PolicyDocument, facts: Facts) -> Scope:
    """Leave out what is not asked of a version.

    Args:
        document: The policy.
        facts: The facts, of which the manifest's labels, the namespace, the alias and the source are read.
    """
    if not is_scoped(document):
        return Scope(document, None, {})
    baseline = facts.baseline_manifest
    labels = _labels(
        document,
        _stated(facts.manifest),
        facts.namespace,
        None if baseline is None else _stated(baseline),
    )
    values = {name: label.value for name, label in labels.items()}
    asked: dict[str, list[Demand]] = {field: [] for field in DEMANDS}
    left_out: list[str] = []
    for field, _, demand in demands(document):
        if demand.when is None or holds(demand.when, values, facts):
            asked[field].append(demand)
        else:
            left_out.append(demand.rule)
    narrowed = document.model_copy(update={field: tuple(found) for field, found in asked.items()})
    return Scope(narrowed, _result(labels, left_out), values)


def label_values(
    document: PolicyDocument,
    labels: Mapping[str, str],
    namespace: str,
    *,
    baseline: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """Return what each label that a policy declares counts as; None where that is not known.

    Args:
        document: The policy.
        labels: The labels of a manifest.
        namespace: The target's namespace.
        baseline: The labels of the version that it is compared with; None for none.
    """
    return {name: label.value for name, label in _labels(document, labels, namespace, baseline).items()}


def holds(
    when: When, labels: Mapping[str, str | None], asked: Facts | Occasion, *, unknown: bool = True
) -> bool:
    """Return whether a version is one of those that a ``when`` selects.

    Args:
        when: The criteria, all of which must hold.
        labels: What each label counts as; None where that is not known.
        asked: The facts, or the occasion, of which the source, the alias and the namespace are read.
        unknown: What a criterion gives whose label is not known.
    """
    if when.sources and asked.source not in when.sources:
        return False
    if when.aliases and asked.alias not in when.aliases:
        return False
    if when.namespaces and not fits_any(when.namespaces, asked.namespace):
        return False
    return all(
        unknown if labels.get(name) is None else labels[name] in values
        for name, values in when.labels.items()
    )


def fits_any(patterns: Iterable[str], namespace: str) -> bool:
    """Return whether a namespace fits one of the patterns, in which ``*`` stands for any characters."""
    return any(_pattern(pattern).fullmatch(namespace) for pattern in patterns)


def narrows(inner: When | None, outer: When | None) -> bool:
    """Return whether whatever one ``when`` selects is surely selected by another.

    Args:
        inner: The narrower one; None selects everything.
        outer: The wider one.
    """
    if outer is None:
        return True
    if inner is None:
        return False
    lists = ((inner.aliases, outer.aliases), (inner.sources, outer.sources))
    return (
        all(not wide or (narrow and set(narrow) <= set(wide)) for narrow, wide in lists)
        and (
            not outer.namespaces or bool(inner.namespaces and set(inner.namespaces) <= set(outer.namespaces))
        )
        and all(
            name in inner.labels and set(inner.labels[name]) <= set(values)
            for name, values in outer.labels.items()
        )
    )


@lru_cache(maxsize=512)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))))


def _stated(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    stated = manifest.get("labels")
    return stated if isinstance(stated, Mapping) else {}


def _labels(
    document: PolicyDocument,
    labels: Mapping[str, Any],
    namespace: str,
    baseline: Mapping[str, Any] | None,
) -> dict[str, _Label]:
    return {
        name: _not_below(name, declared, _own_label(name, declared, labels.get(name), namespace), baseline)
        for name, declared in document.labels.items()
    }


def _not_below(
    name: str, declared: LabelDeclaration, label: _Label, baseline: Mapping[str, Any] | None
) -> _Label:
    if not declared.never_below_baseline or label.value is None or baseline is None:
        return label
    before = baseline.get(name) or declared.default
    order = declared.values.index
    if before in declared.values and order(label.value) < order(before):
        problem = (
            f"the label {name} is {label.value}, and that of the version it is compared with is {before}"
        )
        return _Label(None, f"{label.shown} (below {before})", problem)
    return label


def _own_label(name: str, declared: LabelDeclaration, value: Any, namespace: str) -> _Label:
    known = ", ".join(declared.values)
    if value is None:
        if declared.default is not None and not fits_any(declared.required_in, namespace):
            return _Label(declared.default, f"{declared.default} (left out: the policy's default)")
        return _Label(None, "(left out)", f"the manifest leaves out the label {name} ({known})")
    if value not in declared.values:
        problem = f"the label {name} is {value!r}, which is none of {known}"
        return _Label(None, f"{value} (unknown)", problem)
    return _Label(value, value)


def _result(labels: Mapping[str, _Label], left_out: list[str]) -> RuleResult:
    shown = {name: label.shown for name, label in labels.items()}
    values = shown | ({"not_demanded": ", ".join(left_out)} if left_out else {})
    rest = f"not demanded here: {', '.join(left_out)}" if left_out else "every demand is asked"
    problems = {name: label.problem for name, label in labels.items() if label.problem}
    if problems:
        return RuleResult(
            RULE,
            RuleStatus.FAILED,
            f"{'; '.join(problems.values())}: what selects by it is demanded; {rest}",
            f"Set {' and '.join(f'labels.{name}' for name in problems)} in carnet.yaml to what is true of "
            "the model, and push a new version.",
            values,
        )
    said = "; ".join([*(f"{name} is {text}" for name, text in shown.items()), rest])
    return RuleResult(RULE, RuleStatus.PASSED, said, "", values)
