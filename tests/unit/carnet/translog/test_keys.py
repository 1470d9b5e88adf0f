from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import AlreadyExistsError, FileUnreadableError, InvalidInputError, SignatureInvalidError
from carnet.translog.keys import KeyType, LogKey, LogVerifier
from carnet.translog.note import parse_note

if TYPE_CHECKING:
    from pathlib import Path

# A published key pair with a note that it signed: the example of the first implementation of signed notes.
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_published_key_and_its_signature_are_made_byte_for_byte() -> None:
    key = LogKey("PeterNeumann", Ed25519PrivateKey.from_private_bytes(SEED))
    note = parse_note(NOTE)
    assert key.verifier.vkey == VKEY
    assert key.sign(note.body.encode()) == note.signatures[0].signature
    assert key.verifier.key_id == note.signatures[0].key_id


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_verification_key_reads_back(key_type: KeyType) -> None:
    verifier = LogKey.generate("example.com/log", key_type=key_type).verifier
    assert LogVerifier.parse(str(verifier)) == verifier
    assert LogVerifier.parse(f" {verifier.vkey}\n").key_type is key_type


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("c74f20a3", "C74F20A3"),
        VKEY.replace("PeterNeumann", "Peter"),
        VKEY.replace("PeterNeumann", ""),
        VKEY.replace("PeterNeumann", "Peter Neumann"),
        VKEY[:-1],
        VKEY + "A",
        VKEY + "=",
        VKEY.replace("ARpc", "Ahpc"),
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a3+é",
    ],
)
def test_what_is_no_verification_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        LogVerifier.parse(text)


@given(st.text(max_size=80))
def test_any_text_is_a_verification_key_or_a_typed_error(text: str) -> None:
    for candidate in (text, f"name+00000000+{text}"):
        with pytest.raises(InvalidInputError):
            LogVerifier.parse(candidate)


def test_a_signature_over_other_bytes_is_refused() -> None:
    key = LogKey.generate("log")
    key.verifier.verify(b"data", key.sign(b"data"))
    for message, signature in [(b"date", key.sign(b"data")), (b"data", b""), (b"data", bytes(64))]:
        with pytest.raises(SignatureInvalidError):
            key.verifier.verify(message, signature)


def test_a_saved_key_is_its_owners_only_and_never_overwritten(tmp_path: Path) -> None:
    key, path = LogKey.generate("log"), tmp_path / "log.pem"
    key.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LogKey.load("log", path).verifier == key.verifier
    with pytest.raises(AlreadyExistsError):
        LogKey.generate("log").save(path)
    assert path.read_bytes() == key.to_pem()


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadableError, match=r"absent\.pem"):
        LogKey.load("log", tmp_path / "absent.pem")
    with pytest.raises(FileUnreadableError, match=r"absent"):
        LogKey.generate("log").save(tmp_path / "absent" / "log.pem")


def test_other_private_keys_are_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    pems = [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
    ]
    for pem in pems:
        with pytest.raises(InvalidInputError):
            LogKey.from_pem("log", pem)


def test_a_key_shows_only_its_name() -> None:
    assert repr(LogKey.generate("example.com/log")) == "LogKey('example.com/log')"
