"""The documents that entries rest on: are they there, and whole?

Responsible for comparing every document with the digest that names it, whether an entry asks for it or not.
Does not read them (``carnet.audit.statements``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.layout import ENVELOPES, files_below, read_document
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.canonical import DIGEST_PATTERN
from carnet.errors import CarnetError, DigestMismatchError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from carnet.audit.erasures import Erasures
    from carnet.translog.entry import Entry


def verify_documents(
    directory: Path, environment: str, entries: Iterable[tuple[int, Entry]], erasures: Erasures
) -> tuple[frozenset[str], list[Finding]]:
    """Check every document of one environment in an export.

    Args:
        directory: The environment's part of the export.
        environment: Its name.
        entries: Its entries, with their indexes.
        erasures: What its entries say of erased documents, which are not missing; is shown every entry.

    Returns:
        The digests of the documents that entries name and that are whole, and what was found.
    """
    findings: list[Finding] = []
    whole: set[str] = set()
    seen: set[str] = set()
    for index, entry in entries:
        erasures.step(index, entry)
        for digest in entry.documents:
            if digest in seen:
                continue
            seen.add(digest)
            try:
                read_document(directory, digest)
                whole.add(digest)
            except CarnetError as error:
                if isinstance(error, NotFoundError) and erasures.explains(digest, index):
                    continue
                text = _message(digest, error)
                findings.append(Finding(_verdict(error), environment, index, text, describe_subject(entry)))
    return frozenset(whole), findings + _unnamed(directory, environment, seen)


def _unnamed(directory: Path, environment: str, seen: set[str]) -> list[Finding]:
    findings = []
    try:
        for name in files_below(directory / ENVELOPES):
            if name in seen or not DIGEST_PATTERN.fullmatch(name):
                continue
            try:
                read_document(directory, name)
            except CarnetError as error:
                findings.append(Finding(_verdict(error), environment, None, _message(name, error)))
    except CarnetError as error:
        findings.append(Finding(Verdict.INCOMPLETE, environment, None, error.message))
    return findings


def _verdict(error: CarnetError) -> Verdict:
    return Verdict.TAMPERED if isinstance(error, DigestMismatchError) else Verdict.INCOMPLETE


def _message(digest: str, error: CarnetError) -> str:
    if isinstance(error, NotFoundError):
        return f"the document {digest} that the entry rests on is not in the export"
    return error.message
