"""Reading JSON that somebody else wrote and signed.

Responsible for refusing what two readers could understand differently: duplicate keys, text that is not
UTF-8, NaN, lone surrogates, and nesting deeper than any document of ours. The form need not be canonical;
whitespace is free. Does not know what the documents mean.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from carnet.errors import CarnetError, SignatureInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 64
MAX_SAFE_INTEGER = 2**53 - 1


def parse_json_object(
    data: bytes, *, what: str, max_bytes: int, error: type[CarnetError] = SignatureInvalidError
) -> dict[str, Any]:
    """Parse a JSON object strictly (RFC 8259, with the unique names of RFC 7493).

    Args:
        data: The bytes as received.
        what: What they should be, for the message.
        max_bytes: The size that is taken at most.
        error: The class to raise.

    Returns:
        The object.

    Raises:
        CarnetError: Of the class ``error``: the bytes are too many, or not one such object.
    """
    if len(data) > max_bytes:
        raise error(f"{what} has {len(data)} bytes; at most {max_bytes} are taken")
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
        # Only an escape can bring a lone surrogate, and only brackets nest.
        if "\\u" in text or text.count("{") + text.count("[") > MAX_DEPTH:
            _check_values(value)
    except (ValueError, RecursionError) as problem:
        raise error(f"{what} is not well-formed JSON: {problem}") from problem
    if not isinstance(value, dict):
        raise error(f"{what} is not a JSON object")
    return value


def require_keys(
    value: Mapping[str, Any], *, required: set[str], what: str, optional: set[str] | None = None
) -> None:
    """Insist on exactly these keys.

    Raises:
        SignatureInvalidError: A required key is missing, or there is an unknown one.
    """
    missing = sorted(required - value.keys())
    unknown = sorted(value.keys() - required - (optional or set()))
    if missing or unknown:
        raise SignatureInvalidError(
            f"{what}: "
            + "; ".join(
                f"{word} {', '.join(map(repr, keys))}"
                for word, keys in (("missing", missing), ("unknown", unknown))
                if keys
            )
        )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} twice")
    return value


def _number(text: str) -> int | float:
    """Read an integer as what RFC 8785 takes it for: beyond 2**53 - 1, the nearest double."""
    if len(text) > 17 or abs(int(text)) > MAX_SAFE_INTEGER:
        return _finite(text)
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number out of range")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_values(value: Any) -> None:
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        if isinstance(item, dict):
            pending.extend((child, depth + 1) for pair in item.items() for child in pair)
        elif isinstance(item, list):
            pending.extend((child, depth + 1) for child in item)
        elif isinstance(item, str):
            item.encode("utf-8")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_int=_number, parse_float=_finite
)
