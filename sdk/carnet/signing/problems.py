"""What a schema found wrong, in words.

Responsible for turning pydantic's errors into one sentence that names the field, the problem and the value.
Raises nothing itself, and knows no file, line or column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

_SHOWN = 60


def field_of(error: ValidationError) -> str:
    """Return the first field that is wrong, such as ``files[2].path``; empty for the whole."""
    return _path(error.errors(include_url=False, include_context=False)[0]["loc"])


def describe(error: ValidationError, *, what: str) -> str:
    """Return a sentence about everything that is wrong.

    Args:
        error: What the schema said.
        what: What was checked ("manifest").
    """
    found = error.errors(include_url=False)
    return f"{what}: " + "; ".join(_sentence(each) for each in found)


def _sentence(found: Any) -> str:
    path = _path(found["loc"])
    if found["type"] == "missing":
        return f"{path} is missing"
    if found["type"] == "extra_forbidden":
        return f"{path} is not a known field"
    message = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not path:
        return str(message)
    if isinstance(found["input"], dict | list | tuple):
        return f"{path} {message}"
    shown = ascii(found["input"])
    return f"{path} {message} (it is {shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''})"


def _path(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
