"""Rules of metadata: the fields of the manifest that must be filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from carnet_policies.evaluation import RuleResult, RuleStatus

if TYPE_CHECKING:
    from carnet_policies.facts import Facts
    from carnet_policies.schema import MetadataDemand


def check_metadata(demand: MetadataDemand, facts: Facts) -> RuleResult:
    """Check that every demanded field is there and not empty; in a list, in each of its elements.

    Args:
        demand: The fields, as dotted paths.
        facts: The facts, of which the manifest is read.
    """
    missing = [path for path in demand.required if not is_filled(facts.manifest, path.split("."))]
    values = {"missing": ", ".join(missing)} if missing else {}
    if missing:
        return RuleResult(
            demand.rule,
            RuleStatus.FAILED,
            f"the manifest lacks {', '.join(missing)}",
            f"Fill in {', '.join(missing)} in carnet.yaml and push a new version.",
            values,
        )
    return RuleResult(
        demand.rule, RuleStatus.PASSED, f"all {len(demand.required)} mandatory fields are filled in"
    )


def is_filled(value: Any, path: Sequence[str]) -> bool:
    """Return whether something stands at the path: zero and false do, empty text and empty lists do not.

    Args:
        value: A JSON value.
        path: The keys that lead into it; a list on the way stands for each of its elements.
    """
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return bool(value) and all(is_filled(element, path) for element in value) if path else bool(value)
    if path:
        return isinstance(value, Mapping) and path[0] in value and is_filled(value[path[0]], path[1:])
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and value != {}
