"""Demands that can never be met, or never matter: found while the author looks, not at the first promotion.

Responsible for what two or more fields of a policy say against one another. Finds no contradiction that
depends on facts, on the trust document or on expressions. Nothing is evaluated.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from carnet_policies.mistakes import place_of, suggestion
from carnet_policies.scope import narrows, selections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_policies.mistakes import Problem
    from carnet_policies.schema import ApprovalDemand, MetricDemand, PolicyDocument
    from carnet_policies.schema_times import WindowDemand


def contradiction_problems(document: PolicyDocument) -> Iterator[Problem]:
    """Yield what can never be met and what never matters, with the field that it is in."""
    yield from _label_problems(document)
    yield from _source_problems(document)
    yield from _decision_problems(document)
    yield from _share_problems(document)
    yield from _approval_problems(document)
    yield from _window_problems(document)
    yield from _freeze_problems(document)
    yield from _bound_problems(document)


def _label_problems(document: PolicyDocument) -> Iterator[Problem]:
    for name, declared in document.labels.items():
        if declared.required_in and declared.default is None:
            yield (("labels", name, "required_in"), f"without a default {name} is mandatory everywhere")
        if declared.never_below_baseline and document.baseline_alias is None:
            place = ("labels", name, "never_below_baseline")
            yield (place, "compares with the baseline, and the policy has no baseline_alias")


def _source_problems(document: PolicyDocument) -> Iterator[Problem]:
    for field, index, selection, when in selections(document):
        for number, source in enumerate(when.sources):
            if source not in document.sources:
                place = (*place_of(document, field, index), selection, "sources", number)
                yield (place, f"nothing comes from {source!r} here{suggestion(source, document.sources)}")


def _decision_problems(document: PolicyDocument) -> Iterator[Problem]:
    for index, demand in enumerate(document.decisions):
        if demand.environment == document.environment:
            message = f"{demand.environment} cannot rest on its own decision, which is this one"
            yield (("decisions", index, "environment"), message)


def _share_problems(document: PolicyDocument) -> Iterator[Problem]:
    if document.traffic_share_above is not None and not document.protected_aliases:
        yield (("traffic_share_above",), "never matters: no alias is protected, so no share of traffic is")


def _approval_problems(document: PolicyDocument) -> Iterator[Problem]:
    if not document.publishing:
        return
    for index, demand in enumerate(document.approvals):
        if _is_asked_of_publications(demand):
            place = (*place_of(document, "approvals", index), "count")
            yield (place, "nobody can approve a publication: give the rule a when with sources")


def _is_asked_of_publications(demand: ApprovalDemand) -> bool:
    return demand.when is None or not (demand.when.sources or demand.when.aliases)


def _window_problems(document: PolicyDocument) -> Iterator[Problem]:
    sound = []
    for index, demand in enumerate(document.change_windows):
        closed = [number for number, period in enumerate(demand.open) if period.from_ >= period.until]
        for number in closed:
            yield (
                ("change_windows", index, "open", number, "until"),
                "the period closes before it opens: end it at 24:00, and begin another at 00:00",
            )
        if not closed:
            sound.append((index, demand))
    for (_, one), (index, other) in combinations(sound, 2):
        if _meet(one.when, other.when) and one.time_zone == other.time_zone and not _share_hours(one, other):
            yield (("change_windows", index, "open"), f"is never open while {one.rule!r} is")


def _share_hours(one: WindowDemand, other: WindowDemand) -> bool:
    return any(
        set(first.days) & set(second.days) and max(first.from_, second.from_) < min(first.until, second.until)
        for first in one.open
        for second in other.open
    )


def _freeze_problems(document: PolicyDocument) -> Iterator[Problem]:
    for index, demand in enumerate(document.freezes):
        if demand.from_ >= demand.until:
            yield (("freezes", index, "until"), "the freeze is over before it begins")
        if demand.exempt is not None and narrows(demand.when, demand.exempt):
            yield (("freezes", index, "exempt"), "everything that the freeze is for is exempt from it")


def _bound_problems(document: PolicyDocument) -> Iterator[Problem]:
    for (_, one), (index, other) in combinations(enumerate(document.metrics), 2):
        if one.metric != other.metric or not (_meet(one.when, other.when) and _share_figures(one, other)):
            continue
        for floor, ceiling in ((one, other), (other, one)):
            low, high = floor.at_least, ceiling.at_most
            if low is not None and high is not None and low > high:
                field = "at_least" if floor is other else "at_most"
                message = (
                    f"no figure is at least {low!r} ({floor.rule}) and at most {high!r} ({ceiling.rule})"
                )
                yield (("metrics", index, field), message)


def _share_figures(one: MetricDemand, other: MetricDemand) -> bool:
    return (one.overall and other.overall) or any(part in other.slices for part in one.slices)


def _meet(one: object, other: object) -> bool:
    """Return whether two demands are surely asked of a version in common."""
    return one is None or other is None or one == other
