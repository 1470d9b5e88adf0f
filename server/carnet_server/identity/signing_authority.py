"""The signing authority of this environment: the certificate and the key with which jobs' keys are certified.

Responsible for reading them as ``environment.yaml`` names them, for checking that they belong together and
are an authority's, and for taking renewed files without a restart. Invariant: a pair that does not fit is
never used; the last good one stays. Decides nothing about who gets a certificate.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.documents import read_file
from carnet.errors import CarnetError, DocumentInvalidError, PreconditionFailedError
from carnet.signing.certificate import SigningAuthority, issue_signing_certificate

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from carnet.signing.certificate import SigningCertificate, TokenFacts
    from carnet.signing.keys import VerificationKey
    from carnet_server.config import SigningAuthorityConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuthorityPair:
    """An authority's certificate and its key, which belong together."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def load_pair(certificate: Path, key: Path) -> AuthorityPair:
    """Read a signing authority from its files.

    Args:
        certificate: The authority's certificate, PEM.
        key: Its key, PEM without a passphrase.

    Raises:
        FileUnreadableError: A file is missing or cannot be read.
        DocumentInvalidError: One is not what it must be, or they do not belong together.
    """
    data = read_file(certificate, what="the signing authority's certificate")
    key_data = read_file(key, what="the signing authority's key")
    try:
        SigningAuthority.from_pem(data)
    except CarnetError as error:
        raise DocumentInvalidError(
            f"signing_authority.certificate: {certificate}: {error.message}"
        ) from error
    try:
        private = serialization.load_pem_private_key(key_data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DocumentInvalidError(
            f"signing_authority.key: {key} is not a private key in PEM form without a passphrase"
        ) from error
    found = x509.load_pem_x509_certificate(data)
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != found.public_key():
        raise DocumentInvalidError(f"signing_authority.key: {key} is not the key of {certificate}")
    return AuthorityPair(found, private)


class FollowedAuthority:
    """The environment's signing authority, which follows its files; thread-safe.

    Args:
        config: Where the files are, and for how long it certifies.

    Raises:
        FileUnreadableError: A file cannot be read.
        DocumentInvalidError: They are not an authority's certificate and its key.
    """

    def __init__(self, config: SigningAuthorityConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self._refused: object = None
        self._pair = load_pair(config.certificate, config.key)

    def issue(
        self, key: VerificationKey, token: TokenFacts, payload_digest: str, *, now: datetime
    ) -> SigningCertificate:
        """Certify a key for one token and one payload; reads the files anew where they changed.

        Args:
            key: The key.
            token: Whom it is for.
            payload_digest: The SHA-256 of the only bytes that it may sign.
            now: The clock.

        Raises:
            InvalidInputError: What the certificate would say cannot be said in one.
            PreconditionFailedError: The authority's own certificate is not valid now.
        """
        pair = self._current()
        begins, ends = pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
        if not begins <= now < ends:
            raise PreconditionFailedError(
                f"the signing authority of this environment is valid from {begins:%Y-%m-%d %H:%M} to "
                f"{ends:%Y-%m-%d %H:%M} UTC, and not now: an administrator renews it with "
                "`carnet identity authority --renew`"
            )
        return issue_signing_certificate(
            key,
            token,
            payload_digest,
            authority=pair.certificate,
            authority_key=pair.key,
            now=now,
            valid_for=self._config.valid_for,
        )

    def _current(self) -> AuthorityPair:
        with self._lock:
            stamps = self._stamps()
            if stamps != self._seen:
                self._take(stamps)
            return self._pair

    def _take(self, stamps: object) -> None:
        try:
            self._pair = load_pair(self._config.certificate, self._config.key)
        except CarnetError as error:
            # Files that are replaced one after the other do not fit for a moment, so it is tried again.
            if stamps != self._refused:
                logger.error(  # noqa: TRY400  a file to correct, not a defect
                    "the changed signing authority is not used, the last good one stays: %s", error.message
                )
            self._refused = stamps
            return
        self._seen, self._refused = stamps, None
        logger.info("the signing authority in %s was renewed", self._config.certificate)

    def _stamps(self) -> object:
        return tuple(map(_stamp, (self._config.certificate, self._config.key)))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
