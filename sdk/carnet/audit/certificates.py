"""Entries of issued certificates: do they say what their certificates say, and whose authority was it?

Responsible for the certificates that ``certificate.issued`` entries rest on: each must be a one-time signing
certificate for the entry's actor and key, of about the entry's time, and by the authority that is pinned for
the environment. Does not ask what was signed with the key, nor whether the job's token was a good one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.judging import CLOCK_SKEW, Judge, JudgedLog
from carnet.audit.report import Verdict
from carnet.errors import CarnetError
from carnet.signing.certificate import read_signing_certificate
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from carnet.audit.pins import EnvironmentPins
    from carnet.audit.statements import Record
    from carnet.signing.certificate import SigningCertificate
    from carnet.translog.entry import Entry

# A certificate begins this much before it is issued, for clocks that are behind.
_BEGINS_BEFORE = timedelta(minutes=1)


class CertificateJudge(Judge):
    """Checks every entry of an issued certificate.

    Args:
        log: The log.
        pins: What is trusted of the environment.
    """

    NAME = "certificates"
    TYPES = frozenset({EntryType.CERTIFICATE_ISSUED})

    def __init__(self, log: JudgedLog, pins: EnvironmentPins) -> None:
        super().__init__(log)
        self._pins = pins

    def step(self, record: Record) -> None:
        """Judge an entry of an issued certificate."""
        digest = record.entry.envelope_digest
        if digest is None:
            self.add(Verdict.INCOMPLETE, record, Code.DOCUMENT_MISSING, "it rests on no document")
            return
        document = self.log.document(digest)
        problem = self._problem(record.entry, document) if document is not None else None
        if problem:
            verdict, code, message = problem
            self.add(verdict, record, code, message)

    def _problem(self, entry: Entry, document: bytes) -> tuple[Verdict, Code, str] | None:
        """Say what is wrong with an entry of an issued certificate; None if nothing is."""
        try:
            certificate = read_signing_certificate(document)
        except CarnetError as error:
            message = f"it rests on something else: {error.message}"
            return Verdict.POLICY_VIOLATED, Code.DOCUMENT_INVALID, message
        problem = _difference(entry, certificate)
        if problem:
            return Verdict.POLICY_VIOLATED, Code.CERTIFICATE_MISMATCH, problem
        name, authority = self._pins.name, self._pins.authority
        if authority is None:
            message = f"no signing authority of {name} is pinned"
            return Verdict.CANNOT_VERIFY, Code.AUTHORITY_UNPINNED, message
        if not authority.issued(certificate):
            message = f"it is by another authority than the one that is pinned for {name}"
            return Verdict.CANNOT_VERIFY, Code.AUTHORITY_UNPINNED, message
        return None


def _difference(entry: Entry, certificate: SigningCertificate) -> str:
    if entry.subject.get("key") != certificate.key.key_id:
        return "its certificate is for another key"
    if (entry.actor.subject, entry.actor.issuer) != (certificate.subject, certificate.issuer):
        return f"its certificate is for {certificate.subject}, and {entry.actor.subject} was given it"
    begins = certificate.issued_at - CLOCK_SKEW
    if not begins <= entry.time <= certificate.issued_at + _BEGINS_BEFORE + CLOCK_SKEW:
        return f"its certificate was issued at another time, {certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC"
    return ""
