"""Reports of pytest's plug-ins: what counts as failed, and which runs give no result."""

from __future__ import annotations

import json

import pytest

from carnet.attesting.pytest_report import pytest_to_test_result
from carnet.attesting.report import Report
from carnet.errors import DocumentInvalidError


def report(*outcomes, exitcode=0, **fields):
    tests = [{"nodeid": f"t{index}", "outcome": outcome} for index, outcome in enumerate(outcomes)]
    return {"created": 1772366400.0, "exitcode": exitcode, "tests": tests} | fields


def log(*phases, exitstatus=0, end=True):
    lines = [{"$report_type": "TestReport", "nodeid": "t", "when": "call"} | phase for phase in phases]
    return lines + ([{"$report_type": "SessionFinish", "exitstatus": exitstatus}] if end else [])


def read(value):
    lines = value if isinstance(value, list) else [value]
    data = value if isinstance(value, bytes) else b"\n".join(json.dumps(line).encode() for line in lines)
    return pytest_to_test_result(Report(data, "r.json"), suite="unit")


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (report("passed"), "PASSED"),
        (report("passed", "skipped", "xfailed"), "PASSED"),
        (report("passed", "xpassed"), "WARNED"),
        (report("passed", "rerun"), "WARNED"),
        (report("passed", "failed", exitcode=1), "FAILED"),
        (report("passed", "error", exitcode=1), "FAILED"),
        (report("passed", "failed"), "FAILED"),
        (report("failed", exitcode=2), "FAILED"),
        (report("passed", exitcode=2, collectors=[{"nodeid": "x.py", "outcome": "failed"}]), "FAILED"),
        (log({"outcome": "passed"}), "PASSED"),
        (log({"outcome": "passed"}, {"outcome": "failed", "when": "teardown"}, exitstatus=1), "FAILED"),
        (log({"outcome": "failed", "when": "setup"}, exitstatus=1), "FAILED"),
        (log({"outcome": "passed", "wasxfail": ""}), "WARNED"),
        (log({"outcome": "rerun"}, {"outcome": "passed"}), "WARNED"),
        (log({"outcome": "rerun"}, {"outcome": "failed"}, exitstatus=1), "FAILED"),
        (
            log({"outcome": "passed"}, {"outcome": "failed", "$report_type": "SubTestReport"}, exitstatus=1),
            "FAILED",
        ),
        (
            log(
                {"outcome": "passed"},
                {"$report_type": "CollectReport", "outcome": "failed", "nodeid": ""},
                exitstatus=2,
            ),
            "FAILED",
        ),
    ],
)
def test_the_outcome_is_that_of_the_worst_test(value, result):
    assert read(value).result == result


BAD = [
    (report("passed", exitcode=1), "exit code 1: tests failed that it does not show"),
    (report("passed", exitcode=2), "exit code 2: it was interrupted"),
    (report("passed", exitcode=3), "exit code 3"),
    (report(exitcode=5), "exit code 5: no test was collected"),
    (report("passed", exitcode=77), "exit code 77: the run did not end well"),
    (report(), "no test ran"),
    (report("skipped"), r"no test ran \(1 skipped\)"),
    (report("passed", summary={"failed": 1}), "counts failures"),
    ({"exitcode": 0, "summary": {"passed": 1}}, "tests it names no tests"),
    (report("passed") | {"exitcode": "0"}, "exitcode"),
    (report("passed", created=1e300), "created"),
    (report("passed", created=-1.0), "created"),
    (report("great"), r"tests\[0\].outcome"),
    ({"exitcode": 0, "tests": [{"outcome": "passed"}]}, r"tests\[0\].nodeid is missing"),
    ([], "not JSON"),
    (b"{", "r.json:1:2: not JSON"),
    (b'{\n "exitcode": 0,\n "tests": [}', "r.json:3:12: not JSON"),
    (b'{"exitcode": 0, "exitcode": 1}', "'exitcode' twice"),
    (b"[" * 100000, "not well-formed"),
    (log({"outcome": "passed"}, end=False), "has no SessionFinish"),
    (log({"outcome": "passed"}, exitstatus=2), "exit code 2"),
    (log({"outcome": "skipped", "when": "setup"}), "no test ran"),
    (log({"outcome": "passed", "when": "setup"}), "no test ran"),
    (log({"outcome": "passed"}, {"outcome": "maybe"}), "r.json:2: outcome"),
    (log({"outcome": "passed", "stop": "noon"}), "r.json:1: stop"),
    ([*log({"outcome": "passed"}), {"nodeid": "t"}], r"r.json:3: \$report_type is missing"),
    (b'{"$report_type": "SessionStart"}\n\n{"a": nope}', "r.json:3:7: not JSON"),
]


@pytest.mark.parametrize(("value", "message"), BAD)
def test_a_run_that_gives_no_result_is_refused_and_says_where(value, message):
    with pytest.raises(DocumentInvalidError, match=message) as caught:
        read(value)
    assert caught.value.message.startswith("r.json")


def test_kinds_of_lines_that_are_unknown_are_passed_over():
    assert (
        read(
            [{"$report_type": "SessionStart"}, {"$report_type": "Later", "x": 1}, *log({"outcome": "passed"})]
        ).result
        == "PASSED"
    )


def test_a_byte_order_mark_is_taken():
    assert read(b"\xef\xbb\xbf" + json.dumps(report("passed")).encode()).result == "PASSED"
