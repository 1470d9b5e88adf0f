"""The types of fields that statements and manifests share.

Responsible for what a name, a digest, a version number, a moment or a line of text is inside a pydantic
model, with an error that says so in words. Every model is frozen, strict (no value is converted into
another) and refuses fields that it does not know, unless it says otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from carnet.canonical import DIGEST_PATTERN
from carnet.errors import InvalidInputError
from carnet.references import NAME_MAX_LENGTH, NAME_PATTERN, VERSION_MAX
from carnet.signing.times import format_time, parse_foreign_time, parse_time

T = TypeVar("T")
# Control characters, and surrogates, which no UTF-8 text has.
_UNPRINTED = frozenset({"Cc", "Cs"})


class FrozenModel(BaseModel):
    """A value: frozen, strict, and without fields that are not declared."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )


def problem(message: str, /, **values: Any) -> PydanticCustomError:
    """Return an error to raise in a validator; ``{name}`` in the message stands for a value."""
    return PydanticCustomError("carnet", message, values)


def matching(pattern: str, message: str) -> AfterValidator:
    """Return a validator that takes text of a pattern only, and else says so in words."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise problem(message)
        return value

    return AfterValidator(check)


def _name(value: str) -> str:
    if len(value) > NAME_MAX_LENGTH or not NAME_PATTERN.fullmatch(value):
        raise problem(
            "should be a name: lowercase letters, digits, and single '-' or '_' between them, starting with "
            "a letter, {length} characters at most",
            length=NAME_MAX_LENGTH,
        )
    return value


def _digest(value: str) -> str:
    if not DIGEST_PATTERN.fullmatch(value):
        raise problem("should be a SHA-256 digest of 64 lowercase hexadecimal digits")
    return value


def _has_unprinted(value: str, but: str = "") -> bool:
    if value.isprintable():
        return False
    return any(unicodedata.category(each) in _UNPRINTED and each not in but for each in value)


def _line(value: str) -> str:
    if not value.strip() or _has_unprinted(value):
        raise problem("should be one line of text, and not an empty one")
    return value


def _optional_line(value: str) -> str:
    return _line(value) if value else value


def _text(value: str) -> str:
    if _has_unprinted(value, but="\n\t"):
        raise problem("should be text without control characters")
    return value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise problem("should have a time zone (UTC)")
    return value.astimezone(UTC)


def _optional_digest(value: str) -> str:
    return _digest(value) if value else value


def _from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_time(value)
    except InvalidInputError as error:
        raise problem("should be a time like 2026-03-01T12:30:00Z (RFC 3339, in UTC)") from error


def _from_foreign_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_foreign_time(value)
    except InvalidInputError as error:
        raise problem("should be a time like 2026-03-01T12:30:00Z (RFC 3339)") from error


def _ascending(value: tuple[str, ...]) -> tuple[str, ...]:
    if any(first >= second for first, second in pairwise(value)):
        raise problem("should be in ascending order, each digest once")
    return value


def _optional_name(value: str) -> str:
    return _name(value) if value else value


def _reason(value: str) -> str:
    if not value.strip():
        raise problem("should say why, and not be empty")
    return _text(value)


Name = Annotated[str, AfterValidator(_name)]
OptionalName = Annotated[str, AfterValidator(_optional_name)]
Digest = Annotated[str, AfterValidator(_digest)]
OptionalDigest = Annotated[str, AfterValidator(_optional_digest)]
VersionNumber = Annotated[int, Field(ge=1, le=VERSION_MAX)]
Line = Annotated[str, Field(max_length=1024), AfterValidator(_line)]
OptionalLine = Annotated[str, Field(max_length=1024), AfterValidator(_optional_line)]
Text = Annotated[str, Field(max_length=65536), AfterValidator(_text)]
Reason = Annotated[str, Field(max_length=2000), AfterValidator(_reason)]
Hex32 = Annotated[str, matching(r"[0-9a-f]{32}", "should be 32 lowercase hexadecimal digits")]
Time = Annotated[
    datetime,
    BeforeValidator(_from_text),
    AfterValidator(_utc),
    PlainSerializer(format_time, return_type=str, when_used="json"),
]
# A moment that other tools write too: with any offset, and up to nanoseconds.
ForeignTime = Annotated[
    datetime,
    BeforeValidator(_from_foreign_text),
    AfterValidator(_utc),
    PlainSerializer(format_time, return_type=str, when_used="json"),
]
# A JSON array is a list; in a value that never changes it is a tuple.
Many = Annotated[tuple[T, ...], Field(strict=False)]
Digests = Annotated[Many[Digest], AfterValidator(_ascending)]
