"""Identities that are revoked: subjects, and single certificates by serial number or fingerprint.

Responsible for what ``revoked`` in the trust document says and for finding who is meant. An entry counts from
the moment that the document is in force, on every call; its ``since`` says from when on the identity is to be
taken as somebody else's, for people who look at what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from carnet_server.access.subjects import Strict, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from carnet_server.access.certificates import PeerCertificate


class Revocation(Strict):
    """One revoked identity: exactly one of its three names.

    ``subject`` takes the roles of a subject and the belief in its keys; the others stop one certificate, so
    that its subject goes on with another. ``serial`` and ``fingerprint`` (SHA-256 of the DER form) are hex.
    """

    subject: Subject | None = None
    serial: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,40}$")] | None = None
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    since: AwareDatetime
    reason: Annotated[str, StringConstraints(max_length=500)] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if sum(each is not None for each in (self.subject, self.serial, self.fingerprint)) != 1:
            raise ValueError("exactly one of subject, serial and fingerprint is wanted")
        return self


@dataclass(frozen=True)
class Revocations:
    """Who is revoked, ready to be looked up."""

    _subjects: Mapping[str, Revocation]
    _serials: Mapping[str, Revocation]
    _fingerprints: Mapping[str, Revocation]

    @classmethod
    def of(cls, entries: Iterable[Revocation]) -> Revocations:
        """Put entries together by what they name."""
        found = tuple(entries)
        return cls(
            {each.subject: each for each in found if each.subject is not None},
            {each.serial.lstrip("0") or "0": each for each in found if each.serial is not None},
            {each.fingerprint: each for each in found if each.fingerprint is not None},
        )

    def of_subject(self, subject: str) -> Revocation | None:
        """The revocation of a subject; None where it is in order."""
        return self._subjects.get(subject)

    def of_certificate(self, certificate: PeerCertificate) -> Revocation | None:
        """The revocation of a certificate; None where it is in order."""
        return self._serials.get(certificate.serial) or self._fingerprints.get(certificate.fingerprint)
