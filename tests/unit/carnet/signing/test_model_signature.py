from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.manifest import File
from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import (
    CarnetError,
    DigestMismatchError,
    InvalidInputError,
    KeyUntrustedError,
    PathRefusedError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.signing.dsse import PAYLOAD_TYPE, pae
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import (
    MAX_SIGNATURE_BYTES,
    ModelSignature,
    check_covers,
    sign_model,
    verify_model_signature,
)
from tests.support.bundles import make_manifest

KEY = SigningKey.generate()
KEYS = {KEY.key_id: KEY.verification_key}
A, B, C = (sha256_hex(text) for text in (b"a", b"b", b"c"))
FILES = [("manifest.json", A), ("a/b", B), ("a-b", C)]
IN_ORDER = (("a/b", B), ("a-b", C), ("manifest.json", A))
SIGNED = sign_model("fraud", FILES, KEY)


def payload_of(data: bytes) -> dict[str, Any]:
    return json.loads(base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"]))


def resigned(payload: dict[str, Any]) -> bytes:
    """Sign any payload well, as a signer with other ideas would."""
    data = canonical_json(payload)
    value = json.loads(SIGNED)
    value["dsseEnvelope"]["payload"] = base64.b64encode(data).decode()
    value["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(
        KEY.sign(pae(data, PAYLOAD_TYPE))
    ).decode()
    return canonical_json(value)


def with_predicate(**fields: Any) -> dict[str, Any]:
    payload = payload_of(SIGNED)
    payload["predicate"] |= fields
    return payload


def with_serialization(**fields: Any) -> dict[str, Any]:
    return with_predicate(serialization=payload_of(SIGNED)["predicate"]["serialization"] | fields)


def with_resources(*files: tuple[str, str]) -> dict[str, Any]:
    payload = with_predicate(
        resources=[{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in files]
    )
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in files)).hexdigest()
    payload["subject"][0]["digest"]["sha256"] = root
    return payload


def test_what_is_signed_is_read_back_in_the_order_of_path_parts() -> None:
    signature = verify_model_signature(SIGNED, KEYS)

    assert signature == ModelSignature(KEY.key_id, IN_ORDER)


def test_the_form_is_that_of_the_standard() -> None:
    value = json.loads(SIGNED)

    assert value["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert value["verificationMaterial"] == {"publicKey": {"hint": KEY.key_id}, "tlogEntries": []}
    assert value["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
    assert value["dsseEnvelope"]["signatures"][0]["keyid"] == ""
    payload = payload_of(SIGNED)
    assert payload["predicateType"] == "https://model_signing/signature/v1.0"
    root = hashlib.sha256(bytes.fromhex(B) + bytes.fromhex(C) + bytes.fromhex(A)).hexdigest()
    assert payload["subject"] == [{"name": "fraud", "digest": {"sha256": root}}]
    assert payload["predicate"]["serialization"] == {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": ["model.sig"],
    }


def test_resigning_the_same_payload_verifies() -> None:
    assert verify_model_signature(resigned(payload_of(SIGNED)), KEYS).resources == IN_ORDER


WELL_SIGNED_AND_WRONG = {
    "another predicate type": payload_of(SIGNED) | {"predicateType": "https://model_signing/Digests/v0.1"},
    "two subjects": payload_of(SIGNED) | {"subject": payload_of(SIGNED)["subject"] * 2},
    "no serialization": with_predicate(serialization=None),
    "shards": with_serialization(method="shards", shard_size=1000),
    "another hash": with_serialization(hash_type="blake3"),
    "symlinks allowed": with_serialization(allow_symlinks=True),
    "symlinks as a number": with_serialization(allow_symlinks=0),
    "symlinks unsaid": with_predicate(serialization={"method": "files", "hash_type": "sha256"}),
    "an unknown setting": with_serialization(follow=True),
    "something ignored": with_serialization(ignore_paths=["model.sig", "evil.py"]),
    "git ignored": with_serialization(ignore_paths=[".git", "model.sig"]),
    "the signature elsewhere ignored": with_serialization(ignore_paths=["a/model.sig"]),
    "no resources": with_resources(),
    "resources not a list": with_predicate(resources={}),
    "a resource with more": with_predicate(
        resources=[{"name": "a", "algorithm": "sha256", "digest": A, "x": 1}]
    ),
    "a resource by another algorithm": with_predicate(
        resources=[{"name": "a", "algorithm": "blake2b", "digest": A}]
    ),
    "a resource with a short digest": with_predicate(
        resources=[{"name": "a", "algorithm": "sha256", "digest": A[:-1]}]
    ),
    "a name that is a number": with_predicate(resources=[{"name": 1, "algorithm": "sha256", "digest": A}]),
    "the wrong root": with_predicate(resources=[{"name": "a", "algorithm": "sha256", "digest": A}]),
    "another order": with_resources(("a-b", C), ("a/b", B)),
    "twice": with_resources(("a", A), ("a", A)),
    "the manifest twice": with_resources(("manifest.json", A), ("manifest.json", B)),
    "the signature itself": with_resources(("model.sig", A)),
    "equal after case folding": with_resources(("A", A), ("a", B)),
    "absolute": with_resources(("/etc/passwd", A)),
    "climbing": with_resources(("../evil", A)),
    "git": with_resources((".git/config", A)),
    "backslash": with_resources(("a\\b", A)),
}


@pytest.mark.parametrize("name", WELL_SIGNED_AND_WRONG)
def test_a_well_signed_statement_that_is_not_strict_is_refused(name: str) -> None:
    with pytest.raises(StatementInvalidError):
        verify_model_signature(resigned(WELL_SIGNED_AND_WRONG[name]), KEYS)


def edited(*path: str | int, value: Any) -> bytes:
    document = json.loads(SIGNED)
    at = document
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return canonical_json(document)


SIG = json.loads(SIGNED)["dsseEnvelope"]["signatures"][0]
MALFORMED = {
    "nothing": b"",
    "a list": b"[]",
    "trailing bytes": SIGNED + b"{}",
    "too large": SIGNED + b" " * MAX_SIGNATURE_BYTES,
    "a duplicate key": SIGNED[:-1] + b',"mediaType":"x"}',
    "an unknown field": edited("messageSignature", value={}),
    "another media type": edited("mediaType", value="application/json"),
    "material as a list": edited("verificationMaterial", value=[]),
    "a certificate too": edited("verificationMaterial", "certificate", value={}),
    "log entries": edited("verificationMaterial", "tlogEntries", value=[{}]),
    "a hint that is a number": edited("verificationMaterial", "publicKey", "hint", value=1),
    "no hint": edited("verificationMaterial", "publicKey", value={}),
    "another payload type": edited("dsseEnvelope", "payloadType", value="text/plain"),
    "no signature": edited("dsseEnvelope", "signatures", value=[]),
    "two signatures": edited("dsseEnvelope", "signatures", value=[SIG, SIG]),
    "a signature that is text": edited("dsseEnvelope", "signatures", value=["x"]),
    "a keyid of another key": edited("dsseEnvelope", "signatures", 0, "keyid", value="x"),
    "a sig that is not base64": edited("dsseEnvelope", "signatures", 0, "sig", value="!"),
    "a sig of nothing": edited("dsseEnvelope", "signatures", 0, "sig", value=""),
    "another payload": edited("dsseEnvelope", "payload", value=base64.b64encode(b"{}").decode()),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_or_forged_signature_is_refused(name: str) -> None:
    with pytest.raises(SignatureInvalidError):
        verify_model_signature(MALFORMED[name], KEYS)


def test_a_key_that_is_not_trusted_is_named() -> None:
    other = SigningKey.generate()

    with pytest.raises(KeyUntrustedError, match=KEY.key_id):
        verify_model_signature(SIGNED, {other.key_id: other.verification_key})


def test_a_keyid_equal_to_the_hint_is_taken() -> None:
    data = edited("dsseEnvelope", "signatures", 0, "keyid", value=KEY.key_id)

    assert verify_model_signature(data, KEYS).key_id == KEY.key_id


def test_bad_files_are_not_signed() -> None:
    with pytest.raises(PathRefusedError):
        sign_model("fraud", [("../x", A)], KEY)
    with pytest.raises(PathRefusedError):
        sign_model("fraud", [("model.sig", A)], KEY)
    with pytest.raises(PathRefusedError):
        sign_model("fraud", [("manifest.json", A), ("manifest.json", A)], KEY)
    with pytest.raises(InvalidInputError):
        sign_model("fraud", [("a", "x")], KEY)


@given(st.data())
def test_no_change_of_a_byte_verifies_as_something_else(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNED) - 1))
    changed = SIGNED[:at] + bytes([data.draw(st.integers(0, 255))]) + SIGNED[at + 1 :]
    try:
        signature = verify_model_signature(changed, KEYS)
    except CarnetError:
        return
    assert signature == ModelSignature(KEY.key_id, IN_ORDER)


MANIFEST = make_manifest(
    files=(
        File(path="a", role="model", size_bytes=1, digest=A),
        File(path="b", role="other", size_bytes=1, digest=B),
    )
)
COVERED = {"a": A, "b": B, "manifest.json": MANIFEST.digest}


def signature_of(files: dict[str, str]) -> ModelSignature:
    return ModelSignature("k", tuple(files.items()))


def test_a_signature_of_exactly_the_bundle_covers_it() -> None:
    check_covers(signature_of(COVERED), MANIFEST)


@pytest.mark.parametrize("name", COVERED)
def test_a_file_that_is_not_signed_is_named(name: str) -> None:
    files = {path: digest for path, digest in COVERED.items() if path != name}

    with pytest.raises(StatementInvalidError, match=name):
        check_covers(signature_of(files), MANIFEST)


@pytest.mark.parametrize("name", COVERED)
def test_a_file_signed_with_another_digest_is_named(name: str) -> None:
    with pytest.raises(DigestMismatchError, match=name):
        check_covers(signature_of(COVERED | {name: C}), MANIFEST)


def test_a_file_that_is_signed_and_not_in_the_manifest_is_named() -> None:
    with pytest.raises(StatementInvalidError, match=r"evil\.py"):
        check_covers(signature_of(COVERED | {"evil.py": C}), MANIFEST)
