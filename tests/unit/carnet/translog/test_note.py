from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import ProofInvalidError
from carnet.translog.keys import LogVerifier
from carnet.translog.note import Note, NoteSignature, decode_base64, is_key_name, parse_note

# The example of the C2SP signed-note specification.
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
LINE = "— example.com/foo Uw2QOkn8srU=\n"


def test_the_specifications_note_is_split_and_its_signature_verifies() -> None:
    verifier = LogVerifier.parse(SPEC_KEY)
    note = parse_note(SPEC_NOTE)
    assert note.body == "This is an example message.\n"
    assert [(line.name, line.key_id) for line in note.signatures] == [("example.com/foo", verifier.key_id)]
    verifier.verify(note.body.encode(), note.signatures[0].signature)
    assert str(note) == SPEC_NOTE


def test_the_last_empty_line_ends_the_text() -> None:
    assert parse_note(f"one\n\ntwo\n\n{LINE}").body == "one\n\ntwo\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text\n",
        "text\n\n",
        f"text\n{LINE}",
        f"\n\n{LINE}",
        f"text\n\n{LINE}".rstrip("\n"),
        f"text\n\n{LINE}\n",
        f"text\n\n{LINE}junk\n",
        f"text\r\n\n{LINE}",
        f"te\x00xt\n\n{LINE}",
        f"te\ud800xt\n\n{LINE}",
        "text\n\n- example.com/foo Uw2QOkn8srU=\n",
        "text\n\n— example.com/foo  Uw2QOkn8srU=\n",
        "text\n\n— example.com+foo Uw2QOkn8srU=\n",
        "text\n\n— example.com/foo Uw2QOkn8srU\n",
        "text\n\n— example.com/foo Uw2QOkn8srV=\n",
        "text\n\n— example.com/foo Uw2QOg==\n",
        "text\n\n" + LINE * 65,
        "x" * 70_000 + f"\n\n{LINE}",
    ],
)
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(ProofInvalidError):
        parse_note(text)


@given(st.text())
def test_any_text_is_a_note_or_a_typed_error(text: str) -> None:
    for candidate in (text, text + "\n\n" + LINE, "text\n\n— " + text + "\n"):
        try:
            note = parse_note(candidate)
        except ProofInvalidError:
            continue
        assert str(note) == candidate


@given(st.binary(min_size=1, max_size=100))
def test_a_note_that_was_written_reads_back(signature: bytes) -> None:
    note = Note("body\n", (NoteSignature("log", b"abcd", signature), NoteSignature("other", b"efgh", b"x")))
    assert parse_note(str(note)) == note


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ==\n", " QQ==", "Q_-=", "é", "Q"])
def test_base64_has_one_form(text: str) -> None:
    assert decode_base64("QQ==", what="test") == b"A"
    with pytest.raises(ProofInvalidError):
        decode_base64(text, what="test")


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("example.com/log", True),
        ("é", True),
        ("", False),
        ("a b", False),
        ("a\u2003b", False),
        ("a+b", False),
        ("a\nb", False),
        ("\ud800", False),
    ],
)
def test_key_names_have_neither_spaces_nor_plus(name: str, good: bool) -> None:
    assert is_key_name(name) is good
