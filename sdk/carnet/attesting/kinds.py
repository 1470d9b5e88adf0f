"""The kinds of files that ``carnet attest`` takes, and telling them apart.

Responsible for the names of the kinds and for recognising what is unambiguous: XML, a pytest report, SARIF,
a skew report, an envelope. A document of Carnet's own for a test run is what remains; reports of properties
look all alike, so their kind must be said. Checks nothing else of a file: its converter does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.attesting.envelopes import is_envelope
from carnet.attesting.pytest_report import is_report_log
from carnet.signing.statement import STATEMENT_TYPE

if TYPE_CHECKING:
    from carnet.attesting.report import Report

TEST_RESULT = "test-result"
JUNIT = "junit"
PYTEST = "pytest"
SARIF = "sarif"
SKEW = "skew"
ENVELOPE = "envelope"
PROPERTIES = ("fairness", "pii-review", "smoke-test")
KINDS = (TEST_RESULT, JUNIT, PYTEST, SARIF, *PROPERTIES, SKEW, ENVELOPE)
_XML_BEGINS = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe<", b"\xfe\xff\x00<")


def recognise(report: Report) -> str:
    """Return the kind of a file.

    Args:
        report: The file.

    Raises:
        DocumentInvalidError: It is neither XML nor JSON, or its kind must be said.
    """
    data = report.data.lstrip(b" \t\r\n")
    if data.startswith(_XML_BEGINS):
        return JUNIT
    if is_report_log(data):
        return PYTEST
    value = _first_object(report)
    if is_envelope(value) or "dsseEnvelope" in value:
        return ENVELOPE
    if value.get("_type") == STATEMENT_TYPE:
        raise report.invalid(
            "it is a whole statement that nobody signed: attest its predicate, with --predicate-type"
        )
    kind = _kind_of(value)
    if kind == TEST_RESULT and "properties" in value and "result" not in value:
        raise report.invalid(f"a report of properties: say which, with --type {', '.join(PROPERTIES)}")
    return kind


def _kind_of(value: dict[str, Any]) -> str:
    if isinstance(value.get("runs"), list) or "sarif" in str(value.get("$schema", "")).lower():
        return SARIF
    if "exitcode" in value and ("tests" in value or "summary" in value):
        return PYTEST
    return SKEW if {"reference_rows", "data_rows", "features"} <= value.keys() else TEST_RESULT


def _first_object(report: Report) -> dict[str, Any]:
    """Return the object that the file is, or, of a file with one on each line, the first."""
    lines = report.data.strip().split(b"\n")
    if len(lines) > 1 and lines[0].rstrip().endswith(b"}"):
        return next(report.json_lines())[1]
    return report.json_object()
