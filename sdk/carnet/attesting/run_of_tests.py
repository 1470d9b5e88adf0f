"""A run of tests, as every runner's report tells of it, and the test result that is made of it.

Responsible for what counts as passed: only what ran and passed. A test that failed and then passed, or passed
although it was expected to fail, is *warned*; one that was skipped is in no list, and a run in which no test
ran is refused. A name that is in a report more than once counts as the worst of it. A list of names that
would not fit into a statement is left out; the counts always stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from carnet.signing.test_result import TestCounts, TestResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from carnet.attesting.report import Report

MAX_NAMES_BYTES = 160 << 10
Outcome = Literal["passed", "warned", "failed", "skipped"]


@dataclass
class RunOfTests:
    """What became of each test of a run, by its name, in the report's order.

    Attributes:
        ended: When the run ended, where its report says so.
    """

    passed: dict[str, int] = field(default_factory=dict)
    warned: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    ended: datetime | None = None

    def add(self, name: str, outcome: Outcome) -> None:
        """Add a test; a name may come again."""
        names: dict[str, int] = getattr(self, outcome)
        names[name] = names.get(name, 0) + 1

    def end_no_earlier_than(self, moment: datetime) -> None:
        """Note that something of the run ended at a moment; of several, the latest counts."""
        if self.ended is None or moment > self.ended:
            self.ended = moment

    def to_test_result(
        self, report: Report, *, suite: str, media_type: str, finished_at: datetime
    ) -> TestResult:
        """Return the test result.

        Args:
            report: What the run was read from.
            suite: The suite that was run.
            media_type: The report's media type.
            finished_at: When the run ended.

        Raises:
            DocumentInvalidError: No test ran.
        """
        counts = TestCounts(
            passed=sum(self.passed.values()),
            warned=sum(self.warned.values()),
            failed=sum(self.failed.values()),
            skipped=sum(self.skipped.values()),
        )
        if not counts.passed + counts.warned + counts.failed:
            raise report.invalid(
                f"no test ran ({counts.skipped} skipped): that is no result; run the tests, and attest then"
            )
        return TestResult(
            result="FAILED" if self.failed else "WARNED" if self.warned else "PASSED",
            configuration=(report.descriptor(media_type),),
            passed_tests=_that_fit(self.passed, but=self.warned.keys() | self.failed.keys()),
            warned_tests=_that_fit(self.warned, but=self.failed.keys()),
            failed_tests=_that_fit(self.failed),
            suite=suite,
            counts=counts,
            finished_at=finished_at,
        )


def names_that_fit(names: Iterable[str]) -> tuple[str, ...]:
    """Return names, or none where they would not fit into a statement: half a list would look whole."""
    kept = tuple(names)
    size = sum(len(name.encode("utf-8", "replace")) + 3 for name in kept)
    return kept if size <= MAX_NAMES_BYTES else ()


def _that_fit(names: dict[str, int], *, but: AbstractSet[str] = frozenset()) -> tuple[str, ...]:
    return names_that_fit(name for name in names if name not in but)
