from __future__ import annotations

import pytest

from carnet.errors import CarnetError, FileUnreadableError, InvalidInputError
from carnet.signing.passphrase import (
    PASSPHRASE_FILE_VARIABLE,
    Passphrase,
    check_new_passphrase,
    passphrase_file_is_named,
    read_passphrase_file,
)


@pytest.fixture
def file(tmp_path, monkeypatch):
    file = tmp_path / "passphrase"
    monkeypatch.setenv(PASSPHRASE_FILE_VARIABLE, str(file))
    return file


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one two three", "one two three"),
        (b"one two three\n", "one two three"),
        (b"one two three\r\n", "one two three"),
        (b" spaces stay \n", " spaces stay "),
        ("Zürich".encode(), "Zürich"),
        (b"x" * 1023 + b"\n", "x" * 1023),
    ],
)
def test_a_line_of_a_file_is_a_passphrase_that_nobody_typed(file, data, text):
    file.write_bytes(data)
    found = read_passphrase_file()
    assert found == Passphrase(text, typed=False)
    assert text not in repr(found)


@pytest.mark.parametrize("data", [b"", b"\n", b"one\ntwo\n", b"secret\xff", b"x" * 1024, b"x" * 5000])
def test_what_is_no_line_of_text_is_refused_and_not_shown(file, data):
    file.write_bytes(data)
    with pytest.raises(FileUnreadableError, match=PASSPHRASE_FILE_VARIABLE) as caught:
        read_passphrase_file()
    assert "secret" not in caught.value.message
    assert "xxx" not in caught.value.message


def test_a_file_that_is_missing_is_named(file):
    with pytest.raises(FileUnreadableError, match="cannot be read"):
        read_passphrase_file()


def test_where_no_file_is_named_there_is_none(monkeypatch):
    monkeypatch.delenv(PASSPHRASE_FILE_VARIABLE, raising=False)
    assert read_passphrase_file() is None
    assert not passphrase_file_is_named()


@pytest.mark.parametrize("text", ["x" * 1024, "é" * 512])
def test_what_no_key_can_have_is_refused(text):
    with pytest.raises(CarnetError, match="1023"):
        Passphrase(text)


def test_a_new_one_is_long_enough():
    assert check_new_passphrase(Passphrase("x" * 12)).text == "x" * 12
    with pytest.raises(InvalidInputError, match="12 characters"):
        check_new_passphrase(Passphrase("x" * 11))
