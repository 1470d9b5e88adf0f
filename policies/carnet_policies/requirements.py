"""Rules of metrics: floors, ceilings and margins of regression, over all of the data and by slice.

Responsible for comparing figures out of trusted evidence with what a demand says, and with the baseline's.
Invariants: a figure or a slice that is demanded and not reported fails the rule; so does one that is spelt
out and that the baseline lacks, where a regression is to be seen; what is worse follows the direction that
the evidence states.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from carnet_policies.evaluation import RuleResult, RuleStatus
from carnet_policies.metrics import TrustedFigure, metric_key, trusted_figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from carnet_policies.facts import Facts
    from carnet_policies.schema import MetricDemand, PolicyDocument
    from carnet_policies.schema_fields import Texts

EVERY = "*"
MAX_SHOWN = 20
_MAX_TOLD = 5

Figures = dict[str, TrustedFigure]


class FigureBook:
    """The figures of the candidate and of the baseline, collected once for each set of rules of evidence.

    Args:
        document: The policy, with the demands that are asked only.
        facts: The facts, of which both versions' verified evidence is read.
    """

    def __init__(self, document: PolicyDocument, facts: Facts) -> None:
        self.baseline_alias = document.baseline_alias or "baseline"
        self.has_baseline = facts.baseline_manifest is not None
        self._document = document
        self._facts = facts
        self._collected: dict[frozenset[str], tuple[Figures, Figures]] = {}

    def figures(self, needs: Iterable[str]) -> tuple[Figures, Figures]:
        """Return the candidate's and the baseline's figures out of the evidence of some rules."""
        named = frozenset(needs)
        if named not in self._collected:
            demands = [demand for demand in self._document.evidence if demand.rule in named]
            facts = self._facts
            self._collected[named] = (
                trusted_figures(demands, facts.evidence, facts.now),
                trusted_figures(demands, facts.baseline_evidence, facts.now, aged=False),
            )
        return self._collected[named]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One figure that is demanded: what it is, what the baseline's is, and what is wrong with it."""

    key: str
    figure: TrustedFigure | None
    baseline: TrustedFigure | None
    problems: tuple[str, ...]


def check_metrics(demand: MetricDemand, book: FigureBook) -> RuleResult:
    """Check one demand on a metric whose evidence is there.

    Args:
        demand: The demand.
        book: The figures.
    """
    candidate, baseline = book.figures(demand.needs)
    readings = [
        _read(demand, key, candidate, baseline, book=book, is_listed=is_listed)
        for key, is_listed in _wanted(demand, candidate, baseline)
    ]
    failing = [reading for reading in readings if reading.problems]
    values = _values([*failing, *(each for each in readings if not each.problems)], demand, book)
    demanded = f"demanded: {', '.join(_bounds(demand, book))}"
    if not failing:
        shown = (
            _told(readings[:1], demand, book) if len(readings) == 1 else f"all {len(readings)} figures hold"
        )
        return RuleResult(demand.rule, RuleStatus.PASSED, f"{shown}; {demanded}", "", values)
    more = f"; and {len(failing) - _MAX_TOLD} more" if len(failing) > _MAX_TOLD else ""
    message = f"{_told(failing[:_MAX_TOLD], demand, book)}{more}; {demanded}"
    return RuleResult(
        demand.rule, RuleStatus.FAILED, message, demand.remedy or _remedy(failing, demand, book), values
    )


def _wanted(demand: MetricDemand, candidate: Figures, baseline: Figures) -> Iterator[tuple[str, bool]]:
    """Yield the keys that must be reported, each once, and whether the policy spells it out."""
    seen: set[str] = set()
    if demand.overall:
        yield metric_key(demand.metric, {}), True
    for part in demand.slices:
        is_listed = all(EVERY not in values for values in part.values())
        if is_listed:
            keys = [
                metric_key(demand.metric, dict(zip(part, each, strict=True)))
                for each in product(*part.values())
            ]
        else:
            # What the baseline reports is wanted too: a bad slice is not to be left out of a report.
            known = candidate | (baseline if demand.max_regression is not None else {})
            keys = [key for key, figure in known.items() if _is_of(figure, demand.metric, part)]
            keys = sorted(keys) or [_pattern_key(demand.metric, part)]
        for key in keys:
            if key not in seen:
                seen.add(key)
                yield key, is_listed


def _is_of(figure: TrustedFigure, metric: str, part: Mapping[str, Texts]) -> bool:
    return (
        figure.name == metric
        and figure.slice.keys() == part.keys()
        and all(EVERY in values or figure.slice[name] in values for name, values in part.items())
    )


def _pattern_key(metric: str, part: Mapping[str, Texts]) -> str:
    return metric_key(metric, {name: "|".join(values) for name, values in part.items()})


def _read(
    demand: MetricDemand,
    key: str,
    candidate: Figures,
    baseline: Figures,
    *,
    book: FigureBook,
    is_listed: bool,
) -> _Reading:
    figure, before = candidate.get(key), baseline.get(key)
    if figure is None or figure.value is None:
        problem = figure.problem if figure else f"not reported by {' or '.join(demand.needs)}"
        return _Reading(key, None, before, (problem,))
    problems = []
    if demand.at_least is not None and figure.value < demand.at_least:
        problems.append(f"below {demand.at_least!r}")
    if demand.at_most is not None and figure.value > demand.at_most:
        problems.append(f"above {demand.at_most!r}")
    if demand.min_sample_count is not None and (figure.sample_count or 0) < demand.min_sample_count:
        stated = (
            "no number of samples stated"
            if figure.sample_count is None
            else f"on {figure.sample_count} samples"
        )
        problems.append(stated)
    if demand.max_regression is not None and book.has_baseline and (is_listed or before is not None):
        problems += _regression(demand, figure, before, book)
    return _Reading(key, figure, before, tuple(problems))


def _regression(
    demand: MetricDemand, figure: TrustedFigure, before: TrustedFigure | None, book: FigureBook
) -> list[str]:
    assert figure.value is not None
    assert demand.max_regression is not None
    if before is None or before.value is None:
        why = before.problem if before else f"{book.baseline_alias} has no such figure"
        return [f"cannot be compared: {why}"]
    if before.direction != figure.direction:
        return [f"cannot be compared: {book.baseline_alias}'s says {before.direction}"]
    worse = (
        before.value - figure.value if figure.direction == "higher_is_better" else figure.value - before.value
    )
    allowed = demand.max_regression.amount(before.value)
    # Compared as `figure >= baseline - margin`, so that a figure at the margin is within it.
    if figure.direction == "higher_is_better":
        is_within = figure.value >= before.value - allowed
    else:
        is_within = figure.value <= before.value + allowed
    return [] if is_within else [f"{worse:.4g} worse"]


def _bounds(demand: MetricDemand, book: FigureBook) -> Iterator[str]:
    if demand.at_least is not None:
        yield f"at least {demand.at_least!r}"
    if demand.at_most is not None:
        yield f"at most {demand.at_most!r}"
    if demand.max_regression is not None:
        yield f"at most {demand.max_regression} worse than {book.baseline_alias}'s"
    if demand.min_sample_count is not None:
        yield f"on {demand.min_sample_count} samples at least"


def _told(readings: Iterable[_Reading], demand: MetricDemand, book: FigureBook) -> str:
    return "; ".join(_told_one(reading, demand, book) for reading in readings)


def _told_one(reading: _Reading, demand: MetricDemand, book: FigureBook) -> str:
    problems = ", ".join(reading.problems)
    if reading.figure is None:
        return f"{reading.key}: {problems}"
    compared = ""
    if demand.max_regression is not None:
        before = reading.baseline.value if reading.baseline else None
        shown = "none yet" if not book.has_baseline else "not reported" if before is None else repr(before)
        compared = f" ({book.baseline_alias}: {shown})"
    return f"{reading.key} is {reading.figure.value!r}{compared}{f', {problems}' if problems else ''}"


def _values(readings: list[_Reading], demand: MetricDemand, book: FigureBook) -> dict[str, str]:
    values = {}
    for reading in readings[:MAX_SHOWN]:
        values[reading.key] = "(not reported)" if reading.figure is None else repr(reading.figure.value)
        if demand.min_sample_count is not None and reading.figure is not None:
            values[f"samples of {reading.key}"] = str(reading.figure.sample_count or "(not stated)")
        if demand.max_regression is not None and reading.baseline is not None:
            values[f"{book.baseline_alias}'s {reading.key}"] = repr(reading.baseline.value)
    return values


def _remedy(failing: list[_Reading], demand: MetricDemand, book: FigureBook) -> str:
    parts = []
    if any(reading.figure is None for reading in failing):
        parts.append(
            f"Attest {demand.metric} for every slice that is demanded, as {' or '.join(demand.needs)}."
        )
    if any("cannot be compared" in problem for reading in failing for problem in reading.problems):
        parts.append(f"Attest the same figures of the version behind {book.baseline_alias}.")
    if any("samples" in problem for reading in failing for problem in reading.problems):
        parts.append("Measure on more data, and state the number of samples.")
    return " ".join(parts) or "Improve the model and push a new version; compare the two with carnet compare."
