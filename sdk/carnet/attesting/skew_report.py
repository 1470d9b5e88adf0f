"""A skew report, as ``carnet schema skew -o json`` prints it, to a test result.

Responsible for the figures that a policy reads: ``psi``, ``null_share`` and ``out_of_range_share`` of each
feature (the slice ``feature``), and the worst of them over all features. The result says whether everything
could be compared, and not whether too much has moved: what is too much is the policy's to say. Invariants: a
feature without an index that is to have one, or without a column, makes the result WARNED, so that leaving a
column out does not pass; of very many features the figures of those that moved most are kept.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from carnet.attesting.report import ended_at, read_part
from carnet.attesting.run_of_tests import names_that_fit
from carnet.signing.fields import FrozenModel, Line, Many, Time
from carnet.signing.predicate import ResourceDescriptor  # noqa: TC001  pydantic reads it at run time
from carnet.signing.test_result import MeasuredMetric, TestResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from carnet.attesting.report import Report

MEDIA_TYPE: Final = "application/json"
MAX_FEATURES: Final = 1000
PSI, NULL_SHARE, OUT_OF_RANGE_SHARE = "psi", "null_share", "out_of_range_share"

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class SideFigures(FrozenModel):
    """What one data set has of a feature; see ``carnet.features.skew`` for the fields."""

    null_share: Share
    out_of_range_share: Share | None
    mean: float | None
    standard_deviation: float | None
    value_count: Count


class FeatureFigures(FrozenModel):
    """One feature in both data sets; None where one has no such column."""

    name: Line
    reference: SideFigures | None
    data: SideFigures | None
    mean_shift: float | None
    deviation_ratio: float | None
    psi: Annotated[float, Field(ge=0)] | None
    comparable: bool
    verdict: Literal["stable", "moderate", "large", "unknown", "not compared"]

    @property
    def is_whole(self) -> bool:
        """Whether everything that is to be told of the feature is."""
        return self.data is not None and (self.psi is not None or not self.comparable)


class SkewDocument(FrozenModel):
    """A skew report; ``configuration`` and ``finished_at`` may be absent."""

    reference_rows: Annotated[int, Field(ge=1)]
    data_rows: Annotated[int, Field(ge=1)]
    features: Annotated[Many[FeatureFigures], Field(min_length=1)]
    configuration: Many[ResourceDescriptor] = ()
    finished_at: Time | None = None


def skew_to_test_result(report: Report, *, suite: str) -> TestResult:
    """Read a skew report.

    Args:
        report: The file.
        suite: What was looked at; by default ``skew``.

    Raises:
        DocumentInvalidError: It is not such a report; the message has line and column, or the field's path.
    """
    found = read_part(SkewDocument, report.json_object(), where=report.name)
    names: set[str] = set()
    for index, feature in enumerate(found.features):
        if feature.name in names:
            raise report.invalid(f"{feature.name!r} is there twice", field=f"features[{index}].name")
        names.add(feature.name)
        if feature.psi is not None and not (feature.reference and feature.data and feature.comparable):
            raise report.invalid(
                "is told, and there is nothing to compare it with", field=f"features[{index}].psi"
            )
    unclear = [each.name for each in found.features if not each.is_whole]
    return TestResult(
        result="WARNED" if unclear else "PASSED",
        configuration=(report.descriptor(MEDIA_TYPE), *found.configuration),
        passed_tests=names_that_fit(each.name for each in found.features if each.is_whole),
        warned_tests=names_that_fit(unclear),
        suite=suite,
        metrics=tuple(_metrics(found)),
        finished_at=ended_at(found.finished_at),
    )


def _metrics(found: SkewDocument) -> Iterable[MeasuredMetric]:
    by_feature = {feature.name: tuple(_figures(feature, found.data_rows)) for feature in found.features}
    for name in (PSI, NULL_SHARE, OUT_OF_RANGE_SHARE):
        told = [each for figures in by_feature.values() for each in figures if each.name == name]
        if told:
            yield _worst(told)
    for feature in sorted(found.features, key=_movement, reverse=True)[:MAX_FEATURES]:
        yield from by_feature[feature.name]


def _figures(feature: FeatureFigures, rows: int) -> Iterable[MeasuredMetric]:
    """Give the figures of one feature, each with how many samples it is told from."""
    data = feature.data
    if feature.psi is not None and feature.reference is not None and data is not None:
        yield _metric(PSI, feature.psi, min(feature.reference.value_count, data.value_count), feature.name)
    yield _metric(NULL_SHARE, 1.0 if data is None else data.null_share, rows, feature.name)
    if data is not None and data.out_of_range_share is not None:
        yield _metric(OUT_OF_RANGE_SHARE, data.out_of_range_share, data.value_count, feature.name)


def _worst(told: Sequence[MeasuredMetric]) -> MeasuredMetric:
    """Return the figure over all features: the worst, on as few samples as the least well known."""
    return _metric(
        told[0].name, max(each.value for each in told), min(each.sample_count or 0 for each in told)
    )


def _metric(name: str, value: float, samples: int, feature: str | None = None) -> MeasuredMetric:
    part = {} if feature is None else {"feature": feature}
    return MeasuredMetric(
        name=name, value=value, direction="lower_is_better", slice=part, sample_count=samples
    )


def _movement(feature: FeatureFigures) -> float:
    return math.inf if not feature.is_whole else feature.psi or 0.0
