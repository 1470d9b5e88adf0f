from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import canonical_json
from carnet.errors import CarnetError, InvalidInputError
from carnet.translog.entry import Actor, Entry, EntryType, parse_entry

DIGEST = "ab" * 32
ACTOR = Actor("spiffe://example.com/ci", "", "mtls")
TIME = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def make_entry(**changes: Any) -> Entry:
    values: dict[str, Any] = {
        "event_id": "0123456789abcdef0123456789abcdef",
        "type": EntryType.ALIAS_MOVED,
        "environment": "prod",
        "time": TIME,
        "actor": ACTOR,
        "subject": {"namespace": "risk", "model": "fraud", "version": 3, "alias": "champion"},
        "old": "2",
        "new": "3",
        "envelope_digest": DIGEST,
        "request_digest": DIGEST,
    }
    return Entry(**(values | changes))


def document(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(make_entry().to_bytes())
    return value | changes


def test_an_entry_has_one_byte_form() -> None:
    assert make_entry().to_bytes() == (
        b'{"actor":{"issuer":"","method":"mtls","subject":"spiffe://example.com/ci"},'
        b'"change":{"new":"3","old":"2"},'
        b'"envelope_digest":"' + b"ab" * 32 + b'",'
        b'"environment":"prod",'
        b'"event_id":"0123456789abcdef0123456789abcdef",'
        b'"request_digest":"' + b"ab" * 32 + b'",'
        b'"schema_version":1,'
        b'"subject":{"alias":"champion","model":"fraud","namespace":"risk","version":3},'
        b'"time":"2026-03-01T12:30:00Z",'
        b'"type":"alias.moved"}'
    )


def test_absent_parts_are_left_out() -> None:
    entry = make_entry(old=None, new=None, envelope_digest=None, request_digest=None, subject={})
    assert not {"change", "envelope_digest", "request_digest"} & set(json.loads(entry.to_bytes()))
    assert parse_entry(entry.to_bytes()) == entry
    decided = make_entry(old=None, new="PASSED")
    assert json.loads(decided.to_bytes())["change"] == {"new": "PASSED"}
    assert parse_entry(decided.to_bytes()) == decided


def test_an_empty_old_value_is_kept_apart_from_none() -> None:
    entry = make_entry(old="")
    assert parse_entry(entry.to_bytes()).old == ""


@given(
    st.sampled_from(list(EntryType)),
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)),
    st.text(min_size=1, max_size=40).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)),
    st.integers(1, 2**31 - 1),
    st.one_of(st.none(), st.sampled_from(["", "1"])),
)
def test_every_entry_reads_back(
    kind: EntryType, time: datetime, text: str, version: int, old: str | None
) -> None:
    entry = make_entry(
        type=kind,
        time=time,
        event_id=text,
        actor=Actor(text, text, text),
        subject={"version": version, "promotion": text, "key": text, "policy": text},
        old=old,
    )
    assert parse_entry(entry.to_bytes()) == entry


def test_times_are_kept_in_utc() -> None:
    entry = make_entry(time=TIME.astimezone(timezone(timedelta(hours=2))))
    assert entry.time.tzinfo is UTC
    assert entry == make_entry()
    assert (
        b'"time":"2026-03-01T12:30:00.000001Z"'
        in make_entry(time=TIME + timedelta(microseconds=1)).to_bytes()
    )


def test_the_subject_is_a_copy() -> None:
    subject: dict[str, str | int] = {"model": "fraud"}
    entry = make_entry(subject=subject)
    subject["model"] = "other"
    assert entry.subject == {"model": "fraud"}


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": ""},
        {"event_id": "x" * 1025},
        {"event_id": 5},
        {"environment": "Prod"},
        {"time": datetime(2026, 1, 1)},
        {"subject": {"colour": "red"}},
        {"subject": {"version": "3"}},
        {"subject": {"version": True}},
        {"subject": {"version": 0}},
        {"subject": {"version": 2**31}},
        {"subject": {"namespace": "../etc"}},
        {"subject": {"namespace": 1}},
        {"subject": {"bundle_digest": "AB" * 32}},
        {"subject": {"bundle_digest": "ab"}},
        {"subject": {"promotion": ""}},
        {"envelope_digest": "sha256:" + DIGEST},
        {"request_digest": ""},
        {"old": "x" * 1025},
        {"new": 3},
        {"event_id": "\ud800"},
    ],
)
def test_what_is_no_entry_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(CarnetError):
        make_entry(**changes)


def test_an_actor_has_a_subject() -> None:
    with pytest.raises(InvalidInputError):
        Actor("", "issuer", "mtls")


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": 2},
        {"schema_version": True},
        {"schema_version": "1"},
        {"type": "alias.eaten"},
        {"type": ["alias.moved"]},
        {"environment": 5},
        {"time": "2026-03-01T12:30:00+00:00"},
        {"time": "2026-03-01T12:30:00"},
        {"time": "2026-03-01T12:30:00.000000Z"},
        {"time": "2026-03-01 12:30:00Z"},
        {"time": "yesterdayZ"},
        {"time": 0},
        {"actor": {"subject": "a"}},
        {"actor": {"subject": "a", "issuer": "", "method": "", "name": "A"}},
        {"actor": {"subject": 1, "issuer": "", "method": ""}},
        {"actor": "a"},
        {"subject": []},
        {"subject": {"version": 1.5}},
        {"subject": {"model": {"deep": 1}}},
        {"subject": {"promotion": 5}},
        {"subject": {"key": 5}},
        {"change": {}},
        {"change": {"new": "1", "by": "me"}},
        {"change": {"new": None}},
        {"change": "1"},
        {"envelope_digest": None},
        {"note": "free text"},
    ],
)
def test_documents_of_another_form_are_refused(changes: dict[str, Any]) -> None:
    assert parse_entry(canonical_json(document())) == make_entry()
    with pytest.raises(InvalidInputError):
        parse_entry(canonical_json(document(**changes)))


@pytest.mark.parametrize(
    "field", ["schema_version", "event_id", "type", "environment", "time", "actor", "subject"]
)
def test_every_required_field_is_required(field: str) -> None:
    value = document()
    del value[field]
    with pytest.raises(InvalidInputError, match=field):
        parse_entry(canonical_json(value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        make_entry().to_bytes() + b"\n",
        b" " + make_entry().to_bytes(),
        make_entry().to_bytes().replace(b'"new":"3","old":"2"', b'"old":"2","new":"3"'),
        make_entry().to_bytes().replace(b'"new":"3"', b'"new":"3","new":"3"'),
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b"[" * 900 + b"]" * 900,
        b"[" * 30_000 + b"]" * 30_000,
        b"0" * 70_000,
    ],
)
def test_garbage_is_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_entry(data)


@given(st.data())
def test_a_mutated_entry_is_refused_or_is_another_whole_entry(data: st.DataObject) -> None:
    original = make_entry().to_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    flipped = bytes([original[position] ^ (1 << data.draw(st.integers(0, 7)))])
    changed = (
        original[:position] + data.draw(st.sampled_from([b"", flipped, b"{"])) + original[position + 1 :]
    )
    try:
        entry = parse_entry(changed)
    except InvalidInputError:
        return
    assert entry.to_bytes() == changed
