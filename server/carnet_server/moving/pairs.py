"""What `carnet migrate` was given: pairs of URLs, and what each pair moves.

Responsible for refusing what cannot be meant before anything is opened. Errors name the option, with
passwords left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet.serving.engine import resolve_database_url, shown_url
from carnet.serving.moving.ends import errors_of
from carnet_server.blobs.objects.location import SCHEMES, parse_location
from carnet_server.blobs.opening import resolve_blobs_url

if TYPE_CHECKING:
    from collections.abc import Sequence

FROM = "--from"
TO = "--to"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+]*):")
_DATABASES = frozenset({"sqlite", "sqlite+pysqlite", "postgresql", "postgres", "postgresql+psycopg"})


class Kind(StrEnum):
    """What is moved."""

    DATABASE = "database"
    BLOBS = "blobs"


@dataclass(frozen=True)
class Place:
    """One end of a move.

    Attributes:
        kind: What is there.
        url: Its URL, resolved.
        shown: The URL for people, without a password.
        label: What it is called in errors: the option, and the URL.
    """

    kind: Kind
    url: str
    shown: str
    label: str


@dataclass(frozen=True)
class Pair:
    """One move.

    Attributes:
        source: From where.
        target: To where.
    """

    source: Place
    target: Place


def parse_pairs(sources: Sequence[str], targets: Sequence[str], folder: Path) -> list[Pair]:
    """Read what the command was given.

    Args:
        sources: What was given as ``--from``.
        targets: What was given as ``--to``.
        folder: What relative paths are relative to.

    Raises:
        InvalidInputError: They are no pairs, an end is no URL that can be moved, the ends of a pair have
            different kinds or are the same, or an end is in two pairs.
    """
    if not sources or len(sources) != len(targets):
        raise InvalidInputError(
            f"{FROM}, {TO}: {len(sources)} and {len(targets)} were given: they come in pairs",
            metadata={"field": FROM if len(sources) < len(targets) else TO},
        )
    pairs = [
        Pair(_parse(FROM, source, folder), _parse(TO, target, folder))
        for source, target in zip(sources, targets, strict=True)
    ]
    seen: set[str] = set()
    for pair in pairs:
        if pair.source.kind is not pair.target.kind:
            wanted, given = _thing(pair.target), _thing(pair.source)
            raise _refused(
                TO, f"{pair.target.label}: this takes {wanted}, and {pair.source.label} is {given}"
            )
        if _identity(pair.source) == _identity(pair.target):
            raise _refused(TO, f"{pair.target.label}: it is what is to be moved: name another place")
        for option, place in ((FROM, pair.source), (TO, pair.target)):
            identity = _identity(place)
            if identity in seen:
                raise _refused(option, f"{place.label}: it was given before: each place is in one move only")
            seen.add(identity)
    return pairs


def _parse(option: str, url: str, folder: Path) -> Place:
    match = _SCHEME.match(url)
    scheme = match[1] if match else ""
    if scheme in _DATABASES:
        with errors_of(option):
            resolved = resolve_database_url(url, folder)
        shown = shown_url(resolved)
        return Place(Kind.DATABASE, resolved, shown, f"{option} {shown}")
    if scheme in SCHEMES | {"file"}:
        with errors_of(option):
            resolved = resolve_blobs_url(url, folder)
        return Place(Kind.BLOBS, resolved, resolved, f"{option} {resolved}")
    raise _refused(
        option,
        f"{option}: {f'the scheme {scheme!r} is not supported' if scheme else 'a scheme is wanting'}: write "
        "sqlite:///PATH or postgresql://USER@HOST/NAME for a database, and file:PATH, s3://BUCKET, "
        "gs://BUCKET or az://CONTAINER for blobs",
    )


def _identity(place: Place) -> str:
    """Return what two URLs of one place have in common, as far as it can be told from them."""
    if place.kind is Kind.DATABASE:
        return place.shown
    if place.url.startswith("file:"):
        return str(Path(place.url.removeprefix("file:")).resolve())
    return parse_location(place.url).name


def _thing(place: Place) -> str:
    return "a database" if place.kind is Kind.DATABASE else "blobs"


def _refused(option: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, metadata={"field": option})
