"""Mistakes in what a policy says about rollouts: guardrails that never matter, metrics with two directions.

Responsible for what holds between the fields there. Rule ids and labels are checked with all others
(``checks``). Nothing is evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_policies.schema_fields import in_words
from carnet_policies.scope import narrows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_policies.mistakes import Problem
    from carnet_policies.schema import PolicyDocument
    from carnet_policies.schema_fields import Margin
    from carnet_policies.schema_rollouts import GuardrailDemand, RolloutTerms

_PLACE = ("rollouts", "guardrails")


def rollout_problems(document: PolicyDocument) -> Iterator[Problem]:
    """Yield the mistakes in what a policy says about rollouts, with the field that each is in."""
    terms = document.rollouts
    if terms is None:
        return
    yield from _time_problems(terms)
    for index, demand in enumerate(terms.guardrails):
        yield from _own_problems(index, demand)
        yield from _problems_beside_others(index, demand, terms.guardrails)


def _time_problems(terms: RolloutTerms) -> Iterator[Problem]:
    if terms.max_silence < 2 * terms.reporting_interval:
        stated = "max_silence" if "max_silence" in terms.model_fields_set else "reporting_interval"
        message = (
            f"max_silence, {in_words(terms.max_silence)}, is less than two reporting intervals of "
            f"{in_words(terms.reporting_interval)}: one late report would end a rollout"
        )
        yield (("rollouts", stated), message)
    if terms.max_duration <= terms.max_silence:
        stated = "max_duration" if "max_duration" in terms.model_fields_set else "max_silence"
        message = (
            f"max_silence, {in_words(terms.max_silence)}, never matters: no rollout takes longer than "
            f"{in_words(terms.max_duration)} (max_duration)"
        )
        yield (("rollouts", stated), message)


def _own_problems(index: int, demand: GuardrailDemand) -> Iterator[Problem]:
    if demand.when is not None and demand.when.sources:
        message = "a rollout comes from no environment: name labels, namespaces or aliases"
        yield ((*_PLACE, index, "when", "sources"), message)
    if len(set(demand.kinds)) != len(demand.kinds):
        yield ((*_PLACE, index, "kinds"), "the same kind twice")


def _problems_beside_others(
    index: int, demand: GuardrailDemand, guardrails: tuple[GuardrailDemand, ...]
) -> Iterator[Problem]:
    for other in guardrails[:index]:
        if other.metric == demand.metric and other.direction != demand.direction:
            message = f"{demand.metric} is {other.direction} in {other.rule!r}: a metric has one direction"
            yield ((*_PLACE, index, "direction"), message)
            break
    for place, other in enumerate(guardrails):
        # Of two that say the same, it is the later one that never matters.
        if place != index and _covers(other, demand) and (place < index or not _covers(demand, other)):
            message = f"never matters: {other.rule!r} is at least as strict wherever this one is asked"
            yield ((*_PLACE, index, "rule"), message)
            break


def _covers(strict: GuardrailDemand, loose: GuardrailDemand) -> bool:
    """Return whether one guardrail is asked wherever another is, and lets through nothing that it stops."""
    return (
        strict.metric == loose.metric
        and strict.direction == loose.direction
        and set(loose.kinds) <= set(strict.kinds)
        and narrows(loose.when, strict.when)
        and strict.min_samples <= loose.min_samples
        and strict.false_alarm_rate >= loose.false_alarm_rate * _bounds(strict) / _bounds(loose)
        and (loose.at_most is None or (strict.at_most is not None and strict.at_most <= loose.at_most))
        and (loose.at_least is None or (strict.at_least is not None and strict.at_least >= loose.at_least))
        and (loose.max_regression is None or _is_within(strict.max_regression, loose.max_regression))
    )


def _bounds(demand: GuardrailDemand) -> int:
    return sum(each is not None for each in (demand.at_most, demand.at_least, demand.max_regression))


def _is_within(strict: Margin | None, loose: Margin) -> bool:
    return strict is not None and strict.is_percentage == loose.is_percentage and strict.value <= loose.value
