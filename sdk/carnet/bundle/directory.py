"""A bundle as a folder: its files, ``manifest.json`` and ``model.sig``.

Responsible for writing the two, and for verifying a folder by nothing but its bytes and the trusted keys: the
signature, the manifest that it covers, the size and SHA-256 of every file, and that nothing else is there.
Does not load a model.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from carnet.bundle.files import hash_file, list_files, open_file
from carnet.bundle.manifest import MAX_MANIFEST_BYTES, Manifest, parse_manifest
from carnet.bundle.paths import MANIFEST_NAME, RESERVED_NAMES, SIGNATURE_NAME
from carnet.canonical import sha256_hex
from carnet.errors import (
    DigestMismatchError,
    DocumentInvalidError,
    FileUnreadableError,
    IntegrityError,
    PathRefusedError,
    StatementInvalidError,
    StorageFullError,
)
from carnet.signing.model_signature import (
    MAX_SIGNATURE_BYTES,
    ModelSignature,
    check_covers,
    verify_model_signature,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from carnet.signing.certificate import SigningAuthority, SigningCertificate
    from carnet.signing.keys import VerificationKey


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """What a folder was found to be.

    Attributes:
        manifest: The manifest.
        digest: The bundle's digest.
        key_id: The id of the key that signed it.
        certificate: The signer's one-time certificate; None for a key that is trusted by itself.
    """

    manifest: Manifest
    digest: str
    key_id: str
    certificate: SigningCertificate | None = None


def write_metadata(directory: Path, manifest_bytes: bytes, signature: bytes) -> None:
    """Write ``manifest.json`` and ``model.sig`` into a folder, each at once or not at all.

    Args:
        directory: The folder with the bundle's files.
        manifest_bytes: The canonical manifest.
        signature: The model signature.

    Raises:
        StorageFullError: The disk is full.
        FileUnreadableError: The folder is missing or cannot be written.
    """
    for name, data in ((MANIFEST_NAME, manifest_bytes), (SIGNATURE_NAME, signature)):
        try:
            _write_at_once(directory / name, data)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (StorageFullError if full else FileUnreadableError)(
                f"{directory / name} cannot be written: {error.strerror or error}"
            ) from error


def verify_directory(
    path: Path,
    keys: Mapping[str, VerificationKey],
    *,
    authorities: Iterable[SigningAuthority] = (),
    progress: Callable[[int], None] | None = None,
) -> VerifiedBundle:
    """Verify a bundle's folder.

    Args:
        path: The folder.
        keys: The trusted keys, by key id.
        authorities: The trusted authorities of one-time certificates.
        progress: Told the size of each piece of a file that was hashed, in bytes.

    Returns:
        What it is.

    Raises:
        FileUnreadableError: The folder or a file in it cannot be read, or it is no bundle at all.
        KeyUntrustedError: It is signed by a key that is not trusted here.
        IntegrityError: A signature, the manifest or a file is not what it should be; a file is missing,
            added, or a symlink. The message names it.
    """
    try:
        present = list_files(path)
    except PathRefusedError as error:
        raise IntegrityError(f"{path}: {error.message}", metadata=error.metadata) from error
    missing = RESERVED_NAMES - set(present)
    if missing == RESERVED_NAMES:
        raise FileUnreadableError(f"{path} is no bundle: it has neither {MANIFEST_NAME} nor {SIGNATURE_NAME}")
    if missing:
        raise _wrong(min(missing), "is missing")
    data = _read(path, SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    signature = verify_model_signature(data, keys, authorities=authorities)
    manifest = _read_manifest(path, signature)
    check_covers(signature, manifest)
    _check_names(manifest, set(present))
    for file in manifest.files:
        size, digest = _hash(path, file.path, progress)
        if size != file.size_bytes:
            raise _wrong(file.path, f"has {size} bytes, and the manifest says {file.size_bytes}")
        if digest != file.digest:
            raise DigestMismatchError(
                f"{file.path}: has the SHA-256 {digest}, and the manifest says {file.digest}",
                metadata={"path": file.path},
            )
    return VerifiedBundle(manifest, manifest.digest, signature.key_id, signature.certificate)


def _read_manifest(path: Path, signature: ModelSignature) -> Manifest:
    data = _read(path, MANIFEST_NAME, MAX_MANIFEST_BYTES)
    signed = dict(signature.resources).get(MANIFEST_NAME)
    if signed != sha256_hex(data):
        raise DigestMismatchError(
            f"{MANIFEST_NAME}: has the SHA-256 {sha256_hex(data)}, and the signature says "
            f"{signed or 'nothing'}",
            metadata={"path": MANIFEST_NAME},
        )
    try:
        return parse_manifest(data)
    except DocumentInvalidError as error:
        raise StatementInvalidError(
            f"{MANIFEST_NAME} is signed, and is no manifest: {error.message}", metadata=error.metadata
        ) from error


def _check_names(manifest: Manifest, present: set[str]) -> None:
    wanted = {file.path for file in manifest.files} | RESERVED_NAMES
    for name in sorted(wanted - present):
        raise _wrong(name, "is missing")
    for name in sorted(present - wanted):
        raise _wrong(name, "is no file of the bundle: nobody signed it")


def _hash(path: Path, name: str, progress: Callable[[int], None] | None) -> tuple[int, str]:
    try:
        return hash_file(path, name, on_bytes=progress)
    except PathRefusedError as error:
        raise IntegrityError(error.message, metadata=error.metadata) from error


def _read(path: Path, name: str, max_bytes: int) -> bytes:
    try:
        with open_file(path, name) as file, io.BufferedReader(file) as reader:
            data = reader.read(max_bytes + 1)
    except PathRefusedError as error:
        raise IntegrityError(error.message, metadata=error.metadata) from error
    except OSError as error:
        raise FileUnreadableError(f"{path / name} cannot be read: {error.strerror or error}") from error
    if len(data) > max_bytes:
        raise _wrong(name, f"has more than {max_bytes} bytes")
    return data


def _wrong(name: str, problem: str) -> IntegrityError:
    shown = ascii(name)
    return IntegrityError(f"{shown} {problem}", metadata={"path": shown})


def _write_at_once(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
