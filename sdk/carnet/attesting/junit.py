"""JUnit XML, as test runners of most languages write it, to a test result.

There is no one specification: taken are the elements that Ant, Maven Surefire, pytest, Jest, gotestsum and
GoogleTest write. Responsible for parsing safely: a document type declaration, and with it every entity, is
refused; size and depth are bounded; nothing is fetched. Failures that a report counts and does not show, and
those outside a test case, are not lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from xml.parsers import expat

from carnet.attesting.report import ended_at, in_utc
from carnet.attesting.run_of_tests import RunOfTests

if TYPE_CHECKING:
    from carnet.attesting.report import Report
    from carnet.attesting.run_of_tests import Outcome
    from carnet.errors import DocumentInvalidError
    from carnet.signing.test_result import TestResult

MEDIA_TYPE = "application/xml"
MAX_DEPTH = 64
_OUTCOMES: dict[str, Outcome] = {
    "failure": "failed",
    "error": "failed",
    "skipped": "skipped",
    "flakyFailure": "warned",
    "flakyError": "warned",
}
# What runners write into the attributes `status` and `result` of a test case, in lowercase.
_STATED: dict[str, Outcome] = {
    "failed": "failed",
    "failure": "failed",
    "error": "failed",
    "notrun": "skipped",
    "skipped": "skipped",
    "disabled": "skipped",
    "ignored": "skipped",
    "suppressed": "skipped",
}
_BADNESS: dict[Outcome, int] = {"passed": 0, "warned": 1, "skipped": 2, "failed": 3}


def junit_to_test_result(report: Report, *, suite: str) -> TestResult:
    """Read a JUnit report.

    Args:
        report: The file.
        suite: The suite that was run.

    Raises:
        DocumentInvalidError: It is not a JUnit report that can be read safely, contradicts itself, or no test
            ran; the message has line and column.
    """
    run = _Reader(report).read()
    return run.to_test_result(report, suite=suite, media_type=MEDIA_TYPE, finished_at=ended_at(run.ended))


@dataclass
class _Case:
    """The test case that is being read."""

    name: str
    depth: int
    outcome: Outcome = "passed"

    def worsen(self, outcome: Outcome) -> None:
        if _BADNESS[outcome] > _BADNESS[self.outcome]:
            self.outcome = outcome


@dataclass
class _Reader:
    """Follows the elements of one report."""

    report: Report
    run: RunOfTests = field(default_factory=RunOfTests)
    open: list[str] = field(default_factory=list)
    suites: list[str] = field(default_factory=list)
    case: _Case | None = None
    counts_failures: bool = False
    parser: expat.XMLParserType = field(default_factory=expat.ParserCreate)

    def read(self) -> RunOfTests:
        """Read the whole report."""
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        try:
            self.parser.Parse(self.report.data, True)
        except expat.ExpatError as error:
            where = f"{self.report.name}:{error.lineno}:{error.offset + 1}"
            raise self.report.invalid(f"not XML: {expat.ErrorString(error.code)}", where=where) from error
        except (LookupError, ValueError) as error:
            raise self.report.invalid(f"not XML: {error}") from error
        if self.counts_failures and not self.run.failed:
            raise self.report.invalid("it counts failures or errors, and shows none: it is not whole")
        return self.run

    def _invalid(self, problem: str) -> DocumentInvalidError:
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1
        return self.report.invalid(problem, where=f"{self.report.name}:{line}:{column}")

    def _refuse_doctype(self, *_: object) -> None:
        raise self._invalid("a document type declaration: entities are not taken; write the report without")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.open) == MAX_DEPTH:
            raise self._invalid(f"nested deeper than {MAX_DEPTH}")
        if not self.open and tag not in ("testsuites", "testsuite"):
            raise self._invalid(f"the element <{tag[:40]}>: a JUnit report is <testsuites> or <testsuite>")
        if tag in ("testsuites", "testsuite"):
            self._start_suite(tag, attributes)
        elif tag == "testcase":
            self._start_case(attributes)
        elif tag in _OUTCOMES:
            self._note(tag)
        self.open.append(tag)

    def _start_suite(self, tag: str, attributes: dict[str, str]) -> None:
        for name in ("failures", "errors"):
            text = attributes.get(name, "0")
            if not (text.isascii() and text.isdigit()):
                raise self._invalid(f"{name}={text[:40]!r} is not a count")
            self.counts_failures |= bool(text.strip("0"))
        if tag == "testsuite":
            self.suites.append(attributes.get("name") or "testsuite")
        self._note_time(attributes)

    def _note_time(self, attributes: dict[str, str]) -> None:
        """Note when a suite ended: its start and its length, of which reports may lack either."""
        try:
            start = datetime.fromisoformat(attributes.get("timestamp", ""))
            seconds = float(attributes.get("time", "").replace(",", "") or 0)
            self.run.end_no_earlier_than(in_utc(start) + timedelta(seconds=max(seconds, 0)))
        except (ValueError, OverflowError):
            return

    def _start_case(self, attributes: dict[str, str]) -> None:
        if self.case is not None or not self.suites:
            raise self._invalid("a <testcase> that is not in a <testsuite>")
        name = attributes.get("name", "")
        parts = [part for part in (attributes.get("classname", ""), name) if part]
        if not parts:
            raise self._invalid("a <testcase> without a name")
        self.case = _Case(".".join(parts), len(self.open))
        for attribute in ("status", "result"):
            self.case.worsen(_STATED.get(attributes.get(attribute, "").lower(), "passed"))

    def _note(self, tag: str) -> None:
        """Take in what became of a test, or of a suite that failed outside of its tests."""
        if self.case is None:
            if _OUTCOMES[tag] == "failed" and self.open[-1] in ("testsuite", "testsuites"):
                self.run.add(self.suites[-1] if self.suites else "testsuites", "failed")
        elif len(self.open) == self.case.depth + 1:
            self.case.worsen(_OUTCOMES[tag])

    def _end(self, tag: str) -> None:
        self.open.pop()
        if tag == "testcase" and self.case is not None:
            self.run.add(self.case.name, self.case.outcome)
            self.case = None
        elif tag == "testsuite":
            self.suites.pop()
