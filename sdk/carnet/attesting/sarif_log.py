"""The parts of a SARIF 2.1.0 log that tell how a scan ended.

Responsible for the schema of those parts and for two rules of the standard: which rule a result is of
(§3.27.5 to §3.27.7, §3.52) and at which level (§3.27.10). Everything else of a log is passed over.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from carnet.attesting.report import ReportPart, read_part
from carnet.errors import InvalidInputError
from carnet.signing.fields import Line, Many, OptionalLine, problem
from carnet.signing.times import parse_foreign_time

if TYPE_CHECKING:
    from typing import Self

    from carnet.attesting.report import Report

Level = Literal["none", "note", "warning", "error"]


def _moment(value: Any) -> Any:
    """Read a moment; many tools leave out the ``Z`` that the standard asks for."""
    for text in (value, f"{value}Z"):
        try:
            return parse_foreign_time(text) if isinstance(value, str) else value
        except InvalidInputError:
            continue
    raise problem("should be a time like 2026-03-01T12:30:00Z")


Moment = Annotated[datetime, BeforeValidator(_moment)]
Index = Annotated[int, Field(ge=-1)]


class Configuration(ReportPart):
    """How a rule is configured."""

    level: Level = "warning"


class Rule(ReportPart):
    """A rule that a tool knows."""

    id: OptionalLine = ""
    default_configuration: Configuration = Field(default=Configuration(), alias="defaultConfiguration")


class Component(ReportPart):
    """A tool, or an extension of one."""

    name: Line
    version: OptionalLine = ""
    semantic_version: OptionalLine = Field(default="", alias="semanticVersion")
    rules: Many[Rule] = ()


class ScanTool(ReportPart):
    """The tool of a run, with its extensions."""

    driver: Component
    extensions: Many[Component] = ()


class ComponentReference(ReportPart):
    """Which component a rule is of."""

    index: Index = -1
    name: str = ""


class RuleReference(ReportPart):
    """Which rule a result, or an override, is about."""

    id: str = ""
    index: Index = -1
    component: ComponentReference = Field(default=ComponentReference(), alias="toolComponent")


class Override(ReportPart):
    """A rule that was configured differently when the tool ran."""

    descriptor: RuleReference
    configuration: Configuration


class Invocation(ReportPart):
    """One call of the tool."""

    execution_successful: bool = Field(alias="executionSuccessful")
    end_time: Moment | None = Field(default=None, alias="endTimeUtc")
    overrides: Many[Override] = Field(default=(), alias="ruleConfigurationOverrides")


class Suppression(ReportPart):
    """Somebody's word that a result need not be mended."""

    status: Literal["accepted", "underReview", "rejected"] = "accepted"


class ResultProvenance(ReportPart):
    """Which call of the tool found a result."""

    invocation_index: Index = Field(default=-1, alias="invocationIndex")


class ScanResult(ReportPart):
    """One result."""

    rule_id: str = Field(default="", alias="ruleId")
    rule_index: Index = Field(default=-1, alias="ruleIndex")
    rule: RuleReference = RuleReference()
    kind: Literal["pass", "open", "informational", "notApplicable", "review", "fail"] = "fail"
    level: Level | None = None
    suppressions: Many[Suppression] | None = None
    baseline_state: Literal["new", "unchanged", "updated", "absent", ""] = Field(
        default="", alias="baselineState"
    )
    provenance: ResultProvenance = ResultProvenance()

    @property
    def is_suppressed(self) -> bool:
        """Whether somebody suppressed it, and nobody objects (§3.27.23)."""
        return bool(self.suppressions) and all(each.status == "accepted" for each in self.suppressions or ())


class Run(ReportPart):
    """One run of one tool."""

    tool: ScanTool
    invocations: Many[Invocation] = ()
    results: Many[ScanResult] | None = None
    external_property_file_references: dict[str, Any] | None = Field(
        default=None, alias="externalPropertyFileReferences"
    )


class SarifLog(ReportPart):
    """A log: at least one run."""

    version: Literal["2.1.0"]
    runs: Annotated[Many[Run], Field(min_length=1)]

    @classmethod
    def read(cls, report: Report) -> Self:
        """Read a log.

        Raises:
            DocumentInvalidError: It is not a SARIF log; the message has line and column, or the field's path.
        """
        return read_part(cls, report.json_object(), where=report.name)


def level_of(run: Run, result: ScanResult, *, path: str, report: Report) -> Level:
    """Return the level of a result (§3.27.10).

    Args:
        run: The run that it is of.
        result: The result.
        path: Where it stands in the log.
        report: The log's file.

    Raises:
        DocumentInvalidError: It names a rule, or a call of the tool, that the log does not have.
    """
    rule = _rule_of(run, result, path=path, report=report)
    if result.level is not None:
        return result.level
    if result.kind != "fail":
        return "none"
    index = result.provenance.invocation_index
    if index >= len(run.invocations):
        raise report.invalid(
            f"is {index}, and there are {len(run.invocations)} invocations",
            field=f"{path}.provenance.invocationIndex",
        )
    if index >= 0:
        for override in run.invocations[index].overrides:
            if _is_about(override.descriptor, result):
                return override.configuration.level
    return rule.default_configuration.level if rule else "warning"


def rule_id_of(run: Run, result: ScanResult) -> str:
    """Return the id of the rule that a result is of; empty where it names none."""
    stated = result.rule_id or result.rule.id
    if stated:
        return "".join(each for each in stated if each.isprintable())[:1024].strip()
    index = max(result.rule_index, result.rule.index)
    rules = _component_of(run, result).rules
    return rules[index].id if 0 <= index < len(rules) else ""


def _component_of(run: Run, result: ScanResult) -> Component:
    reference = result.rule.component
    if 0 <= reference.index < len(run.tool.extensions):
        return run.tool.extensions[reference.index]
    named = (each for each in run.tool.extensions if reference.name and each.name == reference.name)
    return next(named, run.tool.driver)


def _rule_of(run: Run, result: ScanResult, *, path: str, report: Report) -> Rule | None:
    component = _component_of(run, result)
    index = max(result.rule_index, result.rule.index)
    if index >= len(component.rules):
        raise report.invalid(
            f"is {index}, and {component.name!r} has {len(component.rules)} rules", field=f"{path}.ruleIndex"
        )
    if index >= 0:
        return component.rules[index]
    # A result's rule may be a part of one: `CA1000/1` is of `CA1000`.
    wanted = result.rule_id or result.rule.id
    known = {rule.id: rule for each in (*run.tool.extensions, component) for rule in each.rules}
    while wanted and wanted not in known:
        wanted = wanted.rpartition("/")[0]
    return known.get(wanted) if wanted else None


def _is_about(reference: RuleReference, result: ScanResult) -> bool:
    stated = result.rule_id or result.rule.id
    if reference.id and stated:
        return stated == reference.id or stated.startswith(f"{reference.id}/")
    index = max(result.rule_index, result.rule.index)
    return reference.index >= 0 and reference.index == index
