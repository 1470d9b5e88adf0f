"""Notes: salted documents, whose digests give nothing away."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet_server.models.notes import NOTE_MAX_LENGTH, make_note, read_accepted_untested, read_note


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_a_note_reads_back_and_never_has_the_same_digest_twice(text):
    first, second = make_note(text), make_note(text)
    assert read_note(first.data) == read_note(second.data) == text
    assert first.digest != second.digest


def test_nothing_said_is_no_note_and_a_reason_alone_is_one():
    assert make_note("") is None
    document = json.loads(make_note("", reason_code="bad-metrics").data)
    assert (document["note"], document["reason_code"], len(document["salt"])) == ("", "bad-metrics", 32)


def test_a_note_that_was_erased_reads_as_nothing():
    assert read_note(None) == ""
    assert not read_accepted_untested(None)


def test_what_was_accepted_is_in_the_document_and_nothing_else_claims_it():
    accepted = make_note("on fire", accepted_untested=True)
    assert (read_note(accepted.data), read_accepted_untested(accepted.data)) == ("on fire", True)
    assert not read_accepted_untested(make_note("accepted_untested", reason_code="bad").data)


@pytest.mark.parametrize("text", ["x" * (NOTE_MAX_LENGTH + 1), "\ud800"])
def test_notes_that_cannot_be_kept_are_refused(text):
    with pytest.raises(InvalidInputError):
        make_note(text)
