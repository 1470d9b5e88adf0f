"""What can be searched in a manifest: its values, each under a name.

Responsible for the one rule that the index, its migration and the queries share. A term's name is a field of
``carnet.filtering.fields``, with the key behind it for a map: ``labels.region``, ``lineage.code.commit``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from carnet.canonical import sha256_hex
from carnet.filtering.fields import FIELDS, Kind, Shape, metric_key
from carnet.filtering.values import moment
from carnet.serving.columns import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HEAD_LENGTH = 64

_NAME_MAX_BYTES = 200
_NAME_KEPT = 32
_MICROSECOND = timedelta(microseconds=1)
# PostgreSQL has no text with this character, and no filter can ask for it.
_NUL = "\0"
_OF_MANIFEST = ("lineage.", "environment.", "feature_schema.")


@dataclass(frozen=True, slots=True)
class Term:
    """One value of a version; either a text or a number.

    Attributes:
        term: The name; a long one is cut, and has its SHA-256 behind it.
        ordinal: Which of several values of that name.
        key: For a map, the key.
        text: The text.
        head: Its first ``HEAD_LENGTH`` characters.
        number: The number; for a time, its microseconds since 1970.
    """

    term: str
    ordinal: int
    key: str = ""
    text: str | None = None
    head: str | None = None
    number: float | None = None


def term_name(field: str, key: str = "") -> str:
    """Return the name of a term: the field's, with the key of a map behind it."""
    name = f"{field}.{key}" if key else field
    if len(name.encode()) <= _NAME_MAX_BYTES:
        return name
    return f"{name[:_NAME_KEPT]}…{sha256_hex(name.encode())}"


def time_number(value: datetime) -> float:
    """Return a moment as terms have it: microseconds since 1970."""
    return float((value - EPOCH) // _MICROSECOND)


def terms_of(manifest: bytes) -> list[Term]:
    """Return all that can be searched in a manifest.

    Args:
        manifest: The bytes of a canonical manifest.
    """
    document = json.loads(manifest)
    counts: dict[str, int] = {}
    terms = []
    for field, key, value in _values(document):
        name = term_name(field, key)
        ordinal = counts.get(name, 0)
        term = _term(name, ordinal, key, value, FIELDS[field].kind)
        if term is not None:
            counts[name] = ordinal + 1
            terms.append(term)
    return terms


def _values(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for key, value in document.get("labels", {}).items():
        yield "labels", key, value
    for metric in document.get("metrics", ()):
        inner = ",".join(f"{key}={value}" for key, value in metric.get("slice", {}).items())
        yield (
            "metrics",
            metric_key(f"{metric['name']}{{{inner}}}" if inner else metric["name"]),
            metric["value"],
        )
    for key, value in _leaves(document.get("hyperparameters", {}), ""):
        yield "hyperparameters", key, value
    for name, field in FIELDS.items():
        if name.startswith(_OF_MANIFEST) and field.shape is not Shape.MAP:
            for value in _at(document, name.split(".")):
                yield name, "", value


def _leaves(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    pending = [(prefix, settings)]
    while pending:
        before, inner = pending.pop()
        for key, value in inner.items():
            if isinstance(value, dict):
                pending.append((f"{before}{key}.", value))
            elif _NUL not in before + key:
                yield f"{before}{key}", value


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """Yield what stands at a path; of lists, in each of their elements."""
    if isinstance(value, list):
        for each in value:
            yield from _at(each, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _term(name: str, ordinal: int, key: str, value: Any, kind: Kind) -> Term | None:
    """Return the term of a value; None for one that nothing is compared with, such as a list."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if kind is Kind.TIME:
        when = moment(str(value))
        return Term(name, ordinal, key, number=time_number(when)) if when else None
    if isinstance(value, int | float):
        return Term(name, ordinal, key, number=float(value))
    if isinstance(value, str) and value and _NUL not in value:
        return Term(name, ordinal, key, text=value, head=value[:HEAD_LENGTH])
    return None
