"""Envelopes that somebody else signed, as they come in ``.intoto.jsonl`` files.

Responsible for finding each envelope's own bytes, which its digest is of, and for checking that all of them
are about one bundle before the first is handed over. Such a file is not signed as a whole. Verifies no
signature: the registry does, with the keys that it trusts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.errors import IntegrityError, StatementInvalidError
from carnet.signing.dsse import parse_envelope
from carnet.signing.evidence_content import content_of, require_evidence
from carnet.signing.statement import STATEMENT_TYPE, parse_statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.attesting.report import Report
    from carnet.signing.dsse import Envelope
    from carnet.signing.statement import Statement

MAX_ENVELOPES = 256


@dataclass(frozen=True, slots=True)
class SignedElsewhere:
    """An envelope, and where it stands: ``name:line``."""

    where: str
    envelope: Envelope
    statement: Statement


def read_envelopes(report: Report, *, bundle_digest: str) -> tuple[SignedElsewhere, ...]:
    """Read the envelopes of a file: one, or one on each line.

    Args:
        report: The file.
        bundle_digest: The bundle that all of them must be about.

    Returns:
        The envelopes, each once, in the file's order.

    Raises:
        DocumentInvalidError: The file has none, too many, or something else; the message has the line.
        StatementInvalidError: One is about another bundle, is no evidence, or breaks the schema of its type.
    """
    found: dict[str, SignedElsewhere] = {}
    for where, data in _pieces(report):
        each = _read(report, where, data)
        if each.statement.subject_digest != bundle_digest:
            raise StatementInvalidError(
                f"{where}: it is about {each.statement.subject_name[:160]!r} with the SHA-256 "
                f"{each.statement.subject_digest}, and the bundle is {bundle_digest}",
                metadata={"field": "subject[0].digest.sha256"},
            )
        found.setdefault(each.envelope.digest, each)
        if len(found) > MAX_ENVELOPES:
            raise report.invalid(f"more than {MAX_ENVELOPES} envelopes: use several files")
    if not found:
        raise report.invalid("it has no envelope: a DSSE envelope is wanted, or one on each line")
    return tuple(found.values())


def is_envelope(value: dict[str, Any]) -> bool:
    """Whether a JSON object has the form of a DSSE envelope."""
    return {"payload", "payloadType", "signatures"} <= value.keys()


def _pieces(report: Report) -> Iterator[tuple[str, bytes]]:
    """Give the bytes of each envelope: each line of the file, where the first is JSON, or else all of it."""
    lines = report.data.split(b"\n")
    first = next((line for line in lines if line.strip()), b"")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        yield report.name, report.data.strip()
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{report.name}:{number}", line.strip()


def _read(report: Report, where: str, data: bytes) -> SignedElsewhere:
    try:
        envelope = parse_envelope(data)
    except IntegrityError as error:
        raise report.invalid(f"{error.message}{_hint(data)}", where=where) from error
    try:
        statement = parse_statement(envelope)
        require_evidence(statement.predicate_type)
        content_of(statement)
    except StatementInvalidError as error:
        raise StatementInvalidError(f"{where}: {error.message}", metadata=error.metadata) from error
    return SignedElsewhere(where, envelope, statement)


def _hint(data: bytes) -> str:
    """Say what a file is that is no envelope, where it is one of its relatives."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    if "dsseEnvelope" in value:
        return " (it is a Sigstore bundle: hand over its dsseEnvelope)"
    if value.get("_type") == STATEMENT_TYPE:
        return " (it is a statement that nobody signed: attest its predicate, with --predicate-type)"
    return ""
