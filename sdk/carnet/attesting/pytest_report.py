"""What pytest's plug-ins write, ``pytest-json-report`` and ``pytest-reportlog``, to a test result.

Responsible for what of pytest's outcomes is a failure: a test that failed in any phase, an error in setup or
teardown, and a file that could not be collected. A run that did not end (interrupted, an internal error, a
report cut short) gives no result, unless something had failed by then.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from carnet.attesting.report import ReportPart, ended_at, read_part
from carnet.attesting.run_of_tests import RunOfTests
from carnet.signing.fields import Many  # noqa: TC001  pydantic reads it at run time

if TYPE_CHECKING:
    from carnet.attesting.report import Report
    from carnet.attesting.run_of_tests import Outcome
    from carnet.signing.test_result import TestResult

_EXIT_CODES = {
    2: "it was interrupted",
    3: "pytest had an internal error",
    4: "pytest was called wrongly",
    5: "no test was collected",
}
# pytest's exit code where tests ran, and some failed.
_TESTS_FAILED = 1
_LATEST = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
NodeId = Annotated[str, Field(max_length=4096)]
ExitCode = Annotated[int, Field(ge=0, le=255)]
UnixTime = Annotated[float, Field(ge=0, le=_LATEST)]


class _Test(ReportPart):
    nodeid: NodeId
    outcome: Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "rerun"]


class _Collector(ReportPart):
    nodeid: NodeId
    outcome: Literal["passed", "failed", "error", "skipped"]


class _Summary(ReportPart):
    failed: Annotated[int, Field(ge=0)] = 0
    error: Annotated[int, Field(ge=0)] = 0


class _JsonReport(ReportPart):
    exitcode: ExitCode
    created: UnixTime | None = None
    summary: _Summary = _Summary()
    collectors: Many[_Collector] = ()
    tests: Many[_Test]


class _Phase(ReportPart):
    nodeid: NodeId
    outcome: Literal["passed", "failed", "skipped", "rerun"]
    when: Literal["setup", "call", "teardown"] = "call"
    wasxfail: Any = None
    stop: UnixTime | None = None


class _SessionFinish(ReportPart):
    exitstatus: ExitCode


_JSON_OUTCOMES: dict[str, Outcome] = {
    "passed": "passed",
    "failed": "failed",
    "error": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
    "xpassed": "warned",
    "rerun": "warned",
}


def pytest_to_test_result(report: Report, *, suite: str) -> TestResult:
    """Read a report of ``pytest-json-report``, or a log of ``pytest-reportlog``.

    Args:
        report: The file.
        suite: The suite that was run.

    Raises:
        DocumentInvalidError: It is neither, it is not whole, or no test ran; the message has the line and
            column, or the path of the field.
    """
    if is_report_log(report.data):
        run, exit_code, media_type = *_read_log(report), "application/jsonl"
    else:
        run, exit_code, media_type = *_read_json(report), "application/json"
    if not run.failed and exit_code != 0:
        problem = (
            "tests failed that it does not show" if exit_code == _TESTS_FAILED else "the run did not end well"
        )
        why = _EXIT_CODES.get(exit_code, problem)
        raise report.invalid(f"pytest ended with exit code {exit_code}: {why}; that is no result")
    return run.to_test_result(report, suite=suite, media_type=media_type, finished_at=ended_at(run.ended))


def is_report_log(data: bytes) -> bool:
    """Whether a file is a log of ``pytest-reportlog``, by its first line."""
    first = data.lstrip().split(b"\n", 1)[0]
    return first.startswith(b"{") and b'"$report_type"' in first


def _read_json(report: Report) -> tuple[RunOfTests, int]:
    value = report.json_object()
    if "tests" not in value and "summary" in value:
        raise report.invalid("it names no tests: run pytest without --json-report-summary", field="tests")
    found = read_part(_JsonReport, value, where=report.name)
    run = RunOfTests()
    if found.created is not None:
        run.end_no_earlier_than(datetime.fromtimestamp(found.created, UTC))
    for collector in found.collectors:
        _take_collector(run, collector)
    for test in found.tests:
        run.add(test.nodeid, _JSON_OUTCOMES[test.outcome])
    if found.summary.failed + found.summary.error and not run.failed:
        raise report.invalid("counts failures, and tests shows none: it is not whole", field="summary")
    return run, found.exitcode


def _read_log(report: Report) -> tuple[RunOfTests, int]:
    run, exit_code = RunOfTests(), None
    phases: dict[str, list[_Phase]] = {}
    for where, line in report.json_lines():
        kind = line.get("$report_type")
        if not isinstance(kind, str):
            raise report.invalid(
                "is missing: this is no line of a report log", field="$report_type", where=where
            )
        if kind == "SessionFinish":
            exit_code = read_part(_SessionFinish, line, where=where).exitstatus
        elif kind == "CollectReport":
            _take_collector(run, read_part(_Collector, line, where=where))
        elif kind.lower().endswith("testreport"):
            phase = read_part(_Phase, line, where=where)
            phases.setdefault(phase.nodeid, []).append(phase)
    if exit_code is None:
        raise report.invalid("it has no SessionFinish: the run did not end, or the log is cut short")
    for nodeid, of_test in phases.items():
        run.add(nodeid, _outcome_of(of_test))
        for stop in [phase.stop for phase in of_test if phase.stop is not None]:
            run.end_no_earlier_than(datetime.fromtimestamp(stop, UTC))
    return run, exit_code


def _take_collector(run: RunOfTests, collector: _Collector) -> None:
    if collector.outcome in ("failed", "error"):
        run.add(collector.nodeid or "collection", "failed")


def _outcome_of(phases: list[_Phase]) -> Outcome:
    """Return what became of a test, of its phases: the worst of them, where it was not run again."""
    outcomes = {phase.outcome for phase in phases}
    if "failed" in outcomes:
        return "failed"
    calls = [phase for phase in phases if phase.when == "call"]
    if "skipped" in outcomes or not any(phase.outcome == "passed" for phase in calls):
        return "skipped"
    unexpected = any(phase.wasxfail is not None for phase in calls)
    return "warned" if unexpected or "rerun" in outcomes else "passed"
