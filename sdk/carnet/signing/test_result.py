"""The in-toto test-result predicate, version 0.1, as evaluators write it.

Signed by whoever ran the tests. Plain results of other tools are taken; the fields whose names begin with
``carnet_`` say which suite was run, what it measured, and when it ended.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from carnet.signing.fields import FrozenModel, Many, Time
from carnet.signing.predicate import ForeignPredicate, ResourceDescriptor

Direction = Literal["higher_is_better", "lower_is_better"]


class MeasuredMetric(FrozenModel):
    """A figure that a test measured.

    Attributes:
        name: What was measured, such as ``roc_auc``.
        value: The figure; finite.
        direction: ``higher_is_better`` or ``lower_is_better``.
        slice: The part of the data that it was measured on; empty for all of it.
        sample_count: On how many samples; None where that is not said.
    """

    name: Annotated[str, Field(min_length=1, max_length=256)]
    value: float
    direction: Direction
    slice: dict[str, str] = Field(default_factory=dict)
    sample_count: Annotated[int, Field(ge=0)] | None = None


class TestCounts(FrozenModel):
    """How many tests ended how; those that were skipped are in no list of names."""

    # pytest would take the class for a test case.
    __test__: ClassVar[bool] = False

    passed: Annotated[int, Field(ge=0)] = 0
    warned: Annotated[int, Field(ge=0)] = 0
    failed: Annotated[int, Field(ge=0)] = 0
    skipped: Annotated[int, Field(ge=0)] = 0


class TestResult(ForeignPredicate):
    """A test result.

    Attributes:
        result: ``PASSED``, ``WARNED`` or ``FAILED``.
        configuration: What the tests ran with.
        url: Where the run can be seen.
        passed_tests: The tests that passed, by name.
        warned_tests: Those that passed with a warning.
        failed_tests: Those that failed.
        suite: The suite that was run, such as ``evaluation``; empty for results of other tools.
        metrics: What it measured.
        counts: How many tests ended how; None where the names say it.
        finished_at: When it ended.
    """

    # pytest would take the class for a test case.
    __test__: ClassVar[bool] = False
    PREDICATE_TYPE: ClassVar[str] = "https://in-toto.io/attestation/test-result/v0.1"

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: Many[ResourceDescriptor]
    url: str = ""
    passed_tests: Many[str] = Field(default=(), alias="passedTests")
    warned_tests: Many[str] = Field(default=(), alias="warnedTests")
    failed_tests: Many[str] = Field(default=(), alias="failedTests")
    suite: str = Field(default="", alias="carnet_suite")
    metrics: Many[MeasuredMetric] = Field(default=(), alias="carnet_metrics")
    counts: TestCounts | None = Field(default=None, alias="carnet_counts")
    finished_at: Time | None = Field(default=None, alias="carnet_finished_at")
