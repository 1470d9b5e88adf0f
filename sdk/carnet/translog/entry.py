"""Log entries: what changed, when, by whom, and on which document it rests.

Responsible for the one byte form of an entry (canonical JSON) and for reading it strictly. An entry carries
identifiers and digests only: free text and people's names live in the documents that ``envelope_digest``
names, which can be erased without touching the log.

Invariants: every ``Entry`` that exists can be written, fits a tile (65,535 bytes), and reads back equal;
``parse_entry(data).to_bytes() == data`` for all that is accepted. Gives the entry no meaning beyond its form
(``carnet.audit.meaning``).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

from carnet.canonical import check_digest, parse_canonical_json
from carnet.errors import CarnetError, InvalidInputError
from carnet.references import check_name, check_version_number
from carnet.translog.plain_entry import match_plain_entry, read_pairs
from carnet.translog.tiles import ENTRY_MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from carnet.translog.plain_entry import PlainEntry

SCHEMA_VERSION: Final = 1
SUBJECT_KEYS: Final = frozenset(
    {
        "namespace",
        "model",
        "version",
        "bundle_digest",
        "alias",
        "promotion",
        "key",
        "policy",
        "rollout",
        "hold",
        "document",
    }
)
EVIDENCE_UNTRUSTED: Final = "untrusted"
"""What an entry of evidence says of one whose signer the environment does not trust for it."""
SERVING_RUNNING: Final = "running"
"""What an entry says of a bundle that serving hosts run: its new value from then on, its old one no more."""
TEXT_MAX_LENGTH: Final = 1024
_NAMES: Final = frozenset({"namespace", "model", "alias"})
# Long texts that many entries have, of which whoever keeps them for a whole log keeps one.
_REPEATED: Final = frozenset({"bundle_digest", "promotion"})
_NUMBERS: Final = frozenset({"version", "rollout", "hold"})
_DIGESTS: Final = frozenset({"bundle_digest", "document"})
_REQUIRED: Final = frozenset(
    {"schema_version", "event_id", "type", "environment", "time", "actor", "subject"}
)
_OPTIONAL: Final = frozenset({"change", "envelope_digest", "request_digest"})
_SUBJECT_FIELDS: Final = {key: f"subject.{key}" for key in SUBJECT_KEYS}
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False
)
_CHECKED_MAX: Final = 1 << 10


class EntryType(StrEnum):
    """What an entry tells."""

    ENVIRONMENT_INITIALIZED = "environment.initialized"
    POLICY_CHANGED = "policy.changed"
    TRUST_CHANGED = "trust.changed"
    VERSION_PUBLISHED = "version.published"
    EVIDENCE_ADDED = "evidence.added"
    ALIAS_MOVED = "alias.moved"
    ALIAS_REMOVED = "alias.removed"
    ALIAS_MARKED = "alias.marked"
    PROMOTION_REQUESTED = "promotion.requested"
    DOSSIER_ISSUED = "dossier.issued"
    APPROVAL_RECORDED = "approval.recorded"
    BREAK_GLASS_RECORDED = "break-glass.recorded"
    BREAK_GLASS_USED = "break-glass.used"
    BREAK_GLASS_REVIEWED = "break-glass.reviewed"
    DECISION_MADE = "decision.made"
    VERSION_ADMITTED = "version.admitted"
    VERSION_REVOKED = "version.revoked"
    VERSION_STAGE_CHANGED = "version.stage-changed"
    PROMOTION_CANCELLED = "promotion.cancelled"
    PROMOTION_RECORDED = "promotion.recorded"
    ACCESS_REFUSED = "access.refused"
    CERTIFICATE_ISSUED = "certificate.issued"
    SERVING_DRIFTED = "serving.drifted"
    SERVING_OBSERVED = "serving.observed"
    ROLLOUT_STARTED = "rollout.started"
    ROLLOUT_CHANGED = "rollout.changed"
    VERSION_PURGED = "version.purged"
    HOLD_PLACED = "hold.placed"
    HOLD_RELEASED = "hold.released"
    ANCHOR_RECORDED = "anchor.recorded"
    ALARM_RAISED = "alarm.raised"
    DOCUMENT_ERASED = "document.erased"


_KEEPS_SIGNATURES: Final = frozenset({EntryType.POLICY_CHANGED, EntryType.TRUST_CHANGED})
_TYPES: Final = {str(each): each for each in EntryType}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a subject, who vouches for it (empty for a private CA), and how it was authenticated."""

    subject: str
    issuer: str
    method: str

    def __post_init__(self) -> None:
        """Refuse what no actor can be."""
        _check_text(self.subject, field="actor.subject")
        _check_text(self.issuer, field="actor.issuer", empty=True)
        _check_text(self.method, field="actor.method", empty=True)

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read an actor from parsed JSON.

        Raises:
            InvalidInputError: It is not an object of exactly ``subject``, ``issuer`` and ``method``.
        """
        if not isinstance(value, dict) or set(value) != {"subject", "issuer", "method"}:
            raise InvalidInputError("log entry: actor: subject, issuer and method are wanted")
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an environment's log.

    Args:
        event_id: A unique id of the event.
        type: What the entry tells.
        environment: The environment whose log this is.
        time: The server's clock; aware, kept in UTC.
        actor: Who did it.
        subject: What it is about: some of ``namespace``, ``model``, ``version`` (an int), ``bundle_digest``,
            ``alias``, ``promotion``, ``key``, ``policy``, ``document`` (a digest), ``rollout`` and ``hold``
            (ints).
        old: What a pointer or state was before, or None where that means nothing.
        new: What it is now, or None.
        envelope_digest: The digest of the document that the entry rests on.
        request_digest: The digest of the request that caused it.

    Raises:
        InvalidInputError: A part is not of its form, or the whole is longer than 65,535 bytes.
    """

    event_id: str
    type: EntryType
    environment: str
    time: datetime
    actor: Actor
    subject: Mapping[str, str | int]
    old: str | None = None
    new: str | None = None
    envelope_digest: str | None = None
    request_digest: str | None = None
    _data: bytes = field(default=b"", init=False, repr=False, compare=False)
    """Its bytes, where it was made of its parts; of one that was read, they are made when they are wanted."""

    def __post_init__(self) -> None:
        """Refuse what cannot be written, and take a copy of the subject."""
        self._check()
        data = self._written()
        if len(data) > ENTRY_MAX_BYTES:
            raise InvalidInputError(f"log entry: {len(data)} bytes; at most {ENTRY_MAX_BYTES} fit")
        object.__setattr__(self, "_data", data)

    def _check(self) -> None:
        _check_text(self.event_id, field="event_id")
        object.__setattr__(self, "environment", _name(self.environment, "environment"))
        if self.time.utcoffset() is None:
            raise InvalidInputError("log entry: time: a time zone is wanted", metadata={"field": "time"})
        object.__setattr__(self, "time", self.time.astimezone(UTC))
        object.__setattr__(self, "subject", _check_subject(dict(self.subject)))
        if self.old is not None:
            _check_text(self.old, field="change.old", empty=True)
        if self.new is not None:
            _check_text(self.new, field="change.new", empty=True)
        if self.envelope_digest is not None:
            object.__setattr__(self, "envelope_digest", _digest(self.envelope_digest, "envelope_digest"))
        if self.request_digest is not None:
            _digest(self.request_digest, "request_digest")

    @property
    def documents(self) -> tuple[str, ...]:
        """The digests of the documents kept with it: what it rests on, and who signed a changed document."""
        named = () if self.envelope_digest is None else (self.envelope_digest,)
        if self.request_digest is None or self.type not in _KEEPS_SIGNATURES:
            return named
        return (*named, self.request_digest)

    def to_bytes(self) -> bytes:
        """Return the entry's bytes: canonical JSON, absent parts left out."""
        return self._data or self._written()

    def _written(self) -> bytes:
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "event_id": self.event_id,
            "type": str(self.type),
            "environment": self.environment,
            "time": format_time(self.time),
            "actor": {
                "subject": self.actor.subject,
                "issuer": self.actor.issuer,
                "method": self.actor.method,
            },
            "subject": dict(self.subject),
        }
        change = {key: value for key, value in (("old", self.old), ("new", self.new)) if value is not None}
        optional = {
            "change": change or None,
            "envelope_digest": self.envelope_digest,
            "request_digest": self.request_digest,
        }
        document.update({key: value for key, value in optional.items() if value is not None})
        return _encode(document)


_NEW: Final = object.__new__
(
    _PUT_EVENT_ID,
    _PUT_TYPE,
    _PUT_ENVIRONMENT,
    _PUT_TIME,
    _PUT_ACTOR,
    _PUT_SUBJECT,
    _PUT_OLD,
    _PUT_NEW,
    _PUT_ENVELOPE,
    _PUT_REQUEST,
    _PUT_DATA,
) = (getattr(Entry, each.name).__set__ for each in fields(Entry))


def parse_entry(data: bytes) -> Entry:
    """Read an entry strictly.

    Args:
        data: The entry's bytes as the log has them.

    Returns:
        The entry; ``to_bytes()`` gives the same bytes.

    Raises:
        InvalidInputError: The bytes are not exactly what ``Entry.to_bytes`` writes.
    """
    if len(data) > ENTRY_MAX_BYTES:
        raise InvalidInputError(f"log entry: {len(data)} bytes; at most {ENTRY_MAX_BYTES} fit")
    plain = match_plain_entry(data)
    return (_from_plain(plain) if plain else None) or _parse_any(data)


def _from_plain(plain: PlainEntry) -> Entry | None:
    """Make an entry of what the pattern found; None where a part needs the careful reader."""
    issuer, method, actor, new, old, envelope, environment, event_id, request, pairs, time, kind = plain
    type_ = _TYPES.get(kind)
    try:
        subject = _known_subject(pairs)
        if type_ is None or subject is None:
            return None
        return _made(
            event_id,
            type_,
            _known_name(environment, "environment"),
            datetime.fromisoformat(time),
            _actor(actor, issuer, method),
            subject.copy(),
            old,
            new,
            envelope and _known_digest(envelope, "envelope_digest"),
            request,
        )
    except (ValueError, CarnetError):
        return None


def _made(  # noqa: PLR0917  the parts of an entry, in their order
    event_id: str,
    type_: EntryType,
    environment: str,
    time: datetime,
    actor: Actor,
    subject: Mapping[str, str | int],
    old: str | None,
    new: str | None,
    envelope_digest: str | None,
    request_digest: str | None,
) -> Entry:
    """Make an entry of parts that are checked: it is not written again to be measured.

    Millions are made so. One by one the slots are filled in half the time that a loop over them takes.
    """
    entry = _NEW(Entry)
    _PUT_EVENT_ID(entry, event_id)
    _PUT_TYPE(entry, type_)
    _PUT_ENVIRONMENT(entry, environment)
    _PUT_TIME(entry, time)
    _PUT_ACTOR(entry, actor)
    _PUT_SUBJECT(entry, subject)
    _PUT_OLD(entry, old)
    _PUT_NEW(entry, new)
    _PUT_ENVELOPE(entry, envelope_digest)
    _PUT_REQUEST(entry, request_digest)
    _PUT_DATA(entry, b"")
    return entry


def _parse_any(data: bytes) -> Entry:
    """Read any entry, and say what is wrong with what is none."""
    document = _parse_document(data)
    if not isinstance(document, dict):
        raise InvalidInputError("log entry: a JSON object is wanted")
    _check_keys(document)
    try:
        return _from_document(document)
    except InvalidInputError:
        raise
    except CarnetError as error:
        raise InvalidInputError(f"log entry: {error.message}", metadata=error.metadata) from error


def _parse_document(data: bytes) -> Any:
    try:
        return parse_canonical_json(data, what="log entry")
    except RecursionError as error:
        raise InvalidInputError("log entry: it is nested too deeply") from error


def _encode(document: Any) -> bytes:
    """Write JSON of texts and small integers under keys in ASCII in its canonical form (RFC 8785)."""
    try:
        return _ENCODER.encode(document).encode()
    except UnicodeError as error:
        raise InvalidInputError(f"not representable as canonical JSON: {error}") from error


def format_time(time: datetime) -> str:
    """Return an aware time in RFC 3339, UTC, ending in ``Z``; microseconds only where there are any."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _from_document(document: dict[str, Any]) -> Entry:
    """Make an entry of what was read out of its one byte form: that is not written again to be measured."""
    change = document.get("change")
    if change is None:
        if "change" in document:
            raise InvalidInputError("log entry: change: old, new or both are wanted")
    elif not isinstance(change, dict) or not change or not set(change) <= {"old", "new"}:
        raise InvalidInputError("log entry: change: old, new or both are wanted")
    if not isinstance(document["subject"], dict):
        raise InvalidInputError("log entry: subject: a JSON object is wanted")
    optional = {key: document[key] for key in ("envelope_digest", "request_digest") if key in document}
    if None in optional.values() or (change and None in change.values()):
        raise InvalidInputError("log entry: it is not in the one form that an entry has")
    entry = _made(
        document["event_id"],
        _parse_type(document["type"]),
        document["environment"],
        _parse_time(document["time"]),
        Actor.parse(document["actor"]),
        document["subject"],
        change.get("old") if change else None,
        change.get("new") if change else None,
        optional.get("envelope_digest"),
        optional.get("request_digest"),
    )
    entry._check()  # noqa: SLF001  what the constructor does
    return entry


# Names, digests and actors come again and again, and near each other: each is checked once, and kept once.
@lru_cache(_CHECKED_MAX)
def _actor(subject: str, issuer: str, method: str) -> Actor:
    return Actor(subject, issuer, method)


@lru_cache(_CHECKED_MAX)
def _known_subject(pairs: str) -> dict[str, str | int] | None:
    subject = read_pairs(pairs)
    if subject is None:
        return None
    for key in _REPEATED & subject.keys():
        value = subject[key]
        if isinstance(value, str):  # a number is refused below
            subject[key] = sys.intern(value)
    return _check_subject(subject)


@lru_cache(_CHECKED_MAX)
def _known_name(value: str, field: str) -> str:
    return check_name(_check_text(value, field=field), field=field)


@lru_cache(_CHECKED_MAX)
def _known_digest(value: str, field: str) -> str:
    return check_digest(value, field=field)


def _name(value: Any, field: str) -> str:
    return _known_name(value, field) if type(value) is str else _check_text(value, field=field)


def _digest(value: Any, field: str) -> str:
    return _known_digest(value, field) if type(value) is str else _check_text(value, field=field)


def _check_keys(document: dict[str, Any]) -> None:
    missing = sorted(_REQUIRED - set(document))
    unknown = sorted(set(document) - _REQUIRED - _OPTIONAL)
    if missing or unknown:
        raise InvalidInputError(
            f"log entry: missing fields {missing}, unknown fields {[k[:40] for k in unknown]}"
        )
    if document["schema_version"] is not SCHEMA_VERSION:
        raise InvalidInputError(
            f"log entry: schema version {document['schema_version']!r}: {SCHEMA_VERSION} is known"
        )


def _parse_type(value: Any) -> EntryType:
    found = _TYPES.get(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInputError(f"log entry: type: {str(value)[:80]!r} is not known")
    return found


def _parse_time(value: Any) -> datetime:
    text = _check_text(value, field="time")
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(f"log entry: time: {text[:80]!r} is not a time (RFC 3339)") from error
    if not text.endswith("Z"):
        raise InvalidInputError(f"log entry: time: {text[:80]!r} is not in UTC, ending in 'Z'")
    if format_time(time) != text:
        raise InvalidInputError("log entry: it is not in the one form that an entry has")
    return time


def _check_subject(subject: dict[str, str | int]) -> dict[str, str | int]:
    for key, value in subject.items():
        if key not in SUBJECT_KEYS:
            raise InvalidInputError(
                f"log entry: subject: {str(key)[:40]!r} is not one of {sorted(SUBJECT_KEYS)}"
            )
        field = _SUBJECT_FIELDS[key]
        if key in _NUMBERS:
            if type(value) is not int:
                raise InvalidInputError(f"log entry: {field}: a number is wanted", metadata={"field": field})
            check_version_number(value, field=field)
        elif key in _NAMES:
            subject[key] = _name(value, field)
        elif key in _DIGESTS:
            subject[key] = _digest(value, field)
        else:
            _check_text(value, field=field)
    return subject


def _check_text(value: Any, *, field: str, empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX_LENGTH or not (value or empty):
        raise InvalidInputError(
            f"log entry: {field}: a text of at most {TEXT_MAX_LENGTH} characters is wanted",
            metadata={"field": field},
        )
    return value
