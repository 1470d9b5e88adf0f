from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from carnet.audit.reports.parsing import parse_report, parse_report_bytes
from carnet.canonical import canonical_json
from carnet.errors import InvalidInputError
from tests.support.reports import everything


def test_a_report_reads_back_as_it_was_written() -> None:
    report = everything(rows=3)
    data = canonical_json(report.to_json())
    again = parse_report_bytes(data)
    assert again == report
    assert canonical_json(again.to_json()) == data


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "carnet.report/v2"),
        ("kind", "../../etc/passwd"),
        ("kind", ""),
        ("title", None),
        ("query", []),
        ("query.from", 3),
        ("generated_at", "2026-03-01"),
        ("generated_at", "2026-03-01T12:30:00.000000Z"),
        ("generator", 1),
        ("logs", {}),
        ("logs[0].first", -1),
        ("logs[0].count", True),
        ("logs[0].count", "42"),
        ("logs[0].checkpoint", None),
        ("completeness[1]", 7),
        ("tables[0].name", "a/b"),
        ("tables[2].name", "versions"),
        ("tables[0].columns[1].kind", "money"),
        ("tables[0].columns[1].name", "name"),
        ("tables[0].columns[1].name", "a\nb"),
        ("tables[0].rows[0]", ["too", "short"]),
        ("tables[0].rows[0][0]", 1),
        ("tables[0].rows[0][1]", "1"),
        ("tables[0].rows[0][1]", True),
        ("tables[0].rows[0][2]", "yesterday"),
        ("tables[0].rows[0][3]", ["x"]),
        ("tables[0].rows[0][4]", 1),
        ("tables[0].rows[0][5]", "carol"),
        ("tables[0].rows[0][5][1]", None),
    ],
)
def test_what_is_wrong_is_named(field: str, value: Any) -> None:
    document = copy.deepcopy(everything().to_json())
    steps = [
        int(step) if step.isdigit() else step for step in field.replace("]", "").replace("[", ".").split(".")
    ]
    place: Any = document
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    with pytest.raises(InvalidInputError) as caught:
        parse_report(document)
    assert caught.value.metadata["field"] == field
    assert field in caught.value.message


@pytest.mark.parametrize("path", [(), ("logs", 0), ("tables", 0), ("tables", 0, "columns", 0)])
def test_unknown_and_missing_fields_are_refused(path: tuple[Any, ...]) -> None:
    for change in (lambda item: item.update(more=1), lambda item: item.popitem()):
        document = copy.deepcopy(everything().to_json())
        place: Any = document
        for step in path:
            place = place[step]
        change(place)
        with pytest.raises(InvalidInputError, match="fields"):
            parse_report(document)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"{", b'{"kind":1,"kind":1}', b"\xff{}", b"[" * 5000, b'{"a":NaN}']
)
def test_bytes_that_are_no_report_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_report_bytes(data)


def test_every_truncation_is_refused() -> None:
    data = json.dumps(everything().to_json()).encode()
    for end in range(0, len(data), 37):
        with pytest.raises(InvalidInputError):
            parse_report_bytes(data[:end])
