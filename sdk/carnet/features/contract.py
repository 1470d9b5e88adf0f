"""What changed between the feature schemas of two versions, and which of it breaks callers.

Responsible for one row a feature that differs. What breaks is judged by ``carnet.bundle.compatibility``, as a
policy's rule judges it. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from carnet.bundle.compatibility import breaking_changes

if TYPE_CHECKING:
    from carnet.bundle.feature_schema import Feature, FeatureSchema


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One feature that differs, or the preprocessing.

    Attributes:
        name: ``inputs.NAME``, ``outputs.NAME`` or ``preprocessing``.
        change: Whether it is new, gone or another.
        fields: Which of its fields differ; empty where it is new or gone.
        before: The fields before; None where it was not there.
        after: The fields after; None where it is not there.
        breaks: How it breaks callers, a sentence each; empty where it breaks none.
    """

    name: str
    change: Literal["added", "removed", "changed"]
    fields: tuple[str, ...]
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    breaks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContractReport:
    """All that differs between two schemas, inputs first."""

    changes: tuple[ContractChange, ...]

    @property
    def breaking(self) -> bool:
        """Whether any change breaks callers."""
        return any(change.breaks for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "breaking": self.breaking,
            "changes": [
                {
                    "name": each.name,
                    "change": each.change,
                    "fields": list(each.fields),
                    "before": each.before,
                    "after": each.after,
                    "breaks": list(each.breaks),
                }
                for each in self.changes
            ],
        }


def compare_contracts(before: FeatureSchema, after: FeatureSchema) -> ContractReport:
    """Compare two feature schemas.

    Args:
        before: The schema that callers were written for.
        after: The schema that they would meet.

    Returns:
        Every feature that differs, in the order of the schemas; order itself is no difference.
    """
    breaks: dict[str, list[str]] = {}
    for broken in breaking_changes(before, after):
        breaks.setdefault(broken.name, []).append(broken.message)
    found = []
    olds, news = _parts(before), _parts(after)
    for name in (*olds, *(name for name in news if name not in olds)):
        old, new = olds.get(name), news.get(name)
        if old == new:
            continue
        change: Literal["added", "removed", "changed"] = (
            "added" if old is None else "removed" if new is None else "changed"
        )
        differing = (
            tuple(key for key in {**old, **new} if old.get(key) != new.get(key)) if old and new else ()
        )
        found.append(ContractChange(name, change, differing, old, new, tuple(breaks.get(name, ()))))
    order = {"inputs": 0, "outputs": 1}
    return ContractReport(tuple(sorted(found, key=lambda each: order.get(each.name.partition(".")[0], 2))))


def _parts(schema: FeatureSchema) -> dict[str, dict[str, Any]]:
    parts = {f"inputs.{each.name}": _fields(each) for each in schema.inputs}
    parts |= {f"outputs.{each.name}": _fields(each) for each in schema.outputs}
    if schema.preprocessing is not None:
        parts["preprocessing"] = schema.preprocessing.model_dump(mode="json", exclude_defaults=True)
    return parts


def _fields(feature: Feature) -> dict[str, Any]:
    fields = feature.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
    if "categories" in fields:
        # Their order is no part of the contract.
        fields["categories"] = sorted(fields["categories"])
    return fields
