"""Finding the entries that say that documents were erased, in the bytes of a bundle."""

from __future__ import annotations

from datetime import UTC, datetime

from carnet.translog.entry import Actor, Entry, EntryType, parse_entry
from carnet.translog.erasure import erased_document, find_erased
from carnet.translog.tiles import encode_bundle

DIGEST = "ab" * 32


def entry(kind: EntryType = EntryType.DOCUMENT_ERASED, **subject: str) -> bytes:
    actor = Actor("spiffe://carnet.test/person/dpo", "", "mtls")
    return Entry("1", kind, "dev", datetime(2026, 1, 1, tzinfo=UTC), actor, subject, new="wrong").to_bytes()


def found(*entries: bytes) -> list[tuple[int, str]]:
    return list(find_erased(encode_bundle(entries), entries))


def test_each_entry_that_says_so_is_found_at_its_place() -> None:
    other = entry(EntryType.ALIAS_REMOVED, alias="champion")
    assert found(other, entry(document=DIGEST), other, entry(document="cd" * 32)) == [
        (1, DIGEST),
        (3, "cd" * 32),
    ]
    assert found(other) == []


def test_only_the_type_of_an_entry_counts() -> None:
    said = '"type":"document.erased"'
    assert found(entry(EntryType.ALIAS_REMOVED, document=DIGEST)) == []
    assert found(entry(EntryType.ALIAS_REMOVED, document=DIGEST, key=said)) == []


def test_what_is_no_entry_or_names_no_document_says_nothing() -> None:
    assert found(b'{"type":"document.erased"}', entry(), entry(document=DIGEST)[:-1] + b" }") == []


def test_the_document_of_any_other_entry_is_none() -> None:
    assert erased_document(parse_entry(entry(document=DIGEST))) == DIGEST
    assert erased_document(parse_entry(entry(EntryType.ALIAS_REMOVED, document=DIGEST))) is None
