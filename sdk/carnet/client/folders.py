"""Verifying what lies on a disk, with pinned keys and no network: a bundle's folder, its stamps, one receipt.

Responsible for where the keys come from, ``federation.yaml`` or a file with pins, and for what is to be said
of a folder that has no stamps. Connects to nobody.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.bundle.directory import verify_directory
from carnet.bundle.files import hash_file
from carnet.bundle.paths import RESERVED_NAMES, SIGNATURE_NAME
from carnet.client.audit_memory import federation_pins, read_pins
from carnet.client.results import VerifiedBundle, VerifiedReceipt
from carnet.documents import read_file
from carnet.errors import FileUnreadableError, IntegrityError, StatementInvalidError
from carnet.stamps.folder import folder_of, read_folder
from carnet.stamps.stamp import STAMP_MAX_BYTES, read_receipt
from carnet.stamps.verify import check_receipt_alone, verify_list, verify_stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from carnet.audit.pins import Pins
    from carnet.bundle.manifest import Manifest
    from carnet.client.federation import Federation
    from carnet.client.progress import Progress
    from carnet.signing.certificate import SigningAuthority, SigningCertificate
    from carnet.signing.keys import VerificationKey
    from carnet.stamps.report import VerifiedStamps

RECEIPT_SUFFIX = ".tlog-proof"


@dataclass(frozen=True, slots=True)
class PinnedKeys:
    """What is trusted for verifying files.

    Attributes:
        signers: The keys of whoever may sign bundles, by key id.
        authorities: The authorities of one-time certificates.
        name_of: Tells who holds a key, or a certificate, for people.
        pins: Gives the keys of environments and people; made only where it is needed.
    """

    signers: Mapping[str, VerificationKey]
    authorities: tuple[SigningAuthority, ...]
    name_of: Callable[[str, SigningCertificate | None], str]
    pins: Callable[[], Pins]

    @classmethod
    def of_federation(cls, federation: Federation) -> PinnedKeys:
        """Return what a federation pins."""
        return cls(
            federation.keys,
            federation.authorities,
            federation.statement_signer,
            lambda: federation_pins(federation),
        )

    @classmethod
    def of_file(cls, path: Path) -> PinnedKeys:
        """Return what a file pins.

        Raises:
            FileUnreadableError: It cannot be read.
            DocumentInvalidError: It has no pins, or one is not a key.
        """
        pins = read_pins(path)
        return cls(
            pins.people_keys,
            pins.authorities,
            lambda key_id, certificate: certificate.subject if certificate else pins.holder_of(key_id),
            lambda: pins,
        )


def verify_bundle_folder(
    path: Path,
    trusted: PinnedKeys,
    *,
    stamps: Path | None = None,
    require: str = "",
    progress: Progress | None = None,
) -> VerifiedBundle:
    """Verify a bundle's folder, and the stamps beside it.

    Args:
        path: The bundle's folder.
        trusted: The keys.
        stamps: The folder of the stamps, which must be there; None for the one beside the bundle, if any.
        require: An environment that it must have come through by its stamps; empty for none.
        progress: Told of the stage ``verifying``, in bytes.

    Raises:
        FileUnreadableError: A folder cannot be read, or is no bundle.
        IntegrityError: A file, signature or stamp is not what it should be, missing or left over; or it did
            not come through the environment; the message names it.
    """
    total = _size_of_files(path) if progress else 0
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        if progress:
            progress("verifying", done, total)

    found = verify_directory(path, trusted.signers, authorities=trusted.authorities, progress=count)
    folder = folder_of(path) if stamps is None else stamps
    verified = None
    if stamps is not None or os.path.lexists(folder):
        verified = verify_stamp_folder(
            folder, found.manifest, hash_file(path, SIGNATURE_NAME)[1], trusted.pins()
        )
    _require(path, folder, verified, require)
    files = found.manifest.files
    return VerifiedBundle(
        subject=found.manifest.subject_name,
        where=str(path),
        bundle_digest=found.digest,
        signer=trusted.name_of(found.key_id, found.certificate),
        file_count=len(files),
        size_bytes=sum(file.size_bytes for file in files),
        evidence_count=verified.evidence_count if verified else 0,
        receipt=None,
        stamps=verified,
    )


def verify_stamp_folder(folder: Path, manifest: Manifest, signature: str, pins: Pins) -> VerifiedStamps:
    """Verify the stamps in a folder against a bundle that was verified.

    Args:
        folder: The folder.
        manifest: The bundle's manifest.
        signature: The SHA-256 of its model signature.
        pins: The keys.

    Raises:
        FileUnreadableError: The folder cannot be read.
        IntegrityError: A stamp does not hold; the message names it.
    """
    read = read_folder(folder)
    try:
        listed = verify_list(read.list, manifest, pins)
        if listed.signature != signature:
            raise StatementInvalidError("model.sig is not the signature that the list of stamps names")
        return verify_stamps(manifest, listed, read.documents, pins)
    except IntegrityError as error:
        raise type(error)(f"{folder}: {error.message}", metadata=error.metadata) from error


def verify_receipt_file(path: Path, pins: Pins) -> VerifiedReceipt:
    """Verify one receipt's file by itself.

    Args:
        path: The file, ``.tlog-proof``.
        pins: The keys.

    Raises:
        FileUnreadableError: It cannot be read.
        IntegrityError: It does not hold, or is of a log that is not pinned.
    """
    data = read_file(path, what="receipt")
    if len(data) > STAMP_MAX_BYTES:
        raise IntegrityError(f"{path} has more than {STAMP_MAX_BYTES} bytes: it is no receipt")
    try:
        stamp = read_receipt(data)
        environment = check_receipt_alone(stamp, pins)
    except IntegrityError as error:
        raise type(error)(f"{path}: {error.message}", metadata=error.metadata) from error
    return VerifiedReceipt(environment=environment, entry=stamp.entry, receipt=stamp.receipt)


def is_receipt_file(path: Path) -> bool:
    """Whether a path is one receipt, by its name."""
    return path.name.endswith(RECEIPT_SUFFIX) and not path.is_dir()


def _require(path: Path, folder: Path, verified: VerifiedStamps | None, environment: str) -> None:
    if verified is not None and verified.revoked:
        raise StatementInvalidError(
            f"{path}: {verified.environment} had revoked the version when it was pulled "
            f"({verified.as_of:%Y-%m-%d})"
        )
    if not environment:
        return
    if verified is None:
        raise FileUnreadableError(
            f"{path} has no stamps ({folder} is missing), so nothing shows that it was admitted to "
            f"{environment}: pull it again"
        )
    if not verified.came_through(environment):
        way = " → ".join(stop.environment for stop in verified.stops)
        raise StatementInvalidError(f"{path} was not admitted to {environment}: its way is {way}")


def _size_of_files(path: Path) -> int:
    """Return the size of a bundle's files, for telling progress."""
    return sum(
        each.stat().st_size
        for each in path.rglob("*")
        if each.is_file() and str(each.relative_to(path)) not in RESERVED_NAMES
    )
