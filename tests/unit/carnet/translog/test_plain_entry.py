"""The quick reader of entries takes nothing that the careful one refuses, and reads the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.translog import entry as entries
from carnet.translog.entry import Actor, Entry, EntryType, parse_entry
from carnet.translog.plain_entry import match_plain_entry

ACTOR = Actor("spiffe://example.com/ci", "https://issuer.example.com", "mtls")


def plain(**changes: Any) -> bytes:
    values: dict[str, Any] = {
        "event_id": "0123456789abcdef",
        "type": EntryType.ALIAS_MOVED,
        "environment": "prod",
        "time": datetime(2026, 3, 1, 12, 30, tzinfo=UTC) + timedelta(microseconds=250),
        "actor": ACTOR,
        "subject": {"namespace": "risk", "model": "fraud", "version": 3, "alias": "champion"},
        "old": "2",
        "new": "3",
        "envelope_digest": "ab" * 32,
        "request_digest": "cd" * 32,
    }
    return Entry(**(values | changes)).to_bytes()


def carefully(data: bytes) -> Entry | str:
    try:
        return entries._parse_any(data)
    except InvalidInputError as error:
        return error.message


def read(data: bytes) -> Entry | str:
    try:
        return parse_entry(data)
    except InvalidInputError as error:
        return error.message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"old": None},
        {"new": None},
        {"old": None, "new": None},
        {"old": "", "new": ""},
        {"envelope_digest": None, "request_digest": None},
        {"subject": {}},
        {"subject": {"hold": 2**31 - 1, "key": "braces } and { and , \u00fcml\u00e4ut"}},
        {"time": datetime(2026, 3, 1, tzinfo=UTC)},
        {"actor": Actor("someone", "", "")},
    ],
)
def test_what_needs_no_escapes_is_read_quickly(changes: dict[str, Any]) -> None:
    data = plain(**changes)
    assert match_plain_entry(data) is not None
    assert parse_entry(data) == carefully(data)
    assert parse_entry(data).to_bytes() == data


@pytest.mark.parametrize("text", ['a "quote"', "a\\backslash", "a\nline", "\x00", "\x1f"])
def test_what_needs_escapes_is_read_carefully(text: str) -> None:
    data = plain(event_id=text, subject={"key": text})
    assert match_plain_entry(data) is None
    assert parse_entry(data).event_id == text


NEARLY = {
    "keys out of order": (b'"alias":"champion","model":"fraud"', b'"model":"fraud","alias":"champion"'),
    "a key twice": (b'"alias":"champion",', b'"alias":"champion","alias":"champion",'),
    "an unknown key": (b'"alias"', b'"aliases"'),
    "a name that is none": (b'"fraud"', b'"Fraud"'),
    "a number as text": (b'"version":3', b'"version":"3"'),
    "a text as number": (b'"alias":"champion"', b'"alias":3'),
    "a number too large": (b'"version":3', b'"version":2147483648'),
    "a leading zero": (b'"version":3', b'"version":03'),
    "a space": (b'"version":3', b'"version": 3'),
    "old before new": (b'"new":"3","old":"2"', b'"old":"2","new":"3"'),
    "an empty change": (b'{"new":"3","old":"2"}', b"{}"),
    "another type": (b"alias.moved", b"alias.mowed"),
    "a time that is none": (b"12:30:00", b"12:61:00"),
    "a time at 24": (b"12:30:00", b"24:00:00"),
    "needless microseconds": (b".000250Z", b".000000Z"),
    "short microseconds": (b".000250Z", b".00025Z"),
    "another zone": (b".000250Z", b".000250+00:00"),
    "another schema": (b'"schema_version":1', b'"schema_version":2'),
    "an empty subject of an actor": (b"spiffe://example.com/ci", b""),
    "a needless escape": (b"champion", b"ch\\u0061mpion"),
    "a raw control character": (b"champion", b"cham\x01pion"),
    "no UTF-8": (b"champion", b"cham\xffpion"),
    "digits of another script": (b"12:30", "1\u0662:30".encode()),
    "upper case in a digest": (b"abababab", b"ABababab"),
    "null": (b'"' + b"ab" * 32 + b'"', b"null"),
    "a newline at the end": (b'"alias.moved"}', b'"alias.moved"}\n'),
}


@pytest.mark.parametrize("what", NEARLY)
def test_what_is_nearly_an_entry_is_refused_in_the_careful_readers_words(what: str) -> None:
    old, new = NEARLY[what]
    data = plain()
    assert old in data
    changed = data.replace(old, new, 1)
    said = read(changed)
    assert isinstance(said, str)
    assert said == carefully(changed)


@given(st.data())
def test_both_readers_agree_on_any_mutation(data: st.DataObject) -> None:
    original = plain(
        event_id=data.draw(st.text(min_size=1, max_size=5).filter(lambda text: text.isprintable()))
    )
    at = data.draw(st.integers(0, len(original) - 1))
    junk = data.draw(st.binary(max_size=3))
    changed = original[:at] + junk + original[at + data.draw(st.integers(0, 3)) :]
    assert read(changed) == carefully(changed)
