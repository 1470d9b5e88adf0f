"""Identities that are revoked: subjects, single certificates by serial number or fingerprint, and keys.

Responsible for what ``revoked`` in the trust document says and for finding who is meant. An entry counts from
the moment that the document is in force, on every call; its ``since`` says from when on the identity is to be
taken as somebody else's, for people who look at what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from carnet.errors import UnauthenticatedError
from carnet.serving.callers.subjects import Strict, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carnet.serving.callers.certificates import PeerCertificate
    from carnet.signing.certificate import SigningCertificate


class Revocation(Strict):
    """One revoked identity: exactly one of its four names.

    ``subject`` takes the roles of a subject and the belief in its keys; ``key`` takes the belief in one
    signing key, so that its subject signs on with another; the others stop one certificate, likewise.
    ``serial``, ``fingerprint`` (SHA-256 of the DER form) and ``key`` (a key's id) are hex.
    """

    subject: Subject | None = None
    serial: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,40}$")] | None = None
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    since: AwareDatetime
    reason: Annotated[str, StringConstraints(max_length=500)] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if sum(each is not None for each in (self.subject, self.serial, self.fingerprint, self.key)) != 1:
            raise ValueError("exactly one of subject, serial, fingerprint and key is wanted")
        return self


@dataclass(frozen=True)
class Revocations:
    """Who is revoked, ready to be looked up."""

    _subjects: Mapping[str, Revocation]
    _serials: Mapping[str, Revocation]
    _fingerprints: Mapping[str, Revocation]
    _keys: Mapping[str, Revocation]

    @classmethod
    def of(cls, entries: Iterable[Revocation]) -> Revocations:
        """Put entries together by what they name."""
        found = tuple(entries)
        return cls(
            {each.subject: each for each in found if each.subject is not None},
            {each.serial.lstrip("0") or "0": each for each in found if each.serial is not None},
            {each.fingerprint: each for each in found if each.fingerprint is not None},
            {each.key: each for each in found if each.key is not None},
        )

    def of_subject(self, subject: str) -> Revocation | None:
        """The revocation of a subject; None where it is in order."""
        return self._subjects.get(subject)

    def of_certificate(self, certificate: PeerCertificate) -> Revocation | None:
        """The revocation of a certificate; None where it is in order."""
        return self._serials.get(certificate.serial) or self._fingerprints.get(certificate.fingerprint)

    def of_key(self, key_id: str) -> Revocation | None:
        """The revocation of a signing key by its id; None where it is in order."""
        return self._keys.get(key_id)

    def of_signing_certificate(self, certificate: SigningCertificate) -> Revocation | None:
        """The revocation of a one-time certificate or its key; None where it is in order."""
        return (
            self._serials.get(certificate.serial)
            or self._fingerprints.get(certificate.fingerprint)
            or self._keys.get(certificate.key.key_id)
        )


def revoked(subject: str, revocation: Revocation, *, mend: str) -> UnauthenticatedError:
    """Return the error of a caller whose identity is revoked.

    Args:
        subject: The caller's subject, which the error's metadata names too.
        revocation: The entry that says so.
        mend: Who can do what about it.
    """
    what = subject if revocation.subject is not None else f"this certificate of {subject}"
    return UnauthenticatedError(
        f"{what} is revoked here, compromised since {revocation.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: "
        f"{mend}",
        metadata={"subject": subject},
    )
