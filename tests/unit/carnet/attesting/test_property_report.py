"""Fairness reports, PII reviews and smoke tests: one small form."""

from __future__ import annotations

import json

import pytest

from carnet.attesting.property_report import properties_to_verification_result
from carnet.attesting.report import Report
from carnet.errors import DocumentInvalidError


def read(value, *, kind="fairness"):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return properties_to_verification_result(Report(data, "p.json"), kind=kind, suite=kind)


def properties(*results, **fields):
    return {
        "properties": [{"name": f"p-{index}", "result": each} for index, each in enumerate(results)]
    } | fields


@pytest.mark.parametrize(
    ("results", "whole", "holds"),
    [
        (["PASSED"], "PASSED", ("CARNET_SMOKE_TEST_P_0", "CARNET_SMOKE_TEST_PASSED")),
        (["PASSED", "WARNED"], "WARNED", ("CARNET_SMOKE_TEST_P_0",)),
        (["WARNED", "FAILED", "PASSED"], "FAILED", ("CARNET_SMOKE_TEST_P_2",)),
        (["FAILED"], "FAILED", ()),
    ],
)
def test_the_whole_is_as_good_as_its_worst_property_and_lists_those_that_hold(results, whole, holds):
    found = read(properties(*results), kind="smoke-test")
    assert (found.result, found.properties) == (whole, holds)
    assert [each.result for each in found.checks] == results


BAD = [
    ({}, "properties is missing"),
    ({"properties": []}, "properties"),
    ({"properties": {}}, "properties"),
    (properties("PASSED", result="PASSED"), "result is not a known field"),
    (properties("OK"), r"properties\[0\].result"),
    ({"properties": [{"name": "Not A Name", "result": "PASSED"}]}, r"properties\[0\].name should be a name"),
    (
        {"properties": [{"name": "passed", "result": "PASSED"}]},
        r"properties\[0\].name 'passed' is that of the whole",
    ),
    (
        {"properties": [{"name": n, "result": "PASSED"} for n in ("a-b", "a_b")]},
        r"properties\[0\].name 'a-b' is there twice",
    ),
    (properties("PASSED", metrics=[{"name": "x", "value": 1}]), r"metrics\[0\].direction is missing"),
    (
        properties(
            "PASSED", metrics=[{"name": "x", "value": 1, "direction": "lower_is_better", "sample_count": -1}]
        ),
        r"metrics\[0\].sample_count",
    ),
    (properties("PASSED", finished_at="today"), "finished_at"),
    (properties("PASSED", tools=[{}]), r"tools\[0\].name is missing"),
    (properties("PASSED", url="a\nb"), "url"),
    (b'{"properties": [', "p.json:1:17: not JSON"),
]


@pytest.mark.parametrize(("value", "message"), BAD)
def test_what_breaks_the_form_is_refused_with_the_path(value, message):
    with pytest.raises(DocumentInvalidError, match=message) as caught:
        read(value)
    assert caught.value.message.startswith("p.json")
