"""The signature of a bundle's files, in OpenSSF Model Signing (OMS) form, version 1.0.

Responsible for writing what the stock ``model_signing verify key`` and ``verify certificate`` accept, and for
reading it more strictly than that: the method is ``files`` with SHA-256, no symlinks, nothing ignored but the
signature's own file, the root digest right, the resources in the order of their paths and each once. The root
digest binds no names, so it identifies nothing; the bundle's identity is its manifest's digest, and the
manifest is one of the resources. Does not read the files themselves.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.bundle.paths import MANIFEST_NAME, SIGNATURE_NAME, check_path, check_paths
from carnet.canonical import DIGEST_PATTERN, canonical_json, check_digest
from carnet.errors import (
    DigestMismatchError,
    KeyUntrustedError,
    PathRefusedError,
    SignatureInvalidError,
    StatementInvalidError,
)
from carnet.signing.certificate import read_signing_certificate
from carnet.signing.dsse import (
    PAYLOAD_TYPE,
    Envelope,
    Signature,
    decode_base64,
    pae,
    sign_bytes,
    signers_of,
)
from carnet.signing.statement import Statement, parse_statement
from carnet.signing.strict_json import parse_json_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from carnet.bundle.manifest import Manifest
    from carnet.signing.certificate import SigningAuthority, SigningCertificate
    from carnet.signing.dsse import OneTimeSigner
    from carnet.signing.keys import SigningKey, VerificationKey

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
# A signature names every file with its digest, as the manifest does, and base64 adds a third.
MAX_SIGNATURE_BYTES = 4 << 20
_MAX_CHAIN = 4


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """A verified signature.

    Attributes:
        key_id: The id of the key that made it.
        resources: The path and SHA-256 of every file that it covers, in the order of the paths.
        certificate: The signer's one-time certificate; None for a key that is trusted by itself.
    """

    key_id: str
    resources: tuple[tuple[str, str], ...]
    certificate: SigningCertificate | None = None


def sign_model(
    directory_name: str, files: Sequence[tuple[str, str]], key: SigningKey | OneTimeSigner
) -> bytes:
    """Sign the files of a bundle.

    Args:
        directory_name: The name of the subject; by convention the name of the model or its folder.
        files: The path and SHA-256 (64 hexadecimal digits) of every file, the manifest among them, in any
            order.
        key: The signer's key, or whoever makes one for just this and has it certified.

    Returns:
        The contents of ``model.sig``.

    Raises:
        PathRefusedError: A path may not stand in a bundle, or two collide.
        InvalidInputError: A digest is not one.
    """
    check_paths(_without_first([path for path, _ in files], MANIFEST_NAME))
    resources = sorted(((path, check_digest(digest, field=path)) for path, digest in files), key=_path_order)
    predicate = {
        "serialization": {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": [SIGNATURE_NAME],
        },
        "resources": [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in resources],
    }
    payload = Statement(directory_name, _root_digest(resources), PREDICATE_TYPE, predicate).to_payload()
    signature = sign_bytes(pae(payload, PAYLOAD_TYPE), key)
    return canonical_json(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": _material_of(signature) | {"tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode("ascii"),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature.sig).decode("ascii"), "keyid": ""}],
            },
        }
    )


def read_model_signature(data: bytes) -> Envelope:
    """Read the envelope of a bundle's signature, with its signer's certificate if it has one.

    Nothing is verified: it is for finding out who is to be asked about the key.

    Args:
        data: The contents of ``model.sig``.

    Raises:
        SignatureInvalidError: It is not a signature in this form.
    """
    return _parse_bundle(data)[1]


def verify_model_signature(
    data: bytes,
    keys: Mapping[str, VerificationKey],
    *,
    authorities: Iterable[SigningAuthority] = (),
) -> ModelSignature:
    """Verify the signature of a bundle's files; the files themselves are not read.

    Args:
        data: The contents of ``model.sig``.
        keys: The trusted keys, by key id.
        authorities: The trusted authorities of one-time certificates.

    Returns:
        Who signed, and what.

    Raises:
        SignatureInvalidError: It is not a signature in this form, or does not verify.
        KeyUntrustedError: The key that it names is not among the trusted ones.
        StatementInvalidError: It verifies, and is not a strict statement about files.
    """
    key_id, envelope = _parse_bundle(data)
    known, certified = signers_of(envelope, keys, authorities)
    if key_id not in known:
        raise KeyUntrustedError(
            f"the bundle is signed by key {key_id[:80]!r}, which is not trusted here: add the signer's "
            "public key to the trust document, or have a trusted key sign",
            metadata={"keyId": key_id[:80]},
        )
    signed = pae(envelope.payload, envelope.payload_type)
    known[key_id].verify(signed, envelope.signatures[0].sig)
    return ModelSignature(key_id, _resources_of(parse_statement(envelope)), certified.get(key_id))


def check_covers(signature: ModelSignature, manifest: Manifest) -> None:
    """Insist that a signature covers exactly the manifest's files and the manifest.

    Args:
        signature: The verified signature.
        manifest: The manifest.

    Raises:
        StatementInvalidError: A file is not signed, or something is signed that is no file of the bundle.
        DigestMismatchError: A file is signed with another digest.
    """
    signed = dict(signature.resources)
    wanted = {file.path: file.digest for file in manifest.files} | {MANIFEST_NAME: manifest.digest}
    for path in sorted(wanted.keys() | signed.keys()):
        if path not in signed:
            raise _invalid("resources", f"leave out {path!r}, which the manifest names")
        if path not in wanted:
            raise _invalid("resources", f"name {path!r}, which is no file of the bundle")
        if signed[path] != wanted[path]:
            raise DigestMismatchError(
                f"{path}: signed with the SHA-256 {signed[path]}, and the manifest says {wanted[path]}",
                metadata={"path": path},
            )


def _parse_bundle(data: bytes) -> tuple[str, Envelope]:
    """Return the id of the key that is said to have signed, and the envelope."""
    what = "the signature"
    value = parse_json_object(data, what=what, max_bytes=MAX_SIGNATURE_BYTES)
    require_keys(value, required={"mediaType", "verificationMaterial", "dsseEnvelope"}, what=what)
    if value["mediaType"] != MEDIA_TYPE:
        raise SignatureInvalidError(f"{what}'s mediaType is {value['mediaType']!r:.80}, not {MEDIA_TYPE!r}")
    material = _object(value["verificationMaterial"], what="verificationMaterial")
    hint, cert = _parse_material(material)
    envelope = _parse_envelope(_object(value["dsseEnvelope"], what="dsseEnvelope"), hint, cert)
    return hint, envelope


def _material_of(signature: Signature) -> dict[str, Any]:
    """Return what says which key signed: its hint, or its certificate alone, as the format has it."""
    if not signature.cert:
        return {"publicKey": {"hint": signature.keyid}}
    der = ssl.PEM_cert_to_DER_cert(signature.cert.decode("ascii"))
    return {
        "x509CertificateChain": {"certificates": [{"rawBytes": base64.b64encode(der).decode("ascii")}]},
    }


def _parse_material(material: dict[str, Any]) -> tuple[str, bytes]:
    """Return the id of the key that is said to have signed, and its certificate in PEM, if it has one."""
    what = "the signature's verificationMaterial"
    named = material.keys() & {"publicKey", "x509CertificateChain"}
    if len(named) != 1:
        raise SignatureInvalidError(f"{what} names its key by a hint or by a certificate, and not by both")
    require_keys(material, required=named, optional={"tlogEntries"}, what=what)
    if material.get("tlogEntries", []) != []:
        raise SignatureInvalidError("the signature's tlogEntries are not empty")
    if "x509CertificateChain" in named:
        return _parse_certificate(_object(material["x509CertificateChain"], what="x509CertificateChain"))
    public_key = _object(material["publicKey"], what="publicKey")
    require_keys(public_key, required={"hint"}, what="the signature's publicKey")
    if not isinstance(public_key["hint"], str):
        raise SignatureInvalidError("the signature's hint is not a key id")
    return public_key["hint"], b""


def _parse_certificate(value: dict[str, Any]) -> tuple[str, bytes]:
    require_keys(value, required={"certificates"}, what="the signature's x509CertificateChain")
    listed = value["certificates"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MAX_CHAIN:
        raise SignatureInvalidError(f"the signature's certificates are not a list of 1 to {_MAX_CHAIN}")
    leaf = _object(listed[0], what="certificates[0]")
    require_keys(leaf, required={"rawBytes"}, what="the signature's certificates[0]")
    der = decode_base64(leaf["rawBytes"], what="the signer's certificate")
    pem = ssl.DER_cert_to_PEM_cert(der).encode("ascii")
    return read_signing_certificate(pem).key.key_id, pem


def _parse_envelope(value: dict[str, Any], hint: str, cert: bytes) -> Envelope:
    require_keys(
        value, required={"payload", "payloadType", "signatures"}, what="the signature's dsseEnvelope"
    )
    if value["payloadType"] != PAYLOAD_TYPE:
        raise SignatureInvalidError(
            f"the signature's payloadType is {value['payloadType']!r:.80}, not {PAYLOAD_TYPE!r}"
        )
    signatures = value["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise SignatureInvalidError("the signature's envelope is not signed exactly once")
    only = _object(signatures[0], what="signatures[0]")
    require_keys(only, required={"sig"}, optional={"keyid"}, what="the signature's signatures[0]")
    if only.get("keyid", "") not in ("", hint):
        raise SignatureInvalidError("the signature's keyid and hint name different keys")
    payload = decode_base64(value["payload"], what="the signature's payload")
    signature = Signature(hint, decode_base64(only["sig"], what="the sig"), cert)
    return Envelope(payload, PAYLOAD_TYPE, (signature,))


def _resources_of(statement: Statement) -> tuple[tuple[str, str], ...]:
    if statement.predicate_type != PREDICATE_TYPE:
        raise _invalid("predicateType", f"is {statement.predicate_type!r:.80}, not {PREDICATE_TYPE!r}")
    serialization = statement.predicate.get("serialization")
    if not isinstance(serialization, dict):
        raise _invalid("serialization", "is missing")
    _check_serialization(serialization)
    listed = statement.predicate.get("resources")
    if not isinstance(listed, list) or not listed:
        raise _invalid("resources", "are not a list of files")
    resources = tuple(_parse_resource(each) for each in listed)
    _check_names([path for path, _ in resources])
    if list(resources) != sorted(resources, key=_path_order):
        raise _invalid("resources", "are not in the order of their paths")
    root = _root_digest(resources)
    if root != statement.subject_digest:
        raise _invalid("subject", f"has the digest {statement.subject_digest}, and the resources make {root}")
    return resources


def _check_serialization(value: dict[str, Any]) -> None:
    wanted = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    for name, setting in wanted.items():
        if value.get(name) != setting or type(value[name]) is not type(setting):
            raise _invalid(f"serialization.{name}", f"is {value.get(name)!r:.80}, not {setting!r}")
    if value.get("ignore_paths", []) not in ([], [SIGNATURE_NAME]):
        raise _invalid(
            "serialization.ignore_paths", f"may name {SIGNATURE_NAME!r} only: what is ignored is not signed"
        )
    unknown = sorted(value.keys() - wanted.keys() - {"ignore_paths"})
    if unknown:
        raise _invalid("serialization", f"has unknown settings: {', '.join(unknown)[:160]}")


def _parse_resource(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict) or value.keys() != {"name", "algorithm", "digest"}:
        raise _invalid("resources", "have one that is not a name, an algorithm and a digest")
    name, digest = value["name"], value["digest"]
    if value["algorithm"] != "sha256" or not isinstance(name, str):
        raise _invalid("resources", f"have one by another algorithm than sha256: {name!r:.80}")
    if not isinstance(digest, str) or not DIGEST_PATTERN.fullmatch(digest):
        raise _invalid("resources", f"have a digest that is not a SHA-256: {name!r:.80}")
    return name, digest


def _check_names(names: list[str]) -> None:
    try:
        for name in names:
            check_path(name)
        # The manifest's own name is free here, once.
        check_paths(_without_first(names, MANIFEST_NAME))
    except PathRefusedError as error:
        raise _invalid("resources", f"have a name that is refused: {error.message}") from error


def _without_first(names: list[str], name: str) -> Iterable[str]:
    at = names.index(name) if name in names else len(names)
    return [*names[:at], *names[at + 1 :]]


def _path_order(resource: tuple[str, str]) -> list[str]:
    """Order by the parts of the path, as the stock command does."""
    return resource[0].split("/")


def _root_digest(resources: Sequence[tuple[str, str]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in resources)).hexdigest()


def _object(value: Any, *, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SignatureInvalidError(f"the signature's {what} is not a JSON object")
    return value


def _invalid(field: str, problem: str) -> StatementInvalidError:
    return StatementInvalidError(f"the signature's {field} {problem}", metadata={"field": field})
