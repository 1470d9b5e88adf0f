"""From a document that a test run wrote to the statement that is signed.

Responsible for the two forms that a test result is taken in, the plain metrics document and the in-toto
predicate itself, and for errors that name the field. Signs nothing and sends nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import CarnetError, DocumentInvalidError
from carnet.signing.dsse import MAX_ENVELOPE_BYTES
from carnet.signing.fields import FrozenModel, Line, Many, OptionalLine, Time
from carnet.signing.predicate import ResourceDescriptor
from carnet.signing.problems import describe, field_of
from carnet.signing.statement import Statement
from carnet.signing.strict_json import parse_json_object
from carnet.signing.test_result import MeasuredMetric, TestResult

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_KIND = "test-result"


class MetricsDocument(FrozenModel):
    """A test run's outcome in plain words; all fields but ``result`` and ``suite`` may be absent."""

    suite: Line
    result: Literal["PASSED", "WARNED", "FAILED"]
    metrics: Many[MeasuredMetric] = ()
    configuration: Many[ResourceDescriptor] = ()
    url: OptionalLine = ""
    passed_tests: Many[Line] = ()
    warned_tests: Many[Line] = ()
    failed_tests: Many[Line] = ()
    finished_at: Time | None = Field(default=None)


def make_statement(
    content: bytes | Mapping[str, Any],
    *,
    name: str,
    kind: str,
    suite: str | None,
    result: str | None,
    subject_name: str,
    subject_digest: str,
) -> Statement:
    """Make the statement that a document says about a bundle.

    Args:
        content: The document: JSON bytes, or the parsed object.
        name: What to call it in messages, and in the statement's configuration.
        kind: ``test-result``, or the URI of a predicate type, whose predicate the document then is.
        suite: Overrides the test result's suite.
        result: Overrides its result.
        subject_name: The bundle's name.
        subject_digest: Its digest.

    Raises:
        DocumentInvalidError: The document is not of that kind; ``metadata["field"]`` names the field.
    """
    document = dict(content) if not isinstance(content, bytes) else _parsed(content, name)
    if kind in {DEFAULT_KIND, TestResult.PREDICATE_TYPE}:
        overrides = {"suite": suite, "result": result}
        given = {key: value for key, value in overrides.items() if value is not None}
        predicate = _test_result(document, given, name=name)
        return Statement(subject_name, subject_digest, TestResult.PREDICATE_TYPE, predicate)
    if ":" not in kind or suite is not None or result is not None:
        raise DocumentInvalidError(
            f"{kind!r} is not a kind of attestation: use {DEFAULT_KIND!r} (with --suite and --result if need "
            "be), or the URI of a predicate type",
            metadata={"field": "kind"},
        )
    return Statement(subject_name, subject_digest, kind, document)


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    return parse_json_object(data, what=name, max_bytes=MAX_ENVELOPE_BYTES // 2, error=DocumentInvalidError)


def _test_result(document: dict[str, Any], given: dict[str, str], *, name: str) -> dict[str, Any]:
    if "carnet_suite" in document or "passedTests" in document or "failedTests" in document:
        fields = {("carnet_suite" if key == "suite" else key): value for key, value in given.items()}
        return _foreign(document | fields, name=name)
    try:
        canonical = canonical_json(document)
        plain = MetricsDocument.model_validate(document | given)
    except ValidationError as error:
        raise DocumentInvalidError(describe(error, what=name), metadata={"field": field_of(error)}) from error
    except CarnetError as error:
        raise DocumentInvalidError(f"{name}: {error.message}", metadata=error.metadata) from error
    configuration = plain.configuration or (
        ResourceDescriptor(name=name, digest={"sha256": sha256_hex(canonical)}),
    )
    return TestResult(
        result=plain.result,
        configuration=configuration,
        url=plain.url,
        passed_tests=plain.passed_tests,
        warned_tests=plain.warned_tests,
        failed_tests=plain.failed_tests,
        suite=plain.suite,
        metrics=plain.metrics,
        finished_at=plain.finished_at or datetime.now(UTC),
    ).to_predicate()


def _foreign(document: dict[str, Any], *, name: str) -> dict[str, Any]:
    """Check a predicate in its own form; what is signed is what was written."""
    statement = Statement("", "", TestResult.PREDICATE_TYPE, document)
    try:
        canonical_json(document)
        TestResult.parse(statement)
    except CarnetError as error:
        raise DocumentInvalidError(f"{name}: {error.message}", metadata=error.metadata) from error
    return document
