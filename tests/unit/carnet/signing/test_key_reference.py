from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict

from carnet import errors
from carnet.documents import parse_document
from carnet.signing.key_reference import KeyDocument, KeyReference
from carnet.signing.keys import SigningKey
from carnet.signing.passphrase import PASSPHRASE_FILE_VARIABLE, Passphrase
from carnet.signing.service_key import ServiceKey

WORDS = "correct horse battery"


class Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    signing_key: KeyDocument


def read(text):
    return parse_document(text.encode(), Document, name="some.yaml").signing_key


def test_a_file_is_a_key(tmp_path):
    assert read("signing_key: keys/a.pem").below(tmp_path) == KeyReference(file=tmp_path / "keys" / "a.pem")


def test_a_uri_with_its_public_key_is_one_too(tmp_path):
    found = read('signing_key: {uri: "awskms:alias/x", public_key: keys/a.pub.pem}').below(tmp_path)
    assert found == KeyReference(uri="awskms:alias/x", public_key=tmp_path / "keys" / "a.pub.pem")
    assert str(found) == "awskms:alias/x"
    assert found.exists


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("signing_key: ''", "signing_key.file"),
        ("signing_key: {}", "names a key: a file, or a mapping"),
        ("signing_key: 3", "some.yaml:1:1"),
        ("signing_key: [a]", "some.yaml:1:1"),
        ("signing_key:", "some.yaml:1:1"),
        ("signing_key: {uri: 'awskms:x'}", "needs public_key"),
        ("signing_key: {uri: 'file:x', public_key: a}", "awskms:…"),
        ("signing_key: {file: a, uri: 'awskms:x', public_key: b}", "names a key"),
        ("signing_key: {file: a, public_key: b}", "belongs to a uri"),
        ("signing_key: {urI: a}", "did you mean 'uri'"),
        ("signing_key: {uri: 3, public_key: b}", "signing_key.uri"),
    ],
)
def test_what_names_no_key_is_refused_by_field(text, said):
    with pytest.raises(errors.DocumentInvalidError) as caught:
        read(text)
    assert said in caught.value.message


@pytest.fixture
def encrypted(tmp_path, monkeypatch):
    monkeypatch.delenv(PASSPHRASE_FILE_VARIABLE, raising=False)
    key = SigningKey.generate()
    key.save(tmp_path / "key.pem", passphrase=Passphrase(WORDS))
    return KeyReference(file=tmp_path / "key.pem")


def asking(*answers):
    asked = []

    def ask(what, attempt):
        asked.append((what, attempt))
        return answers[attempt - 1]

    return ask, asked


@pytest.mark.parametrize("answers", [(WORDS,), ("no", WORDS), ("", "no", WORDS)])
def test_a_passphrase_is_asked_for_up_to_three_times(encrypted, answers):
    ask, asked = asking(*answers)
    assert encrypted.open(ask).authentication == "passphrase"
    assert asked == [(f"passphrase of {encrypted.file}", n + 1) for n in range(len(answers))]


def test_after_three_tries_it_is_over(encrypted):
    ask, asked = asking("no", "never", "nothing", WORDS)
    with pytest.raises(errors.UnauthenticatedError, match="none of 3") as caught:
        encrypted.open(ask)
    assert len(asked) == 3
    assert "never" not in caught.value.message


def test_a_script_has_it_in_a_file_and_nobody_was_asked(encrypted, tmp_path, monkeypatch):
    with pytest.raises(errors.UnauthenticatedError, match=PASSPHRASE_FILE_VARIABLE):
        encrypted.open()
    (tmp_path / "words").write_text(WORDS + "\n")
    monkeypatch.setenv(PASSPHRASE_FILE_VARIABLE, str(tmp_path / "words"))
    assert encrypted.open().authentication == "none"
    (tmp_path / "words").write_text("wrong words\n")
    with pytest.raises(errors.UnauthenticatedError) as caught:
        encrypted.open()
    assert "wrong words" not in caught.value.message


def test_a_key_without_a_passphrase_asks_nobody(tmp_path):
    SigningKey.generate().save(tmp_path / "key.pem")
    ask, asked = asking()
    assert KeyReference(file=tmp_path / "key.pem").open(ask).authentication == "none"
    assert asked == []


def test_a_public_key_that_is_none_is_named(tmp_path):
    reference = KeyReference(uri="awskms:x", public_key=tmp_path / "a.pub.pem")
    with pytest.raises(errors.FileUnreadableError, match=r"a\.pub\.pem"):
        reference.open()
    (tmp_path / "a.pub.pem").write_text("none")
    with pytest.raises(errors.InvalidInputError, match=r"a\.pub\.pem: not a public key"):
        reference.open()


def test_a_pin_is_asked_for_once(tmp_path, monkeypatch):
    key = SigningKey.generate()
    (tmp_path / "a.pub.pem").write_text(key.verification_key.pem)
    connected = []
    monkeypatch.setattr(ServiceKey, "connect", lambda uri, public, pin: connected.append((uri, public, pin)))
    ask, asked = asking("123456")
    KeyReference(uri="hsm:2", public_key=tmp_path / "a.pub.pem").open(ask)
    KeyReference(uri="awskms:x", public_key=tmp_path / "a.pub.pem").open(ask)
    assert asked == [("PIN of hsm:2", 1)]
    assert connected == [
        ("hsm:2", key.verification_key, Passphrase("123456", typed=True)),
        ("awskms:x", key.verification_key, None),
    ]
