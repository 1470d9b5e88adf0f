"""Canonical JSON and digests.

Responsible for the one byte form of every document that is hashed or signed (RFC 8785, JCS) and for the one
form of a digest: SHA-256 as 64 lowercase hexadecimal digits. Does not know what the documents mean.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from carnet.errors import InvalidInputError

_INTEGER_LIMIT = 2**53 - 1
DIGEST_PATTERN = re.compile(r"[0-9a-f]{64}")


def canonical_json(value: Any) -> bytes:
    """Serialise a JSON value in its canonical form (RFC 8785).

    Args:
        value: Dicts, lists, strings, numbers, booleans and None. Integers must be within ±(2**53 - 1).

    Returns:
        The canonical UTF-8 bytes.

    Raises:
        InvalidInputError: The value has no canonical form (NaN, an infinite number, a lone surrogate, …).
    """
    import rfc8785  # noqa: PLC0415  the chain of a log is verified without it

    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise InvalidInputError(f"not representable as canonical JSON: {error}") from error


def _parse_integer(text: str) -> int | float:
    """Read an integer; beyond what canonical JSON takes as one, it is how a large float is written."""
    value = int(text)
    return value if -_INTEGER_LIMIT <= value <= _INTEGER_LIMIT else float(text)


def parse_canonical_json(data: bytes, *, what: str) -> Any:
    """Parse JSON and insist that the bytes are its canonical form.

    Args:
        data: The bytes as received.
        what: What the bytes should be, for the error message ("manifest", "log entry").

    Returns:
        The parsed value.

    Raises:
        InvalidInputError: The bytes are not JSON, have duplicate keys, or are not in canonical form.
    """
    try:
        value = json.loads(data, parse_int=_parse_integer)
        canonical = canonical_json(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"{what} is {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} is not JSON: {error}") from error
    if canonical != data:
        raise InvalidInputError(f"{what} is not in canonical form (RFC 8785)")
    return value


def sha256_hex(data: bytes | memoryview) -> str:
    """Return the SHA-256 of the bytes as 64 lowercase hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_digest(value: str, *, field: str) -> str:
    """Return the value if it is a digest in Carnet's form.

    Raises:
        InvalidInputError: It is not 64 lowercase hexadecimal digits.
    """
    if not DIGEST_PATTERN.fullmatch(value):
        raise InvalidInputError(
            f"{field}: {value[:80]!r} is not a SHA-256 digest of 64 lowercase hexadecimal digits",
            metadata={"field": field},
        )
    return value
