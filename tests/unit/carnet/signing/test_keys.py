from __future__ import annotations

import stat
import traceback

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from carnet.canonical import sha256_hex
from carnet.errors import (
    AlreadyExistsError,
    FileUnreadableError,
    InvalidInputError,
    SignatureInvalidError,
    UnauthenticatedError,
)
from carnet.signing.keys import SigningKey, VerificationKey, is_encrypted
from carnet.signing.passphrase import Passphrase

CURVES = {
    "P-256": (ec.SECP256R1, hashes.SHA256()),
    "P-384": (ec.SECP384R1, hashes.SHA384()),
    "P-521": (ec.SECP521R1, hashes.SHA512()),
}
FOREIGN = {
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "secp224r1": ec.generate_private_key(ec.SECP224R1()),
}


def private_pem(key, encryption=None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("curve", CURVES)
def test_signs_with_the_hash_of_its_curve(curve: str) -> None:
    key = SigningKey.generate(curve)

    signature = key.sign(b"data")

    key.verification_key.verify(b"data", signature)
    public = serialization.load_pem_public_key(key.verification_key.pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, CURVES[curve][0])
    public.verify(signature, b"data", ec.ECDSA(CURVES[curve][1]))


@pytest.mark.parametrize("name", FOREIGN)
def test_other_kinds_of_key_are_refused_with_what_to_use(name: str) -> None:
    with pytest.raises(InvalidInputError, match="P-256, P-384 or P-521"):
        SigningKey.from_pem(private_pem(FOREIGN[name]))
    with pytest.raises(InvalidInputError, match=name):
        VerificationKey.from_pem(public_pem(FOREIGN[name]))


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_what_is_no_key_is_refused(pem: bytes) -> None:
    with pytest.raises(InvalidInputError):
        SigningKey.from_pem(pem)
    with pytest.raises(InvalidInputError):
        VerificationKey.from_pem(pem)


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="brainpool"):
        SigningKey.generate("brainpool")


WORDS = "correct horse battery"


@pytest.mark.parametrize("typed", [True, False])
def test_a_key_with_a_passphrase_opens_with_it_and_remembers_who_was_asked(tmp_path, typed) -> None:
    key = SigningKey.generate()
    path = tmp_path / "key.pem"
    key.save(path, passphrase=Passphrase(WORDS))

    opened = SigningKey.load(path, passphrase=Passphrase(WORDS, typed=typed))

    assert is_encrypted(path.read_bytes())
    assert opened.key_id == key.key_id
    assert opened.authentication == ("passphrase" if typed else "none")
    key.verification_key.verify(b"data", opened.sign(b"data"))


def test_a_passphrase_that_no_key_has_authenticates_nobody() -> None:
    pem = SigningKey.generate().to_pem()

    assert SigningKey.from_pem(pem, passphrase=Passphrase(WORDS, typed=True)).authentication == "none"


@pytest.mark.parametrize("given", [None, "", "Correct horse battery", f"{WORDS} ", "\ud800"])
def test_without_the_passphrase_a_key_stays_closed_and_it_is_never_shown(tmp_path, given) -> None:
    path = tmp_path / "key.pem"
    SigningKey.generate().save(path, passphrase=Passphrase(WORDS))
    passphrase = None if given is None else Passphrase(given, typed=True)

    with pytest.raises(UnauthenticatedError, match=r"key\.pem.*passphrase") as caught:
        SigningKey.load(path, passphrase=passphrase)

    shown = "".join(traceback.format_exception(caught.value)) + repr(passphrase)
    assert WORDS not in shown
    assert not given or given not in shown


def test_encrypted_in_another_form_than_pkcs8_is_refused_with_what_to_do() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    )

    with pytest.raises(InvalidInputError, match="PKCS #8"):
        SigningKey.from_pem(pem, passphrase=Passphrase("secret"))


def test_an_encrypted_key_of_another_kind_is_named_for_what_it_is() -> None:
    pem = private_pem(FOREIGN["Ed25519"], serialization.BestAvailableEncryption(WORDS.encode()))

    with pytest.raises(InvalidInputError, match="Ed25519"):
        SigningKey.from_pem(pem, passphrase=Passphrase(WORDS))


@pytest.mark.parametrize("curve", CURVES)
def test_a_key_names_its_curve(curve: str) -> None:
    assert SigningKey.generate(curve).verification_key.curve == curve


def test_key_id_is_the_digest_of_the_spki_pem_whatever_the_line_ends() -> None:
    key = SigningKey.generate()
    pem = key.verification_key.pem

    assert key.key_id == sha256_hex(pem.encode())
    assert VerificationKey.from_pem(pem.replace("\n", "\r\n")).key_id == key.key_id
    assert VerificationKey.from_pem(pem) == key.verification_key
    assert len({VerificationKey.from_pem(pem), key.verification_key}) == 1
    assert SigningKey.generate().verification_key != key.verification_key


@pytest.mark.parametrize("tamper", ["data", "signature", "key"])
def test_a_signature_holds_only_for_its_bytes_and_key(tamper: str) -> None:
    key = SigningKey.generate()
    data, signature, verifier = b"data", key.sign(b"data"), key.verification_key
    if tamper == "data":
        data = b"date"
    elif tamper == "signature":
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    else:
        verifier = SigningKey.generate().verification_key

    with pytest.raises(SignatureInvalidError):
        verifier.verify(data, signature)


@pytest.mark.parametrize("signature", [b"", b"\x30", b"x" * 64, b"\x30\x06\x02\x01\x00\x02\x01\x00"])
def test_a_malformed_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureInvalidError):
        SigningKey.generate().verification_key.verify(b"data", signature)


def test_saved_key_is_private_to_its_owner_and_loads_again(tmp_path) -> None:
    key = SigningKey.generate()
    path = tmp_path / "key.pem"

    key.save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load(path).key_id == key.key_id
    assert SigningKey.from_pem(key.to_pem()).key_id == key.key_id


def test_a_key_is_never_overwritten(tmp_path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("mine")

    with pytest.raises(AlreadyExistsError):
        SigningKey.generate().save(path)
    assert path.read_text() == "mine"


def test_missing_paths_are_named(tmp_path) -> None:
    with pytest.raises(FileUnreadableError, match=r"nothing\.pem"):
        SigningKey.load(tmp_path / "nothing.pem")
    with pytest.raises(FileUnreadableError, match="nowhere"):
        SigningKey.generate().save(tmp_path / "nowhere" / "key.pem")
    (tmp_path / "text.pem").write_text("text")
    with pytest.raises(InvalidInputError, match=r"text\.pem"):
        SigningKey.load(tmp_path / "text.pem")


def test_a_private_key_does_not_show_itself() -> None:
    key = SigningKey.generate()

    assert key.key_id[:16] in repr(key)
    assert "PRIVATE" not in repr(key)
