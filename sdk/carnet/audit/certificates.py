"""Entries of issued certificates: do they say what their certificates say, and whose authority was it?

Responsible for the certificates that ``certificate.issued`` entries rest on: each must be a one-time signing
certificate for the entry's actor and key, of about the entry's time, and by the authority that is pinned for
the environment. Does not ask what was signed with the key, nor whether the job's token was a good one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from carnet.audit.chain import CLOCK_SKEW
from carnet.audit.layout import read_document
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.errors import CarnetError
from carnet.signing.certificate import read_signing_certificate
from carnet.translog.entry import EntryType

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from carnet.audit.pins import EnvironmentPins
    from carnet.signing.certificate import SigningCertificate
    from carnet.translog.entry import Entry

# A certificate begins this much before it is issued, for clocks that are behind.
_BEGINS_BEFORE = timedelta(minutes=1)


def verify_certificates(
    directory: Path, pins: EnvironmentPins, entries: Iterable[tuple[int, Entry]], whole: frozenset[str]
) -> list[Finding]:
    """Check every entry of an issued certificate of an intact chain.

    Args:
        directory: The environment's part of the export.
        pins: What is trusted of the environment.
        entries: Its entries, with their indexes.
        whole: The digests of the documents whose bytes were verified; others have been reported.

    Returns:
        What was found.
    """
    findings: list[Finding] = []
    for index, entry in entries:
        if entry.type is not EntryType.CERTIFICATE_ISSUED:
            continue
        verdict, problem = Verdict.POLICY_VIOLATED, ""
        if entry.envelope_digest is None:
            verdict, problem = Verdict.INCOMPLETE, "it rests on no document"
        elif entry.envelope_digest in whole:
            verdict, problem = _judge(entry, read_document(directory, entry.envelope_digest), pins)
        if problem:
            text = f"{entry.type}: {problem}"
            findings.append(Finding(verdict, pins.name, index, text, describe_subject(entry)))
    return findings


def _judge(entry: Entry, document: bytes, pins: EnvironmentPins) -> tuple[Verdict, str]:
    """Say what is wrong with an entry of an issued certificate; empty if nothing is."""
    try:
        certificate = read_signing_certificate(document)
    except CarnetError as error:
        return Verdict.POLICY_VIOLATED, f"it rests on something else: {error.message}"
    problem = _difference(entry, certificate)
    if problem:
        return Verdict.POLICY_VIOLATED, problem
    if pins.authority is None:
        return Verdict.CANNOT_VERIFY, f"no signing authority of {pins.name} is pinned"
    if not pins.authority.issued(certificate):
        return (
            Verdict.CANNOT_VERIFY,
            f"it is by another authority than the one that is pinned for {pins.name}",
        )
    return Verdict.POLICY_VIOLATED, ""


def _difference(entry: Entry, certificate: SigningCertificate) -> str:
    if entry.subject.get("key") != certificate.key.key_id:
        return "its certificate is for another key"
    if (entry.actor.subject, entry.actor.issuer) != (certificate.subject, certificate.issuer):
        return f"its certificate is for {certificate.subject}, and {entry.actor.subject} was given it"
    begins = certificate.issued_at - CLOCK_SKEW
    if not begins <= entry.time <= certificate.issued_at + _BEGINS_BEFORE + CLOCK_SKEW:
        return f"its certificate was issued at another time, {certificate.issued_at:%Y-%m-%d %H:%M:%S} UTC"
    return ""
