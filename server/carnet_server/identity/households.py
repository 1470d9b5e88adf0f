"""The files of a federation that identities are about: the authority, the identities and the trust documents.

Responsible for finding and reading them below the federation's folder. Writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from carnet.client.federation import FILE_NAME, Federation
from carnet.documents import read_file
from carnet.errors import DocumentInvalidError, FileUnreadableError, NotFoundError
from carnet_server.access.trust import Trust, load_trust
from carnet_server.config import load_config
from carnet_server.local.authority import Authority

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_SPIFFE = "spiffe://"


@dataclass(frozen=True, slots=True)
class TrustFile:
    """The trust document of an environment, and how many people must sign it."""

    environment: str
    path: Path
    signatures: int = 0

    def load(self, data: bytes | None = None) -> Trust:
        """Read the document, or what it is to be.

        Raises:
            FileUnreadableError: It cannot be read.
            DocumentInvalidError: It is not a trust document of this environment.
        """
        data = read_file(self.path, what="the trust document") if data is None else data
        return load_trust(data, name=str(self.path), environment=self.environment)


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What people ask of a certificate.

    Attributes:
        subject: Its SPIFFE id.
        serial: Its serial number, hex.
        fingerprint: The SHA-256 of its DER form, hex.
        valid_until: When it ends.
    """

    subject: str
    serial: str
    fingerprint: str
    valid_until: datetime


def trust_files(folder: Path) -> dict[str, TrustFile]:
    """Return the trust documents of the environments whose files are in a federation's folder, by name.

    Raises:
        FileUnreadableError: A configuration cannot be read.
        DocumentInvalidError: A configuration breaks its schema.
    """
    configs = [load_config(path) for path in sorted(folder.glob("environments/*/environment.yaml"))]
    return {
        config.name: TrustFile(
            config.name,
            config.trust,
            config.document_signers.wanted if config.document_signers else 0,
        )
        for config in configs
    }


def trust_file(folder: Path, environment: str) -> TrustFile:
    """Return the trust document of an environment.

    Raises:
        NotFoundError: The folder has no files of that environment.
    """
    found = trust_files(folder)
    if environment not in found:
        raise NotFoundError(
            f"{folder} has no files of the environment {environment!r}; it has {', '.join(found) or 'none'}"
        )
    return found[environment]


def load_federation(folder: Path) -> Federation:
    """Read the federation's own document; see ``Federation.load``."""
    return Federation.load(folder)


def federation_file(folder: Path) -> Path:
    """Return the federation's own document."""
    return folder / FILE_NAME


def read_facts(path: Path) -> CertificateFacts:
    """Read a certificate's file.

    Raises:
        FileUnreadableError: It cannot be read.
        DocumentInvalidError: It is no certificate with one SPIFFE id.
    """
    try:
        certificate = x509.load_pem_x509_certificate(read_file(path, what="certificate"))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise DocumentInvalidError(f"{path} is no certificate with a SPIFFE id: {error}") from error
    subjects = [
        each for each in names.get_values_for_type(x509.UniformResourceIdentifier) if each.startswith(_SPIFFE)
    ]
    if len(subjects) != 1:
        raise DocumentInvalidError(f"{path} has {len(subjects)} SPIFFE ids; one is wanted")
    return CertificateFacts(
        subjects[0],
        f"{certificate.serial_number:x}",
        certificate.fingerprint(SHA256()).hex(),
        certificate.not_valid_after_utc,
    )


def load_authority(folder: Path) -> tuple[Authority, str]:
    """Read the federation's authority and its SPIFFE trust domain.

    Raises:
        FileUnreadableError: It is not below the folder, or cannot be read.
        DocumentInvalidError: It is not an authority of one trust domain.
    """
    place = folder / "ca"
    for name in ("ca.pem", "ca-key.pem"):
        read_file(place / name, what="the authority's")
    try:
        authority = Authority.load(place)
        domain = read_facts(place / "ca.pem").subject.removeprefix(_SPIFFE)
    except (ValueError, TypeError, AssertionError) as error:
        raise DocumentInvalidError(f"{place} does not have an authority that can issue: {error}") from error
    except OSError as error:
        raise FileUnreadableError(f"{place} cannot be read: {error}") from error
    return authority, domain
