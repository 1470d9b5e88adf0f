"""JUnit XML: what counts as passed, and what is refused, with line and column."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from carnet.attesting.junit import MAX_DEPTH, junit_to_test_result
from carnet.attesting.report import MAX_REPORT_BYTES, Report
from carnet.attesting.run_of_tests import MAX_NAMES_BYTES
from carnet.errors import DocumentInvalidError

BOMB = """<?xml version="1.0"?>
<!DOCTYPE testsuite [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuite name="s"><testcase name="&b;"/></testsuite>"""
EXTERNAL = (
    '<!DOCTYPE testsuite SYSTEM "file:///etc/passwd">\n<testsuite name="s"><testcase name="t"/></testsuite>'
)


def read(text, *, suite="unit"):
    data = text if isinstance(text, bytes) else text.encode()
    return junit_to_test_result(Report(data, "junit.xml"), suite=suite)


def suite(*cases, **attributes):
    stated = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f'<testsuite name="s"{stated}>{"".join(cases)}</testsuite>'


GOOD = '<testcase name="good"/>'


@pytest.mark.parametrize(
    ("inner", "result"),
    [
        ("", "PASSED"),
        ("<system-out>failure</system-out>", "PASSED"),
        ("<failure/>", "FAILED"),
        ("<error/>", "FAILED"),
        ("<skipped/><failure/>", "FAILED"),
        ("<flakyFailure/><failure/>", "FAILED"),
        ("<flakyError/>", "WARNED"),
        ("<properties><failure/></properties>", "PASSED"),
    ],
)
def test_the_worst_that_became_of_a_test_counts(inner, result):
    assert read(suite(GOOD, f'<testcase name="t">{inner}</testcase>')).result == result


@pytest.mark.parametrize(
    ("attributes", "counted"),
    [
        ('status="failed"', "failed"),
        ('result="Error"', "failed"),
        ('status="Disabled"', "skipped"),
        ('status="run"', "passed"),
    ],
)
def test_what_a_runner_states_in_attributes_counts(attributes, counted):
    counts = read(
        suite(f'<testcase name="t" {attributes}/>', '<testcase name="x"><flakyError/></testcase>')
    ).counts
    assert getattr(counts, counted) == 1


def test_a_suite_that_failed_outside_of_its_tests_failed():
    found = read(suite(GOOD, "<error message='setup'/>", errors=1))
    assert (found.result, found.failed_tests) == ("FAILED", ("s",))


def test_nested_suites_and_every_root_are_read():
    found = read(
        f"<testsuites><testsuite name='a'>{suite(GOOD)}<testcase classname='c' name='d'/></testsuite></testsuites>"
    )
    assert found.passed_tests == ("good", "c.d")


def test_a_name_that_passed_and_failed_is_in_one_list_only():
    # So pytest writes a test that passed, and whose teardown failed.
    found = read(suite('<testcase name="t"/>', '<testcase name="t"><error/></testcase>', GOOD))
    assert (found.passed_tests, found.failed_tests) == (("good",), ("t",))
    assert (found.counts.passed, found.counts.failed) == (2, 1)


def test_utf_16_is_read():
    assert read(f'<?xml version="1.0" encoding="UTF-16"?>{suite(GOOD)}'.encode("utf-16")).result == "PASSED"


BAD = [
    (BOMB, r"junit.xml:2:\d+: a document type"),
    (EXTERNAL, r"junit.xml:1:\d+: a document type"),
    ("", "junit.xml:1:1: not XML"),
    ("<testsuite>", "junit.xml:1:12: not XML"),
    (suite(GOOD)[:-3], "junit.xml:1:"),
    ("<html/>", "junit.xml:1:1: the element <html>"),
    ("<testsuites/>", "no test ran"),
    (suite('<testcase name="t"><skipped/></testcase>'), r"no test ran \(1 skipped\)"),
    (suite(GOOD, failures=1), "counts failures"),
    (suite(GOOD, errors=2), "counts failures"),
    (suite(GOOD, failures="-1"), "junit.xml:1:1: failures='-1'"),
    (suite(GOOD, errors="x"), "junit.xml:1:1: errors='x'"),
    (suite("\n  <testcase/>"), "junit.xml:2:3: a <testcase> without a name"),
    (f"<testsuites>{GOOD}</testsuites>", "junit.xml:1:13: a <testcase> that is not in"),
    (suite(f'<testcase name="t">{GOOD}</testcase>'), "a <testcase> that is not in"),
    (suite("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH), "nested deeper"),
    ('<?xml version="1.0" encoding="x-unknown"?><testsuite/>', "not XML"),
    (suite('<testcase name="&nbsp;"/>'), "not XML: undefined entity"),
    (b"\xff\xfe\x00", "not XML"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_cannot_be_read_safely_or_gives_no_result_is_refused(text, message):
    with pytest.raises(DocumentInvalidError, match=message) as caught:
        read(text)
    assert caught.value.message.startswith("junit.xml")


def test_a_file_that_is_too_large_is_refused_unread():
    with pytest.raises(DocumentInvalidError, match="at most"):
        Report(b" " * (MAX_REPORT_BYTES + 1), "junit.xml")


def test_names_that_would_not_fit_are_left_out_and_counted():
    many = MAX_NAMES_BYTES // 100
    found = read(
        suite(
            *(f'<testcase name="{number:0100}"/>' for number in range(many)),
            '<testcase name="t"><failure/></testcase>',
        )
    )
    assert (found.passed_tests, found.counts.passed) == ((), many)
    assert (found.result, found.failed_tests) == ("FAILED", ("t",))


@pytest.mark.parametrize(
    ("attributes", "finished"),
    [
        ({"timestamp": "2026-03-01T12:00:00"}, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (
            {"timestamp": "2026-03-01T12:00:00+02:00", "time": "1.5"},
            datetime(2026, 3, 1, 10, 0, 1, 500000, UTC),
        ),
        ({"timestamp": "2026-03-01T12:00:00Z", "time": "-9"}, datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ({"timestamp": "9999-01-01T00:00:00Z"}, None),
        ({"timestamp": "2026-03-01T12:00:00Z", "time": "nan"}, None),
        ({"timestamp": "2026-03-01T12:00:00Z", "time": "1e300"}, None),
        ({"timestamp": "yesterday"}, None),
        ({}, None),
    ],
)
def test_it_ended_when_the_report_says_and_never_in_the_future(attributes, finished):
    found = read(suite(GOOD, **attributes)).finished_at
    if finished is None:
        assert timedelta(0) <= datetime.now(UTC) - found < timedelta(minutes=1)
    else:
        assert found == finished


def test_what_pytest_itself_writes_is_read(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 0\n"
        "@pytest.mark.skip\ndef test_skipped(): pass\n"
        "@pytest.mark.xfail\ndef test_expected(): assert 0\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--junitxml=out.xml",
        "--rootdir=.",
        "test_it.py",
    ]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    found = read((tmp_path / "out.xml").read_bytes())
    assert found.result == "FAILED"
    assert (found.passed_tests, found.failed_tests) == (("test_it.test_good",), ("test_it.test_bad",))
    assert found.counts.skipped == 2
    assert timedelta(0) <= datetime.now(UTC) - found.finished_at < timedelta(minutes=5)
