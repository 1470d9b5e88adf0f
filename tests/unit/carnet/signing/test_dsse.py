from __future__ import annotations

import base64
import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import CarnetError, KeyUntrustedError, SignatureInvalidError
from carnet.signing.dsse import (
    MAX_ENVELOPE_BYTES,
    Envelope,
    Signature,
    pae,
    parse_envelope,
    sign_payload,
    verify_envelope,
)
from carnet.signing.keys import SigningKey

KEY = SigningKey.generate()
OTHER = SigningKey.generate()
TYPE = "application/example"
KEYS = {KEY.key_id: KEY.verification_key}
ENVELOPE = sign_payload(b"hello", TYPE, KEY)


def test_pae_is_that_of_the_specification() -> None:
    assert pae(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae_counts_bytes_not_characters() -> None:
    assert pae("é".encode(), "é") == b"DSSEv1 2 \xc3\xa9 2 \xc3\xa9"


@given(payload=st.binary(max_size=200), kind=st.text(min_size=1, max_size=20))
def test_what_is_signed_is_read_back_and_verifies(payload: bytes, kind: str) -> None:
    envelope = sign_payload(payload, kind, KEY)

    read = parse_envelope(envelope.to_bytes())

    assert read == envelope
    assert verify_envelope(read, KEYS) == KEY.key_id


def test_an_envelope_made_here_is_canonical_json() -> None:
    data = ENVELOPE.to_bytes()

    assert data == canonical_json(json.loads(data))
    assert ENVELOPE.digest == sha256_hex(data)


def test_the_digest_of_a_foreign_envelope_is_that_of_the_bytes_received() -> None:
    data = json.dumps(json.loads(ENVELOPE.to_bytes()), indent=2).encode() + b"\n"

    envelope = parse_envelope(data)

    assert verify_envelope(envelope, KEYS) == KEY.key_id
    assert envelope.to_bytes() == data
    assert envelope.digest == sha256_hex(data) != ENVELOPE.digest


def test_a_changed_copy_does_not_keep_the_bytes_received() -> None:
    received = parse_envelope(ENVELOPE.to_bytes())

    changed = dataclasses.replace(received, payload=b"other")

    assert changed.digest != received.digest


def test_url_safe_base64_and_unknown_fields_are_taken() -> None:
    payload = b"\xfb\xff\xfe"
    envelope = sign_payload(payload, TYPE, KEY)
    value = json.loads(envelope.to_bytes()) | {"extension": 1}
    value["payload"] = base64.urlsafe_b64encode(payload).decode()
    assert "-" in value["payload"] or "_" in value["payload"]

    assert verify_envelope(parse_envelope(json.dumps(value).encode()), KEYS) == KEY.key_id


def signature(key: SigningKey, *, keyid: str | None = None, payload: bytes = b"hello") -> Signature:
    return Signature(key.key_id if keyid is None else keyid, key.sign(pae(payload, TYPE)))


def envelope_of(*signatures: Signature) -> Envelope:
    return Envelope(b"hello", TYPE, signatures)


def test_signatures_by_unknown_keys_are_passed_over() -> None:
    assert verify_envelope(envelope_of(signature(OTHER), signature(KEY)), KEYS) == KEY.key_id


def test_a_signature_without_a_key_id_is_tried_with_every_key() -> None:
    keys = {OTHER.key_id: OTHER.verification_key, **KEYS}

    assert verify_envelope(envelope_of(signature(KEY, keyid="")), keys) == KEY.key_id


def test_the_first_trusted_signer_is_named() -> None:
    keys = {OTHER.key_id: OTHER.verification_key, **KEYS}

    assert verify_envelope(envelope_of(signature(KEY), signature(OTHER)), keys) == KEY.key_id
    assert verify_envelope(envelope_of(signature(OTHER), signature(KEY)), keys) == OTHER.key_id


@pytest.mark.parametrize("position", [0, 1])
def test_a_bad_signature_by_a_known_key_spoils_the_envelope(position: int) -> None:
    keys = {OTHER.key_id: OTHER.verification_key, **KEYS}
    signatures = [signature(KEY)]
    signatures.insert(position, signature(OTHER, payload=b"something else"))

    with pytest.raises(SignatureInvalidError):
        verify_envelope(envelope_of(*signatures), keys)


@pytest.mark.parametrize(
    "envelope",
    [envelope_of(signature(OTHER)), envelope_of(signature(OTHER, keyid="")), envelope_of()],
    ids=["unknown id", "no id", "no signature"],
)
def test_without_a_trusted_signature_the_key_is_untrusted(envelope: Envelope) -> None:
    with pytest.raises(KeyUntrustedError):
        verify_envelope(envelope, KEYS)
    with pytest.raises(KeyUntrustedError):
        verify_envelope(envelope, {})


def test_the_payload_type_is_signed_too() -> None:
    with pytest.raises(SignatureInvalidError):
        verify_envelope(dataclasses.replace(ENVELOPE, payload_type="text/plain"), KEYS)


def edited(**fields: object) -> bytes:
    return json.dumps(json.loads(ENVELOPE.to_bytes()) | fields).encode()


DATA = ENVELOPE.to_bytes()
BAD = {
    "nothing": b"",
    "a list": b"[]",
    "a number": b"1",
    "cut short": DATA[:-1],
    "trailing bytes": DATA + b"x",
    "UTF-16": DATA.decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + DATA,
    "not UTF-8": b'{"a":"\xff"}',
    "NaN": DATA[:-1] + b',"x":NaN}',
    "a huge number": DATA[:-1] + b',"x":1e999}',
    "a huge integer": DATA[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "a lone surrogate": DATA[:-1] + b',"x":"\\ud800"}',
    "a duplicate key": DATA[:-1] + b',"payload":"aGk="}',
    "a duplicate key inside": DATA[:-1] + b',"x":{"a":1,"a":2}}',
    "too deep": DATA[:-1] + b',"x":' + b"[" * 100 + b"]" * 100 + b"}",
    "far too deep": b"[" * 200_000,
    "too large": b" " * MAX_ENVELOPE_BYTES + DATA,
    "no signatures": edited(signatures=[]),
    "signatures not a list": edited(signatures={}),
    "too many signatures": edited(signatures=[{"sig": "AA=="}] * 17),
    "a signature that is text": edited(signatures=["AA=="]),
    "a signature without sig": edited(signatures=[{"keyid": ""}]),
    "a keyid that is a number": edited(signatures=[{"keyid": 1, "sig": "AA=="}]),
    "no payload type": edited(payloadType=""),
    "a payload type that is a number": edited(payloadType=1),
    "no payload": edited(payload=None),
    "base64 without padding": edited(payload="aGk"),
    "base64 with spaces": edited(payload="aG k="),
    "base64 with stray bits": edited(payload="aGl="),
    "base64 that is not ASCII": edited(payload="é==="),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_envelopes_are_refused(name: str) -> None:
    with pytest.raises(SignatureInvalidError):
        parse_envelope(BAD[name])


@given(st.data())
def test_no_change_of_a_byte_verifies_as_something_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(DATA) - 1))
    value = data.draw(st.integers(0, 255))
    changed = DATA[:at] + bytes([value]) + DATA[at + 1 :]
    try:
        envelope = parse_envelope(changed)
        verify_envelope(envelope, KEYS)
    except CarnetError:
        return
    assert (envelope.payload, envelope.payload_type) == (b"hello", TYPE)


@given(st.binary(max_size=300))
def test_garbage_raises_only_our_errors(data: bytes) -> None:
    with pytest.raises(CarnetError):
        parse_envelope(data)
