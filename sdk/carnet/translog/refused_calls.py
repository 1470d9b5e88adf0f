"""What an entry of refused calls rests on: one small document for all the calls of a kind within a minute.

Responsible for the one byte form of that document (canonical JSON), for reading it strictly, and for the line
that its entry quotes. It holds the names of a method, of a reason and of namespaces, numbers and times; never
the text of an error, which may name people.

Invariants: a document that exists counts one call at least, and its last call is not before its first;
``parse_refused_calls(data).to_bytes() == data`` for all that is accepted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from carnet.canonical import canonical_json, parse_canonical_json
from carnet.errors import CarnetError, InvalidInputError
from carnet.references import check_name
from carnet.translog.entry import format_time

SCHEMA: Final = "carnet.refused-calls/v1"
ANY_OTHER: Final = "*"
"""Stands for the method and the reason of calls that were too many to be told apart."""
NAMESPACES_MAX: Final = 8
_METHOD = re.compile(r"\*|[A-Za-z][A-Za-z0-9_.]{0,199}/[A-Za-z][A-Za-z0-9_]{0,99}")
_REASON = re.compile(r"\*|[A-Z][A-Z0-9_]{0,63}")
_COUNT_MAX: Final = 2**53 - 1
_KEYS: Final = frozenset({"schema", "method", "reason", "count", "first_at", "last_at"})


@dataclass(frozen=True, slots=True)
class RefusedCalls:
    """Calls of one method, by one subject, that were refused for one reason.

    Args:
        method: The method's full name, ``package.Service/Method``, or ``*`` for any.
        reason: ``ErrorInfo.reason`` of the errors, or ``*`` for any.
        count: How many there were.
        first_at: When the first was refused; aware, kept in UTC.
        last_at: When the last was.
        namespaces: Some of those that they were about, in order; at most eight.

    Raises:
        InvalidInputError: A part is not of its form.
    """

    method: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime
    namespaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be written."""
        for field, value, form in (("method", self.method, _METHOD), ("reason", self.reason, _REASON)):
            if not isinstance(value, str) or not form.fullmatch(value):
                raise _problem(f"{field}: {str(value)[:80]!r} is none")
        if type(self.count) is not int or not 1 <= self.count <= _COUNT_MAX:
            raise _problem(f"count: {str(self.count)[:80]} is none: one call at least is wanted")
        for field in ("first_at", "last_at"):
            if getattr(self, field).utcoffset() is None:
                raise _problem(f"{field}: a time zone is wanted")
            object.__setattr__(self, field, getattr(self, field).astimezone(UTC))
        if self.last_at < self.first_at:
            raise _problem(f"last_at: {format_time(self.last_at)} is before {format_time(self.first_at)}")
        if list(self.namespaces) != sorted(set(self.namespaces)) or len(self.namespaces) > NAMESPACES_MAX:
            raise _problem(f"namespaces: at most {NAMESPACES_MAX}, each once and in order, are wanted")
        for name in self.namespaces:
            check_name(name, field="namespaces")

    @property
    def summary(self) -> str:
        """What the entry quotes, such as ``AdmissionService/Admit STALE_EPOCH x3``."""
        return f"{self.method.rpartition('.')[2]} {self.reason} x{self.count}"

    @property
    def subject(self) -> dict[str, str]:
        """What the entry is about: the namespace, where there is exactly one."""
        return {"namespace": self.namespaces[0]} if len(self.namespaces) == 1 else {}

    def to_bytes(self) -> bytes:
        """Return the document's bytes: canonical JSON, ``namespaces`` left out where there are none."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "method": self.method,
            "reason": self.reason,
            "count": self.count,
            "first_at": format_time(self.first_at),
            "last_at": format_time(self.last_at),
        }
        if self.namespaces:
            document["namespaces"] = list(self.namespaces)
        return canonical_json(document)


def parse_refused_calls(data: bytes) -> RefusedCalls:
    """Read the document of an entry of refused calls strictly.

    Args:
        data: Its bytes.

    Returns:
        The calls; ``to_bytes()`` gives the same bytes.

    Raises:
        InvalidInputError: The bytes are not exactly what ``RefusedCalls.to_bytes`` writes.
    """
    document = parse_canonical_json(data, what="the document of refused calls")
    if not isinstance(document, dict) or set(document) - {"namespaces"} != _KEYS:
        raise _problem(f"an object of {', '.join(sorted(_KEYS))} is wanted")
    if document["schema"] != SCHEMA:
        raise _problem(f"schema: {str(document['schema'])[:80]!r}: {SCHEMA} is known")
    namespaces = document.get("namespaces", [])
    if not isinstance(namespaces, list) or not all(isinstance(each, str) for each in namespaces):
        raise _problem("namespaces: a list of names is wanted")
    try:
        read = RefusedCalls(
            method=document["method"],
            reason=document["reason"],
            count=document["count"],
            first_at=_time(document["first_at"]),
            last_at=_time(document["last_at"]),
            namespaces=tuple(namespaces),
        )
    except InvalidInputError:
        raise
    except CarnetError as error:
        raise _problem(error.message) from error
    if read.to_bytes() != data:
        raise _problem("it is not in the one form that it has")
    return read


def _time(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise _problem(f"{str(value)[:80]!r} is not a time (RFC 3339)") from error


def _problem(message: str) -> InvalidInputError:
    return InvalidInputError(f"the document of refused calls: {message}")
