"""A report's authoritative form: canonical JSON in a signed envelope.

Responsible for sealing a report with the key of who made it (DSSE), and for opening one again: the signature
against pinned keys, the canonical form, and the parts that a report has. Does not ask whether its rows are
right (``carnet.audit.reports.compare``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from carnet.audit.reports.parsing import parse_report
from carnet.audit.reports.query import ReportQuery
from carnet.canonical import canonical_json, parse_canonical_json
from carnet.errors import CarnetError, InvalidInputError, StatementInvalidError
from carnet.signing.dsse import parse_envelope, sign_payload, signers_of, verify_envelope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.audit.pins import Pins
    from carnet.audit.reports.model import Report
    from carnet.signing.dsse import OneTimeSigner
    from carnet.signing.keys import SigningKey

REPORT_PAYLOAD_TYPE: Final = "application/vnd.carnet.report+json"
REPORT_MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenedReport:
    """A report that was read back.

    Attributes:
        value: Its JSON object, of the form that ``Report.to_json`` gives.
        query: What was asked.
        checkpoints: The signed checkpoint of each log, by environment; not verified yet.
        signer: Who signed it, as pinned; empty where nobody did.
    """

    value: Mapping[str, Any]
    query: ReportQuery
    checkpoints: Mapping[str, str]
    signer: str


def seal_report(report: Report, key: SigningKey | OneTimeSigner | None) -> bytes:
    """Return a report's file.

    Args:
        report: The report.
        key: The key of who made it; None for a report that nobody signs.

    Returns:
        The envelope's bytes; without a key the report's canonical JSON.
    """
    payload = canonical_json(report.to_json())
    return payload if key is None else sign_payload(payload, REPORT_PAYLOAD_TYPE, key).to_bytes()


def open_report(data: bytes, pins: Pins) -> OpenedReport:
    """Read a report's file.

    Args:
        data: Its bytes.
        pins: Whose signatures count.

    Raises:
        SignatureInvalidError: A signature is bad, or the envelope is malformed.
        KeyUntrustedError: Nobody that is pinned signed it.
        StatementInvalidError: It is no report in JSON, or not of the form that reports have.
    """
    if len(data) > REPORT_MAX_BYTES:
        raise _invalid(f"it has {len(data)} bytes, and a report has {REPORT_MAX_BYTES} at most")
    if not data.startswith(b"{"):
        raise _invalid(
            "it is no JSON. Only the JSON of a report can be verified, and it is the authoritative form: "
            "CSV, HTML and PDF are made of it"
        )
    signer = ""
    if not data.startswith(b'{"completeness":'):
        envelope = parse_envelope(data, max_bytes=2 * REPORT_MAX_BYTES)
        if envelope.payload_type != REPORT_PAYLOAD_TYPE:
            raise _invalid(f"the envelope holds {envelope.payload_type[:80]!r}, not {REPORT_PAYLOAD_TYPE!r}")
        keys, _ = signers_of(envelope, pins.all_keys, pins.authorities)
        key_id = verify_envelope(envelope, keys)
        signer, data = pins.holder_of(key_id), envelope.payload
    try:
        value = parse_canonical_json(data, what="the report")
        return _read(value, signer)
    except InvalidInputError as error:
        raise _invalid(error.message) from error


def _read(value: Any, signer: str) -> OpenedReport:
    report = parse_report(value)
    if not report.logs:
        raise _invalid("logs: it is of no log at all")
    checkpoints = {each.environment: each.checkpoint for each in report.logs}
    return OpenedReport(value, ReportQuery.from_json(value["kind"], value["query"]), checkpoints, signer)


def _invalid(problem: str) -> CarnetError:
    return StatementInvalidError(f"this is no report that can be verified: {problem}")
