"""Mistakes in demands on metrics: figures that nothing gives, bounds that no figure meets, no bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from carnet_policies.mistakes import needs_wider, suggestion
from carnet_policies.scope import narrows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_policies.mistakes import Problem
    from carnet_policies.schema import MetricDemand, PolicyDocument

MAX_SLICES = 100


def metric_problems(document: PolicyDocument) -> Iterator[Problem]:
    """Yield the mistakes in a policy's demands on metrics, with the field that each is in."""
    for index, demand in enumerate(document.metrics):
        for find in (_need_problems, _bound_problems, _slice_problems):
            for location, message in find(document, demand):
                yield (("metrics", index, *location), message)


def _need_problems(document: PolicyDocument, demand: MetricDemand) -> Iterator[Problem]:
    giving = {each.rule: each.when for each in document.evidence if each.metrics}
    for index, need in enumerate(demand.needs):
        if need not in giving:
            hint = suggestion(need, giving) if giving else "; no rule has that"
            yield (("needs", index), f"{need!r} is not a rule of evidence with metrics: true{hint}")
        elif not narrows(demand.when, giving[need]):
            yield (("needs", index), needs_wider(need))


def _bound_problems(document: PolicyDocument, demand: MetricDemand) -> Iterator[Problem]:
    bounds = (demand.at_least, demand.at_most, demand.max_regression, demand.min_sample_count)
    if all(bound is None for bound in bounds):
        yield ((), "demands nothing: name at_least, at_most, max_regression or min_sample_count")
    if demand.at_least is not None and demand.at_most is not None and demand.at_least > demand.at_most:
        yield (("at_least",), f"no figure is at least {demand.at_least!r} and at most {demand.at_most!r}")
    if demand.max_regression is not None and document.baseline_alias is None:
        yield (("max_regression",), "compares with the baseline, and the policy has no baseline_alias")


def _slice_problems(document: PolicyDocument, demand: MetricDemand) -> Iterator[Problem]:
    del document
    if not demand.overall and not demand.slices:
        yield (("overall",), "demands no figure: name slices, or leave overall at true")
    for index, part in enumerate(demand.slices):
        if not part:
            yield (("slices", index), "a slice without a key is all of the data: that is overall")
        if math.prod(len(values) for values in part.values()) > MAX_SLICES:
            yield (("slices", index), f"these are more than {MAX_SLICES} slices")
