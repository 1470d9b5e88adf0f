"""A fairness report, a PII review or a serving smoke test to a verification result.

The three have one small form (``docs/attestations.md``): properties, each with its own outcome, and figures.
Responsible for the outcome of the whole, which is that of the worst property. Does not know which properties
there should be: a policy's figures and the signer's role are for that.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from carnet.attesting.report import ended_at, read_part
from carnet.attesting.svr import make_result, property_name
from carnet.signing.fields import FrozenModel, Many, Name, OptionalLine, Text, Time
from carnet.signing.predicate import ResourceDescriptor  # noqa: TC001  pydantic reads it at run time
from carnet.signing.test_result import MeasuredMetric  # noqa: TC001  as above
from carnet.signing.verification_result import PropertyCheck, Result, Tool, worst

if TYPE_CHECKING:
    from carnet.attesting.report import Report
    from carnet.signing.verification_result import VerificationResult


class NamedProperty(FrozenModel):
    """A property that was looked at, such as ``demographic-parity``."""

    name: Name
    result: Result
    detail: Text = ""


class PropertyReport(FrozenModel):
    """What was looked at; all fields but ``properties`` may be absent."""

    properties: Annotated[Many[NamedProperty], Field(min_length=1)]
    metrics: Many[MeasuredMetric] = ()
    tools: Many[Tool] = ()
    policies: Many[ResourceDescriptor] = ()
    url: OptionalLine = ""
    finished_at: Time | None = None


def properties_to_verification_result(report: Report, *, kind: str, suite: str) -> VerificationResult:
    """Read a report of properties.

    Args:
        report: The file.
        kind: ``fairness``, ``pii-review`` or ``smoke-test``.
        suite: What was looked at; by default the same.

    Raises:
        DocumentInvalidError: It is not such a report; the message has line and column, or the field's path.
    """
    found = read_part(PropertyReport, report.json_object(), where=report.name)
    named = Counter(property_name(suite, each.name) for each in found.properties)
    for index, each in enumerate(found.properties):
        if each.name == "passed" or named[property_name(suite, each.name)] > 1:
            taken = "is that of the whole" if each.name == "passed" else "is there twice"
            raise report.invalid(f"{each.name!r} {taken}: use another", field=f"properties[{index}].name")
    return make_result(
        report,
        media_type="application/json",
        kind=kind,
        suite=suite,
        result=worst([each.result for each in found.properties]),
        properties=[property_name(suite, each.name) for each in found.properties if each.result == "PASSED"],
        ended=ended_at(found.finished_at),
        policies=found.policies,
        checks=tuple(
            PropertyCheck(name=each.name, result=each.result, detail=each.detail) for each in found.properties
        ),
        metrics=found.metrics,
        tools=found.tools,
        url=found.url,
    )
