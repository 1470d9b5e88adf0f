"""The JSON form of the client's values.

Responsible for one rule: a value's fields under their own names, references as people write them, moments in
RFC 3339, durations in seconds as ``90s``, bytes in base64, a receipt as what its entry says and where it
stands. Knows no command.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from carnet.references import Reference
from carnet.signing.times import format_time


def as_json(value: Any, *, leave_out: frozenset[str] = frozenset()) -> Any:
    """Return a value as what ``json.dumps`` takes.

    Args:
        value: A value of ``carnet.client.results``, or anything made of those.
        leave_out: Fields to leave out wherever they stand, such as ``envelope``.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | Reference | Path):
        return str(value)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.12g}s"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return _composite(value, leave_out)


def _composite(value: Any, leave_out: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {str(key): as_json(each, leave_out=leave_out) for key, each in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [as_json(each, leave_out=leave_out) for each in value]
    if hasattr(value, "to_json"):
        return as_json(value.to_json(), leave_out=leave_out)
    if hasattr(value, "to_predicate"):
        return value.to_predicate()
    if hasattr(value, "entry") and hasattr(value, "receipt"):
        return _receipt(value)
    if dataclasses.is_dataclass(value):
        return {
            field.name: as_json(getattr(value, field.name), leave_out=leave_out)
            for field in dataclasses.fields(value)
            if field.name not in leave_out
        }
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _receipt(value: Any) -> dict[str, Any]:
    return {
        "environment": value.environment,
        "log_index": value.receipt.index,
        "tree_size": value.receipt.tree_size,
        "finality": str(value.finality),
        "type": str(value.entry.type),
        "time": format_time(value.entry.time),
        "actor": value.entry.actor.subject,
    }
