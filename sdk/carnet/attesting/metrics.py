"""A test run's outcome in Carnet's own plain words, or as the in-toto predicate itself, to a test result.

The plain document is what an evaluation script writes with three lines of code; ``docs/attestations.md`` has
its form. A predicate is signed as it is written, once its schema is checked.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from carnet.attesting.report import read_part
from carnet.canonical import sha256_hex
from carnet.signing.fields import FrozenModel, Line, Many, OptionalLine, Time
from carnet.signing.predicate import ResourceDescriptor
from carnet.signing.test_result import MeasuredMetric, TestResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.attesting.report import Report

_OF_THE_PREDICATE = ("carnet_suite", "passedTests", "failedTests")


class MetricsDocument(FrozenModel):
    """A test run's outcome in plain words; all fields but ``result`` and ``suite`` may be absent."""

    suite: Line
    result: Literal["PASSED", "WARNED", "FAILED"]
    metrics: Many[MeasuredMetric] = ()
    configuration: Many[ResourceDescriptor] = ()
    url: OptionalLine = ""
    passed_tests: Many[Line] = ()
    warned_tests: Many[Line] = ()
    failed_tests: Many[Line] = ()
    finished_at: Time | None = Field(default=None)


def metrics_to_predicate(
    report: Report, document: dict[str, Any], given: Mapping[str, str]
) -> dict[str, Any]:
    """Make the predicate of a test result out of a document in either form.

    Args:
        report: The file.
        document: What it says.
        given: ``suite`` and ``result``, where they come from elsewhere; they go before the document's.

    Raises:
        DocumentInvalidError: It has neither form; ``metadata["field"]`` names the field.
    """
    if any(name in document for name in _OF_THE_PREDICATE):
        names = {"suite": "carnet_suite"}
        predicate = document | {names.get(name, name): value for name, value in given.items()}
        read_part(TestResult, predicate, where=report.name)
        return predicate
    plain = read_part(MetricsDocument, {**document, **given}, where=report.name)
    made_from = ResourceDescriptor(name=report.name, digest={"sha256": sha256_hex(report.data)})
    return TestResult(
        result=plain.result,
        configuration=plain.configuration or (made_from,),
        url=plain.url,
        passed_tests=plain.passed_tests,
        warned_tests=plain.warned_tests,
        failed_tests=plain.failed_tests,
        suite=plain.suite,
        metrics=plain.metrics,
        finished_at=plain.finished_at or datetime.now(UTC),
    ).to_predicate()
