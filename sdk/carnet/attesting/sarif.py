"""SARIF 2.1.0, as scanners write it, to a verification result.

Responsible for what of a scan is a finding (OASIS SARIF 2.1.0): a result of kind ``fail`` that is neither
suppressed (§3.27.23) nor gone since the baseline (§3.27.24), at its own level or that of its rule (§3.27.10).
A run without results was no scan (§3.14.23), and one whose tool did not end well gives no pass. Which
findings make the scan fail is the caller's to say; how many there are at each level is stated all the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from carnet.attesting.report import ended_at
from carnet.attesting.sarif_log import SarifLog, level_of, rule_id_of
from carnet.attesting.svr import make_result
from carnet.signing.test_result import MeasuredMetric
from carnet.signing.verification_result import LEVELS, RuleFindings, Tool

if TYPE_CHECKING:
    from datetime import datetime

    from carnet.attesting.report import Report
    from carnet.attesting.sarif_log import Run, ScanResult
    from carnet.signing.verification_result import VerificationResult

MEDIA_TYPE = "application/sarif+json"
MAX_RULES = 1000
FailOn = Literal["error", "warning", "note"]


def sarif_to_verification_result(report: Report, *, suite: str, fail_on: FailOn) -> VerificationResult:
    """Read a SARIF log.

    Args:
        report: The file.
        suite: What was looked at, such as ``security-scan``.
        fail_on: The level at and above which a finding makes the scan fail.

    Raises:
        DocumentInvalidError: It is not a SARIF log, a run in it was no scan, or a tool did not end well; the
            message has line and column, or the path of the field.
    """
    log = SarifLog.read(report)
    scan = _Scan()
    for index, run in enumerate(log.runs):
        scan.take(run, path=f"runs[{index}]", report=report)
    failed = any(scan.levels[level] for level in LEVELS[: LEVELS.index(fail_on) + 1])
    if scan.unsuccessful and not failed:
        raise report.invalid("is false: the scan did not end well, which is no pass", field=scan.unsuccessful)
    clean = [
        f"CARNET_NO_{level.upper()}_FINDINGS"
        for index, level in enumerate(LEVELS)
        if not any(scan.levels[worse] for worse in LEVELS[: index + 1])
    ]
    return make_result(
        report,
        media_type=MEDIA_TYPE,
        kind="sarif",
        suite=suite,
        result="FAILED" if failed else "WARNED" if scan.undecided else "PASSED",
        properties=clean,
        ended=ended_at(scan.ended),
        metrics=scan.metrics(),
        tools=tuple(scan.tools),
        findings=scan.findings(),
        fail_on=fail_on,
    )


@dataclass
class _Scan:
    """What the runs of a log found, together."""

    levels: Counter[str] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)
    suppressed: int = 0
    undecided: int = 0
    tools: list[Tool] = field(default_factory=list)
    ended: datetime | None = None
    unsuccessful: str = ""

    def take(self, run: Run, *, path: str, report: Report) -> None:
        """Take in a run."""
        if run.results is None or "results" in (run.external_property_file_references or {}):
            raise report.invalid(
                "are not in it: the tool did not scan, or wrote them elsewhere; an empty list says that "
                "nothing was found",
                field=f"{path}.results",
            )
        driver = run.tool.driver
        rules = len(driver.rules) + sum(len(each.rules) for each in run.tool.extensions)
        version = driver.semantic_version or driver.version
        self.tools.append(Tool(name=driver.name, version=version, rules=rules or None))
        for index, invocation in enumerate(run.invocations):
            if not invocation.execution_successful:
                self.unsuccessful = f"{path}.invocations[{index}].executionSuccessful"
            if invocation.end_time is not None:
                self.ended = max(self.ended or invocation.end_time, invocation.end_time)
        for index, result in enumerate(run.results):
            self._take_result(run, result, path=f"{path}.results[{index}]", report=report)

    def _take_result(self, run: Run, result: ScanResult, *, path: str, report: Report) -> None:
        level = level_of(run, result, path=path, report=report)
        undecided = result.kind in ("open", "review")
        if result.baseline_state == "absent" or (level == "none" and not undecided):
            return
        if result.is_suppressed:
            self.suppressed += 1
        elif level == "none":
            self.undecided += 1
        else:
            self.levels[level] += 1
            self.rules[level, rule_id_of(run, result)] += 1

    def metrics(self) -> tuple[MeasuredMetric, ...]:
        """Return how many findings there are at each level, and how many were passed over."""

        def count(name: str, value: int, **of: Any) -> MeasuredMetric:
            return MeasuredMetric(name=name, value=float(value), direction="lower_is_better", **of)

        by_level = (count("findings", self.levels[level], slice={"level": level}) for level in LEVELS)
        return (
            *by_level,
            count("suppressed_findings", self.suppressed),
            count("undecided_findings", self.undecided),
        )

    def findings(self) -> tuple[RuleFindings, ...]:
        """Return how often each rule was broken, the worst and most frequent first."""
        ordered = sorted(
            self.rules.items(), key=lambda each: (LEVELS.index(each[0][0]), -each[1], each[0][1])
        )
        return tuple(
            RuleFindings.model_validate({"rule": rule, "level": level, "count": count})
            for (level, rule), count in ordered[:MAX_RULES]
        )
