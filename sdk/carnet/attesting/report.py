"""A report as a file: its bytes, its name, and how problems in it are told.

Responsible for the bounds of what is read (32 MiB, JSON nested 64 deep, no key twice), for errors that name
the file with line and column or the path of a field, and for how a statement names the file that it was made
from. Does not know what any report means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, ValidationError

from carnet.canonical import sha256_hex
from carnet.errors import CarnetError, DocumentInvalidError
from carnet.signing.fields import FrozenModel
from carnet.signing.predicate import ResourceDescriptor
from carnet.signing.problems import describe, field_of
from carnet.signing.strict_json import parse_json_object

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REPORT_BYTES = 32 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ReportPart(FrozenModel):
    """A part of another tool's report: fields that are not declared are passed over."""

    model_config = ConfigDict(extra="ignore")


Part = TypeVar("Part", bound=FrozenModel)


@dataclass(frozen=True, slots=True)
class Report:
    """A file that a tool wrote.

    Attributes:
        data: Its bytes.
        name: What to call it, in messages and in the statement.
    """

    data: bytes
    name: str

    def __post_init__(self) -> None:
        if len(self.data) > MAX_REPORT_BYTES:
            raise DocumentInvalidError(
                f"{self.name}: {len(self.data)} bytes; a report has at most {MAX_REPORT_BYTES}: leave out "
                "what the tests printed"
            )

    def json_object(self, *, max_bytes: int = MAX_REPORT_BYTES) -> dict[str, Any]:
        """Return the one JSON object that the file is.

        Args:
            max_bytes: The size that is taken at most.

        Raises:
            DocumentInvalidError: It is not one; the message has line and column.
        """
        return _json_object(self.data, self.name, first_line=1, max_bytes=max_bytes)

    def json_lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give the JSON objects that the lines of the file are, each with where it stands: ``name:line``.

        Empty lines are passed over.

        Raises:
            DocumentInvalidError: A line is not a JSON object; the message has line and column.
        """
        for number, line in enumerate(self.data.split(b"\n"), start=1):
            if line.strip():
                found = _json_object(line, self.name, first_line=number, max_bytes=MAX_REPORT_BYTES)
                yield f"{self.name}:{number}", found

    def descriptor(self, media_type: str) -> ResourceDescriptor:
        """Return how a statement names the file: by its name and its digest."""
        digest = {"sha256": sha256_hex(self.data)}
        return ResourceDescriptor.model_validate(
            {"name": self.name, "digest": digest, "mediaType": media_type}
        )

    def invalid(self, problem: str, *, field: str = "", where: str = "") -> DocumentInvalidError:
        """Return the error for a problem of the report.

        Args:
            problem: What is wrong, and what to do.
            field: The path of the field that is wrong, where there is one.
            where: Where it stands, such as ``name:line:column``; the file's name where that is not known.
        """
        path = f"{field} " if field else ""
        return DocumentInvalidError(f"{where or self.name}: {path}{problem}", metadata={"field": field})


def read_part(model: type[Part], value: Any, *, where: str) -> Part:
    """Check a part of a report against its schema.

    Args:
        model: The schema.
        value: The part, as parsed.
        where: Where it stands.

    Raises:
        DocumentInvalidError: It breaks the schema; ``metadata["field"]`` is the path of the field.
    """
    try:
        return model.model_validate(value, by_alias=True, by_name=False)
    except ValidationError as error:
        raise DocumentInvalidError(
            describe(error, what=where), metadata={"field": field_of(error)}
        ) from error
    except CarnetError as error:
        raise DocumentInvalidError(f"{where}: {error.message}", metadata=error.metadata) from error


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without a zone is taken for UTC.

    Raises:
        OverflowError: It lies outside of what a date can be.
    """
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def ended_at(stated: datetime | None) -> datetime:
    """Return when something ended: as its report states it, but not in the future; now where it does not.

    Where a report's clock or zone is off, what it tells of looks older than it is, or as if it had just
    ended, and never as if it were still to come.
    """
    now = datetime.now(UTC)
    return now if stated is None else min(now, stated)


def _json_object(data: bytes, name: str, *, first_line: int, max_bytes: int) -> dict[str, Any]:
    text = data.removeprefix(_BYTE_ORDER_MARK)
    where = name if first_line == 1 else f"{name}:{first_line}"
    try:
        return parse_json_object(text, what=where, max_bytes=max_bytes, error=DocumentInvalidError)
    except DocumentInvalidError as error:
        cause = error.__cause__
        if isinstance(cause, json.JSONDecodeError):
            line = first_line + cause.lineno - 1
            raise DocumentInvalidError(
                f"{name}:{line}:{cause.colno}: not JSON: {cause.msg}", metadata=error.metadata
            ) from error
        if cause is not None and (field := _field_not_finite(text)):
            raise not_finite(where, field) from error
        raise


def not_finite(where: str, field: str) -> DocumentInvalidError:
    """Return the error for a figure that is NaN or infinite, which JSON does not have."""
    return DocumentInvalidError(
        f"{where}: {field} should be a finite number: leave a figure out that could not be told",
        metadata={"field": field},
    )


def _field_not_finite(text: bytes) -> str:
    try:
        return field_not_finite(json.loads(text))
    except (ValueError, RecursionError):
        return ""


def field_not_finite(value: Any) -> str:
    """Return the path of the first number in a value that is NaN or infinite; empty where there is none."""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        path, each = pending.pop()
        if isinstance(each, Mapping):
            inner = [(f"{path}.{key}" if path else str(key), part) for key, part in each.items()]
            pending += reversed(inner)
        elif isinstance(each, list | tuple):
            pending += reversed([(f"{path}[{index}]", part) for index, part in enumerate(each)])
        elif isinstance(each, float) and not math.isfinite(each):
            return path
    return ""
