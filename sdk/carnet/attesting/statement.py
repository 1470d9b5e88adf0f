"""The statement that a file makes about a bundle.

Responsible for choosing the converter by kind, for which options each takes, and for a statement that fits
into an envelope and keeps the schema of its predicate type. Signs nothing and sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.attesting import kinds
from carnet.attesting.junit import junit_to_test_result
from carnet.attesting.metrics import metrics_to_predicate
from carnet.attesting.property_report import properties_to_verification_result
from carnet.attesting.pytest_report import pytest_to_test_result
from carnet.attesting.report import Report, field_not_finite, not_finite, read_part
from carnet.attesting.sarif import sarif_to_verification_result
from carnet.attesting.skew_report import skew_to_test_result
from carnet.canonical import canonical_json
from carnet.errors import CarnetError, DocumentInvalidError
from carnet.signing.dsse import MAX_ENVELOPE_BYTES
from carnet.signing.evidence_content import content_of, require_evidence
from carnet.signing.fields import FrozenModel, Name
from carnet.signing.statement import Statement
from carnet.signing.test_result import TestResult

if TYPE_CHECKING:
    from carnet.attesting.sarif import FailOn
    from carnet.signing.predicate import Predicate

# A payload grows by a third in base64; the rest is left for signatures.
MAX_PAYLOAD_BYTES = (MAX_ENVELOPE_BYTES - (16 << 10)) // 4 * 3
_MAX_DOCUMENT_BYTES = MAX_ENVELOPE_BYTES // 2
_DEFAULT_SUITES = {kinds.SARIF: "security-scan", kinds.SKEW: "skew"} | {
    kind: kind for kind in kinds.PROPERTIES
}


@dataclass(frozen=True, slots=True)
class Options:
    """What is said beside the file.

    Attributes:
        suite: What was run or looked at.
        result: How it ended; for a test result in plain words or as the predicate only.
        fail_on: The level of SARIF at and above which a finding makes a scan fail.
    """

    suite: str | None = None
    result: str | None = None
    fail_on: FailOn | None = None


class _Suite(FrozenModel):
    suite: Name


def make_statement(
    content: bytes | Mapping[str, Any],
    *,
    name: str,
    kind: str | None,
    options: Options,
    subject_name: str,
    subject_digest: str,
) -> Statement:
    """Make the statement that a file makes about a bundle.

    Args:
        content: The file's bytes, or the JSON object that it would be.
        name: What to call it in messages, and in the statement.
        kind: One of ``kinds.KINDS``, the URI of a predicate type, whose predicate the file then is, or None
            for what it is recognised as.
        options: What is said beside it.
        subject_name: The bundle's name.
        subject_digest: Its digest.

    Raises:
        DocumentInvalidError: The file is not of that kind, or an option is not one of it; the message has
            line and column or the path of the field, and ``metadata["field"]`` names the field.
    """
    report = _report(content, name)
    chosen = kind or kinds.recognise(report)
    try:
        predicate_type, predicate = _predicate(report, chosen, options)
        statement = Statement(subject_name, subject_digest, predicate_type, predicate)
        require_evidence(predicate_type)
        content_of(statement)
        size = len(statement.to_payload())
    except DocumentInvalidError:
        raise
    except CarnetError as error:
        raise DocumentInvalidError(f"{name}: {error.message}", metadata=error.metadata) from error
    if size > MAX_PAYLOAD_BYTES:
        raise report.invalid(f"the statement has {size} bytes; at most {MAX_PAYLOAD_BYTES} can be signed")
    return statement


def _report(content: bytes | Mapping[str, Any], name: str) -> Report:
    if isinstance(content, Mapping):
        field = field_not_finite(content)
        if field:
            raise not_finite(name, field)
        try:
            return Report(canonical_json(dict(content)), name)
        except DocumentInvalidError:
            raise
        except CarnetError as error:
            raise DocumentInvalidError(f"{name}: {error.message}", metadata=error.metadata) from error
    return Report(content, name)


def _predicate(report: Report, kind: str, options: Options) -> tuple[str, dict[str, Any]]:
    if kind in (kinds.TEST_RESULT, TestResult.PREDICATE_TYPE):
        _refuse(options, "fail_on", kind)
        given = {"suite": options.suite, "result": options.result}
        stated = {key: value for key, value in given.items() if value is not None}
        document = report.json_object(max_bytes=_MAX_DOCUMENT_BYTES)
        return TestResult.PREDICATE_TYPE, metrics_to_predicate(report, document, stated)
    if ":" in kind:
        _refuse(options, "suite", kind)
        _refuse(options, "result", kind)
        _refuse(options, "fail_on", kind)
        return kind, report.json_object(max_bytes=_MAX_DOCUMENT_BYTES)
    predicate = _converted(report, kind, options)
    return predicate.PREDICATE_TYPE, predicate.to_predicate()


def _converted(report: Report, kind: str, options: Options) -> Predicate:
    if kind not in kinds.KINDS or kind == kinds.ENVELOPE:
        known = ", ".join(each for each in kinds.KINDS if each != kinds.ENVELOPE)
        signed = " (what somebody else signed is handed over as it is)" if kind == kinds.ENVELOPE else ""
        raise DocumentInvalidError(
            f"{kind!r} is not a kind of file that a statement is made of{signed}: use {known}, or the URI of "
            "a predicate type",
            metadata={"field": "kind"},
        )
    _refuse(options, "result", kind)
    suite = _suite(report, kind, options)
    if kind == kinds.SARIF:
        return sarif_to_verification_result(report, suite=suite, fail_on=options.fail_on or "error")
    _refuse(options, "fail_on", kind)
    if kind == kinds.JUNIT:
        return junit_to_test_result(report, suite=suite)
    if kind == kinds.PYTEST:
        return pytest_to_test_result(report, suite=suite)
    if kind == kinds.SKEW:
        return skew_to_test_result(report, suite=suite)
    return properties_to_verification_result(report, kind=kind, suite=suite)


def _suite(report: Report, kind: str, options: Options) -> str:
    suite = options.suite or _DEFAULT_SUITES.get(kind, "")
    if not suite:
        raise report.invalid(
            f"which suite was run is not in a {kind} report: say it, with --suite", field="suite"
        )
    return read_part(_Suite, {"suite": suite}, where="--suite").suite


def _refuse(options: Options, option: str, kind: str) -> None:
    """Refuse an option that means nothing for a kind of file, or would contradict it."""
    if getattr(options, option) is not None:
        flag = option.replace("_", "-")
        raise DocumentInvalidError(
            f"--{flag} is not taken with the kind {kind!r}: the file says it, or it has none",
            metadata={"field": "kind" if ":" in kind else option},
        )
