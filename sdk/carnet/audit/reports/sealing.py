"""A report's authoritative form: canonical JSON in a signed envelope.

Responsible for sealing a report with the key of who made it (DSSE), and for opening one again: the signature
against pinned keys, the canonical form, and the parts that a report has. Does not ask whether its rows are
right (``carnet.audit.reports.compare``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from carnet.audit.reports.model import REPORT_SCHEMA
from carnet.audit.reports.query import ReportQuery
from carnet.canonical import canonical_json, parse_canonical_json
from carnet.errors import CarnetError, InvalidInputError, StatementInvalidError
from carnet.signing.dsse import parse_envelope, sign_payload, signers_of, verify_envelope
from carnet.signing.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.audit.pins import Pins
    from carnet.audit.reports.model import Report
    from carnet.signing.dsse import OneTimeSigner
    from carnet.signing.keys import SigningKey

REPORT_PAYLOAD_TYPE: Final = "application/vnd.carnet.report+json"
REPORT_MAX_BYTES: Final = 256 * 1024 * 1024
_KEYS = frozenset(
    {"schema", "kind", "title", "query", "generated_at", "generator", "logs", "completeness", "tables"}
)
_LOG_KEYS = frozenset({"environment", "first", "count", "checkpoint"})
_TABLE_KEYS = frozenset({"name", "title", "about", "columns", "rows"})
_COLUMN_KEYS = frozenset({"name", "title", "kind"})


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
    _keys(value, _KEYS, "the report")
    if value["schema"] != REPORT_SCHEMA:
        raise _invalid(f"its schema is {str(value['schema'])[:80]!r}: {REPORT_SCHEMA} is known")
    for field in ("kind", "title", "generator", "generated_at"):
        if not isinstance(value[field], str):
            raise _invalid(f"{field}: a text is wanted")
    parse_time(value["generated_at"])
    if not isinstance(value["query"], dict):
        raise _invalid("query: an object is wanted")
    if not all(isinstance(each, str) for each in _list(value["completeness"], "completeness")):
        raise _invalid("completeness: texts are wanted")
    checkpoints = _checkpoints(value["logs"])
    names = [_table_name(each) for each in _list(value["tables"], "tables")]
    if len(set(names)) != len(names):
        raise _invalid("tables: a name is there twice")
    return OpenedReport(value, ReportQuery.from_json(value["kind"], value["query"]), checkpoints, signer)


def _checkpoints(logs: Any) -> dict[str, str]:
    """Return the checkpoint of each log, by environment."""
    checkpoints: dict[str, str] = {}
    for each in _list(logs, "logs"):
        _keys(each, _LOG_KEYS, "logs")
        if not isinstance(each["environment"], str) or not isinstance(each["checkpoint"], str):
            raise _invalid("logs: an environment and its checkpoint are wanted")
        if each["environment"] in checkpoints:
            raise _invalid(f"logs: {each['environment'][:80]!r} is there twice")
        checkpoints[each["environment"]] = each["checkpoint"]
    if not checkpoints:
        raise _invalid("logs: it is of no log at all")
    return checkpoints


def _table_name(table: Any) -> str:
    _keys(table, _TABLE_KEYS, "tables")
    name = table["name"]
    if not isinstance(name, str):
        raise _invalid("tables: a name is wanted")
    columns = _list(table["columns"], f"{name[:80]}: columns")
    for each in columns:
        _keys(each, _COLUMN_KEYS, f"{name[:80]}: columns")
    for position, row in enumerate(_list(table["rows"], f"{name[:80]}: rows")):
        if not isinstance(row, list) or len(row) != len(columns):
            raise _invalid(f"{name[:80]}: row {position + 1} has not a cell for each column")
    return name


def _keys(value: Any, wanted: frozenset[str], what: str) -> None:
    if not isinstance(value, dict) or set(value) != wanted:
        raise _invalid(f"{what}: an object of {', '.join(sorted(wanted))} is wanted")


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise _invalid(f"{what}: a list is wanted")
    return value


def _invalid(problem: str) -> CarnetError:
    return StatementInvalidError(f"this is no report that can be verified: {problem}")
