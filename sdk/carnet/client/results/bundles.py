"""Answers about bundles: published, pulled, and verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from carnet.bundle.manifest import Manifest
    from carnet.client.results.receipts import VerifiedReceipt
    from carnet.references import Reference
    from carnet.stamps.report import VerifiedStamps


@dataclass(frozen=True, slots=True, kw_only=True)
class PushResult:
    """A publication.

    Attributes:
        reference: The version.
        bundle_digest: The SHA-256 of its canonical manifest.
        already_published: Whether this very content was published before; nothing was changed then.
        size_bytes: The sum of the files' sizes.
        receipt: The verified receipt of its entry.
    """

    reference: Reference
    bundle_digest: str
    already_published: bool
    size_bytes: int
    receipt: VerifiedReceipt


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledBundle:
    """A bundle on this disk, verified to the last file.

    Attributes:
        reference: The version, by its number.
        path: The directory.
        bundle_digest: The SHA-256 of its canonical manifest.
        signer: Who signed it, by the pinned key.
        already_there: Whether the directory was this very bundle before; nothing was changed then.
        manifest: The manifest.
        stamps: What its stamps say, verified; None where there are none or not all could be judged here.
        stamps_path: The folder with the stamps; None where there are none.
        stamps_problem: Why there are none, or which key is not pinned to judge them by; empty otherwise.
    """

    reference: Reference
    path: Path
    bundle_digest: str
    signer: str
    already_there: bool
    manifest: Manifest
    stamps: VerifiedStamps | None = None
    stamps_path: Path | None = None
    stamps_problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle whose manifest, signature and every file were verified, on this disk or in a registry.

    Attributes:
        subject: The bundle's name, ``HOME/NAMESPACE/MODEL@VERSION``.
        where: The directory or the reference that was verified.
        bundle_digest: The SHA-256 of its canonical manifest.
        signer: Who signed it, by the pinned key.
        file_count: How many files were hashed.
        size_bytes: Their size.
        evidence_count: How many attestations were verified; 0 for a directory without stamps.
        receipt: The receipt of its arrival or of the alias's move; None for a directory.
        stamps: What a directory's stamps say; None where it has none, and for a version in a registry.
    """

    subject: str
    where: str
    bundle_digest: str
    signer: str
    file_count: int
    size_bytes: int
    evidence_count: int
    receipt: VerifiedReceipt | None
    stamps: VerifiedStamps | None = None
