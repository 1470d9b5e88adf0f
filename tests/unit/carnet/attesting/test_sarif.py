"""SARIF: what is a finding, at which level, and which logs are no scan."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from carnet.attesting.report import Report
from carnet.attesting.sarif import sarif_to_verification_result
from carnet.errors import DocumentInvalidError

RULES = [
    {"id": "A", "defaultConfiguration": {"level": "error"}},
    {"id": "B", "defaultConfiguration": {"level": "note"}},
    {"id": "C"},
]
OVERRIDE = [
    {"descriptor": {"id": "B"}, "configuration": {"level": "error"}},
    {"descriptor": {"index": 2}, "configuration": {"level": "none"}},
]


def log(*results, **fields):
    run = {
        "tool": {"driver": {"name": "scanner", "version": "1", "rules": RULES}},
        "results": [{"message": {"text": "x"}} | result for result in results],
    }
    return {"version": "2.1.0", "runs": [run | fields]}


def read(value, *, fail_on="error"):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return sarif_to_verification_result(Report(data, "s.sarif"), suite="security-scan", fail_on=fail_on)


def levels(found):
    return {each.slice["level"]: each.value for each in found.metrics if each.name == "findings"}


@pytest.mark.parametrize(
    ("result", "level"),
    [
        ({"ruleId": "A"}, "error"),
        ({"ruleId": "A", "level": "note"}, "note"),
        ({"ruleId": "A/sub/x"}, "error"),
        ({"ruleIndex": 1}, "note"),
        ({"rule": {"index": 1}}, "note"),
        ({"rule": {"id": "A"}}, "error"),
        ({"ruleId": "C"}, "warning"),
        ({"ruleId": "unknown"}, "warning"),
        ({}, "warning"),
        ({"ruleId": "B", "provenance": {"invocationIndex": 0}}, "error"),
        ({"ruleId": "B/sub", "provenance": {"invocationIndex": 0}}, "error"),
        ({"ruleIndex": 2, "provenance": {"invocationIndex": 0}}, None),
        ({"ruleId": "A", "level": "none"}, None),
        ({"ruleId": "A", "kind": "pass"}, None),
        ({"ruleId": "A", "kind": "informational"}, None),
        ({"ruleId": "A", "kind": "pass", "level": "error"}, "error"),
        ({"ruleId": "A", "baselineState": "absent"}, None),
        ({"ruleId": "A", "baselineState": "unchanged"}, "error"),
        ({"ruleId": "A", "suppressions": []}, "error"),
        ({"ruleId": "A", "suppressions": [{"kind": "external"}]}, None),
        ({"ruleId": "A", "suppressions": [{"kind": "external", "status": "underReview"}]}, "error"),
        ({"ruleId": "A", "suppressions": [{"status": "accepted"}, {"status": "rejected"}]}, "error"),
    ],
)
def test_a_result_is_a_finding_at_the_level_that_the_standard_gives_it(result, level):
    invocations = [{"executionSuccessful": True, "ruleConfigurationOverrides": OVERRIDE}]
    found = levels(read(log(result, invocations=invocations)))
    assert {name for name, count in found.items() if count} == ({level} if level else set())


@pytest.mark.parametrize(
    ("level", "fail_on", "result"),
    [
        ("error", "error", "FAILED"),
        ("warning", "error", "PASSED"),
        ("warning", "warning", "FAILED"),
        ("note", "warning", "PASSED"),
        ("note", "note", "FAILED"),
        ("none", "note", "PASSED"),
    ],
)
def test_it_fails_from_the_level_on_that_is_asked_for(level, fail_on, result):
    found = read(log({"ruleId": "A", "level": level}), fail_on=fail_on)
    assert (found.result, found.fail_on) == (result, fail_on)
    assert ("CARNET_SECURITY_SCAN_PASSED" in found.properties) == (result == "PASSED")


def test_properties_are_what_no_finding_contradicts():
    assert read(log()).properties == (
        "CARNET_NO_ERROR_FINDINGS",
        "CARNET_NO_WARNING_FINDINGS",
        "CARNET_NO_NOTE_FINDINGS",
        "CARNET_SECURITY_SCAN_PASSED",
    )
    assert read(log({"level": "error"})).properties == ()
    assert read(log({"level": "warning"})).properties == (
        "CARNET_NO_ERROR_FINDINGS",
        "CARNET_SECURITY_SCAN_PASSED",
    )


@pytest.mark.parametrize("kind", ["open", "review"])
def test_what_nobody_decided_is_no_pass(kind):
    found = read(log({"ruleId": "A", "kind": kind}))
    assert found.result == "WARNED"
    assert read(log({"ruleId": "A", "kind": kind}, {"ruleId": "A"})).result == "FAILED"


def test_rules_of_extensions_are_found():
    tool = {"driver": {"name": "d"}, "extensions": [{"name": "x"}, {"name": "q", "rules": RULES}]}
    for rule in (
        {"index": 0, "toolComponent": {"index": 1}},
        {"index": 0, "toolComponent": {"name": "q"}},
        {"id": "A"},
    ):
        found = read(log({"rule": rule}, tool=tool))
        assert [(each.rule, each.level) for each in found.findings] == [("A", "error")]


def test_findings_are_listed_by_rule_the_worst_and_most_frequent_first():
    found = read(log(*[{"ruleId": "C"}] * 3, {"ruleId": "D"}, {"ruleId": "A"}))
    assert [(each.rule, each.level, each.count) for each in found.findings] == [
        ("A", "error", 1),
        ("C", "warning", 3),
        ("D", "warning", 1),
    ]


@pytest.mark.parametrize(
    "time", ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00.000000000+01:00", "2026-03-01T12:00:00"]
)
def test_it_ended_when_the_last_call_of_the_tool_did(time):
    earlier = {"executionSuccessful": True, "endTimeUtc": "2026-02-01T12:00:00Z"}
    found = read(log(invocations=[{"executionSuccessful": True, "endTimeUtc": time}, earlier]))
    assert found.time_created == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("time", [None, "9000-01-01T00:00:00Z"])
def test_without_a_time_or_with_one_in_the_future_it_ended_now(time):
    invocation = {"executionSuccessful": True} | ({"endTimeUtc": time} if time else {})
    found = read(log(invocations=[invocation]))
    assert timedelta(0) <= datetime.now(UTC) - found.time_created < timedelta(minutes=1)


def test_a_scan_that_did_not_end_well_may_fail_but_not_pass():
    unsuccessful = [{"executionSuccessful": False}]
    assert read(log({"ruleId": "A"}, invocations=unsuccessful)).result == "FAILED"
    with pytest.raises(
        DocumentInvalidError, match=r"runs\[0\].invocations\[0\].executionSuccessful is false"
    ):
        read(log({"ruleId": "B"}, invocations=unsuccessful))


BAD = [
    (b"", "s.sarif:1:1: not JSON"),
    (b'{"version": "2.1.0",\n "runs": [}', "s.sarif:2:11: not JSON"),
    ([], "not a JSON object"),
    ({"version": "2.1.0"}, "runs is missing"),
    ({"version": "2.1.0", "runs": []}, "runs"),
    ({"version": "2.0.0", "runs": log()["runs"]}, "version"),
    (log(results=None), r"runs\[0\].results are not in it"),
    ({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "d"}}}]}, r"runs\[0\].results are not in it"),
    (log(externalPropertyFileReferences={"results": []}), r"runs\[0\].results are not in it"),
    (log(tool={}), r"runs\[0\].tool.driver is missing"),
    (log(tool={"driver": {}}), r"runs\[0\].tool.driver.name is missing"),
    (log({"level": "fatal"}), r"runs\[0\].results\[0\].level"),
    (log({"level": 3}), r"runs\[0\].results\[0\].level"),
    (log({"kind": "maybe"}), r"runs\[0\].results\[0\].kind"),
    (log({"ruleIndex": 3}), r"runs\[0\].results\[0\].ruleIndex is 3, and 'scanner' has 3 rules"),
    (log({"ruleIndex": -2}), r"runs\[0\].results\[0\].ruleIndex"),
    (log({"ruleIndex": True}), r"runs\[0\].results\[0\].ruleIndex"),
    (log({"provenance": {"invocationIndex": 0}}), r"runs\[0\].results\[0\].provenance.invocationIndex is 0"),
    (log({"suppressions": [{"status": "forgotten"}]}), r"suppressions\[0\].status"),
    (log(invocations=[{}]), r"runs\[0\].invocations\[0\].executionSuccessful is missing"),
    (log(invocations=[{"executionSuccessful": True, "endTimeUtc": "noon"}]), "endTimeUtc"),
]


@pytest.mark.parametrize(("value", "message"), BAD)
def test_what_is_no_scan_is_refused_with_the_path(value, message):
    with pytest.raises(DocumentInvalidError, match=message) as caught:
        read(value)
    assert caught.value.message.startswith("s.sarif")
