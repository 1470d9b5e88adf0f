"""Publications that are not what they claim to be, and what each gets."""

from __future__ import annotations

import pytest

from carnet.bundle.manifest import File
from carnet.bundle.paths import MANIFEST_NAME
from carnet.canonical import canonical_json, sha256_hex
from carnet.errors import (
    DigestMismatchError,
    DocumentInvalidError,
    InvalidInputError,
    KeyUntrustedError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.references import ResourceName
from carnet.signing.model_signature import sign_model
from tests.support.registry import CI, FRAUD, make_version

MANIFEST, CONTENTS = make_version(1)
OTHER_FILE = File(path="model.bin", role="model", size_bytes=3, digest=sha256_hex(b"abc"))


def signed(registry, files):
    return {"signature": sign_model("fraud", files, registry.ci)}


def covered(manifest, **replaced):
    files = {file.path: file.digest for file in manifest.files} | {MANIFEST_NAME: manifest.digest}
    return list((files | replaced).items())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (lambda r: {"data": b""}, DocumentInvalidError),
        (lambda r: {"data": b"{}"}, DocumentInvalidError),
        (lambda r: {"data": MANIFEST.to_bytes() + b"\n"}, DocumentInvalidError),
        (
            lambda r: {"data": canonical_json(MANIFEST.to_json() | {"colour": "red"})},
            DocumentInvalidError,
        ),
        (
            lambda r: {"data": canonical_json(MANIFEST.to_json() | {"version": "1"})},
            DocumentInvalidError,
        ),
        (lambda r: {"data": b" " * ((1 << 20) + 1)}, DocumentInvalidError),
        (
            lambda r: {"data": MANIFEST.model_copy(update={"home": "prod"}).to_bytes()},
            InvalidInputError,
        ),
        (lambda r: {"parent": ResourceName("risk", "churn")}, InvalidInputError),
        (lambda r: {"parent": ResourceName("ads", "fraud")}, InvalidInputError),
        (lambda r: {"signature": b"nonsense"}, SignatureInvalidError),
        (lambda r: {"signature": r.sign(MANIFEST, r.stranger)}, KeyUntrustedError),
        (lambda r: {"signature": r.sign(MANIFEST, r.evaluator)}, KeyUntrustedError),
        (lambda r: {"signature": r.sign(MANIFEST, r.staging)}, KeyUntrustedError),
        (
            lambda r: {
                "signature": r.sign(MANIFEST, r.stranger).replace(
                    r.stranger.key_id.encode(), r.ci.key_id.encode()
                )
            },
            SignatureInvalidError,
        ),
        (lambda r: {"signature": r.sign(MANIFEST.with_version(2))}, DigestMismatchError),
        (
            lambda r: {"signature": r.sign(MANIFEST.model_copy(update={"files": (OTHER_FILE,)}))},
            DigestMismatchError,
        ),
        (lambda r: signed(r, covered(MANIFEST)[:1]), StatementInvalidError),
        (lambda r: signed(r, covered(MANIFEST)[1:]), StatementInvalidError),
        (
            lambda r: signed(r, covered(MANIFEST, **{"evil.py": "0" * 64})),
            StatementInvalidError,
        ),
    ],
)
async def test_it_gets_a_typed_error_and_nothing_is_stored(registry, options, error):
    await registry.give_blobs(MANIFEST, CONTENTS)
    with pytest.raises(error) as raised:
        await registry.publish(MANIFEST, **options(registry))
    assert type(raised.value) is error
    assert await registry.entries() == []
    assert await registry.count("models") == await registry.count("versions") == 0


async def test_a_wrong_place_names_the_field(registry):
    await registry.give_blobs(MANIFEST, CONTENTS)
    with pytest.raises(InvalidInputError, match="home: is 'prod', and it is published to dev/") as raised:
        await registry.publish(MANIFEST, data=MANIFEST.model_copy(update={"home": "prod"}).to_bytes())
    assert raised.value.metadata == {"field": "home"}


async def test_a_key_that_is_trusted_in_another_namespace_is_not_trusted_here(registry):
    await registry.give_blobs(MANIFEST, CONTENTS)
    keys = registry.trust_document()["keys"]
    keys[0]["namespaces"] = ["ads"]
    registry.trust_anew(keys=keys)
    with pytest.raises(KeyUntrustedError):
        await registry.publish(MANIFEST)
    keys[0]["namespaces"] = ["risk"]
    registry.trust_anew(keys=keys)
    assert (await registry.publish(MANIFEST)).version.publisher == CI


async def test_a_model_keeps_its_home(registry):
    await registry.add_version(1)
    with registry.database.writer_engine.begin() as connection:
        connection.exec_driver_sql("UPDATE models SET home = 'elsewhere'")
    manifest, contents = make_version(2)
    await registry.give_blobs(manifest, contents)
    with pytest.raises(Exception, match="has its home in elsewhere, and the manifest names dev"):
        await registry.publish(manifest)
    assert await registry.count("versions") == 1
    assert ResourceName("risk", "fraud") == FRAUD
