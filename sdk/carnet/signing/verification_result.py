"""The in-toto Simple Verification Result, version 0.2: which properties of a bundle were found to hold.

Signed by whoever looked: a scanner, a fairness evaluation, a reviewer, a sandbox. The specification
(``in-toto/attestation``, ``spec/predicates/svr.md``) lists only what passed; the fields whose names begin
with ``carnet_`` say what was looked at, how it ended, and what did *not* hold. Invariant: a result is never
better than the worst of its checks, nor than the findings that were to make a scan fail.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carnet.signing.fields import ForeignTime, FrozenModel, Line, Many, OptionalLine, Text
from carnet.signing.predicate import ForeignModel, ForeignPredicate, ResourceDescriptor
from carnet.signing.test_result import MeasuredMetric  # noqa: TC001  pydantic reads it at run time

Result = Literal["PASSED", "WARNED", "FAILED"]
# The levels of SARIF at which something is found, from the worst to the least.
LEVELS = ("error", "warning", "note")
_BADNESS = {"PASSED": 0, "WARNED": 1, "FAILED": 2}


class ResultVerifier(ForeignModel):
    """Who looked, and the policies that it applied; an empty list where it can name none."""

    id: Annotated[str, Field(min_length=1)]
    policies: Many[ResourceDescriptor]


class PropertyCheck(FrozenModel):
    """What became of one property."""

    name: Line
    result: Result
    detail: Text = ""


class Tool(FrozenModel):
    """A tool that was used; ``rules`` is how many it knows, where that is said."""

    name: Line
    version: OptionalLine = ""
    rules: Annotated[int, Field(ge=0)] | None = None


class RuleFindings(FrozenModel):
    """How often a scanner's rule was broken, at a level of SARIF's."""

    rule: OptionalLine
    level: Literal["error", "warning", "note"]
    count: Annotated[int, Field(ge=1)]


class VerificationResult(ForeignPredicate):
    """A verification result.

    Attributes:
        verifier: Who looked.
        time_created: When.
        properties: What was found to hold.
        suite: What was looked at, such as ``fairness``; empty for results of other tools.
        stated_result: How it ended; empty for results of other tools.
        checks: What became of each property, those that do not hold included.
        metrics: What was measured or counted.
        tools: What it was looked at with.
        findings: What a scan found, by rule.
        fail_on: The level at and above which a finding makes a scan fail.
        report: The report that this was made from.
        url: Where the run can be seen.
    """

    PREDICATE_TYPE: ClassVar[str] = "https://in-toto.io/attestation/svr/v0.2"

    verifier: ResultVerifier
    time_created: ForeignTime = Field(alias="timeCreated")
    properties: Many[str]
    suite: OptionalLine = Field(default="", alias="carnet_suite")
    stated_result: Result | Literal[""] = Field(default="", alias="carnet_result")
    checks: Many[PropertyCheck] = Field(default=(), alias="carnet_checks")
    metrics: Many[MeasuredMetric] = Field(default=(), alias="carnet_metrics")
    tools: Many[Tool] = Field(default=(), alias="carnet_tools")
    findings: Many[RuleFindings] = Field(default=(), alias="carnet_findings")
    fail_on: Literal["error", "warning", "note", ""] = Field(default="", alias="carnet_fail_on")
    report: ResourceDescriptor | None = Field(default=None, alias="carnet_report")
    url: OptionalLine = Field(default="", alias="carnet_url")

    @property
    def result(self) -> Result:
        """How it ended: as stated, and otherwise passed if anything was found to hold at all."""
        if self.stated_result:
            return self.stated_result
        return "PASSED" if self.properties else "FAILED"

    def check_consistency(self) -> None:
        """Insist that the result is no better than what it rests on.

        Raises:
            InvalidInputError: A check ended worse than the whole, a finding was to make it fail, or nothing
                holds and it is to have passed.
        """
        if self.stated_result == "PASSED" and not self.properties:
            raise self.inconsistent("carnet_result", "is PASSED, and properties lists nothing that holds")
        for index, check in enumerate(self.checks):
            if _BADNESS[check.result] > _BADNESS[self.result]:
                raise self.inconsistent(
                    "carnet_result", f"is {self.result}, and carnet_checks[{index}] is {check.result}"
                )
        grave = LEVELS[: LEVELS.index(self.fail_on) + 1] if self.fail_on else ()
        for index, each in enumerate(self.findings):
            if each.level in grave and self.result != "FAILED":
                raise self.inconsistent(
                    "carnet_result",
                    f"is {self.result}, and carnet_findings[{index}] is of level {each.level}",
                )


def worst(results: list[Result]) -> Result:
    """Return the worst of some results; ``PASSED`` where there is none."""
    return max(results, key=_BADNESS.__getitem__, default="PASSED")
