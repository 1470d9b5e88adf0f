"""The documents that entries rest on: are they there, and whole?

Responsible for comparing every document with the digest that names it, whether an entry asks for it or not,
and for handing them out to whoever judges them: each is read when its entry's turn comes, and the newest
small ones are kept for what rests on them next. Does not read what they say.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from carnet.audit.codes import Code
from carnet.audit.layout import ENVELOPES, read_document
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.canonical import DIGEST_PATTERN
from carnet.errors import CarnetError, DigestMismatchError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from carnet.translog.entry import Entry

_KEPT_MAX: Final = 256
_KEPT_MAX_BYTES: Final = 64 * 1024


class Documents:
    """The documents of one environment in an export.

    Args:
        directory: The environment's part of the export.
        environment: Its name.
        named: The digests of the documents that the entries before rest on, which were whole; as bytes.
        signatures: The digests of the signatures of changed documents before, which were whole.
        erased: The documents that entries say were erased, each with the index of the first that does.

    Attributes:
        named: The digests of all documents that entries rest on, so far.
        signatures: The digests of the signatures that were kept with changed documents, so far.
        gone: The digests of those that are not there because a later entry erased them, so far.
        problems: What is wrong with a document, by its digest.
    """

    def __init__(
        self,
        directory: Path,
        environment: str,
        named: set[bytes] | None = None,
        signatures: set[bytes] | None = None,
        *,
        erased: Mapping[str, int] | None = None,
    ) -> None:
        self.named = named if named is not None else set()
        self.signatures = signatures if signatures is not None else set()
        self.gone: set[str] = set()
        self.problems: dict[str, Finding] = {}
        self._erased = erased if erased is not None else {}
        self._directory = directory
        self._environment = environment
        self._kept: dict[str, bytes] = {}

    @property
    def whole(self) -> int:
        """How many documents that entries rest on were found whole."""
        named = len(self.named) + len(self.signatures - self.named)
        return named - len(self.problems) - len(self.gone)

    def is_named(self, digest: str) -> bool:
        """Whether an entry so far rests on it; its signatures do not count."""
        return bytes.fromhex(digest) in self.named

    def take(self, index: int, entry: Entry) -> None:
        """Read the documents of the next entry, and insist on their digests."""
        for digest in entry.documents:
            key = bytes.fromhex(digest)
            known = key in self.named or key in self.signatures
            (self.named if digest == entry.envelope_digest else self.signatures).add(key)
            if known:
                continue
            try:
                self._read(digest)
            except CarnetError as error:
                if isinstance(error, NotFoundError) and self._erased.get(digest, -1) > index:
                    self.gone.add(digest)
                    continue
                self.problems[digest] = Finding(
                    *_kind(error), self._environment, index, _message(digest, error), describe_subject(entry)
                )

    def take_up_gone(self, digest: str) -> None:
        """Know that a document was erased before the entries that are taken here."""
        if self.is_named(digest):
            self.gone.add(digest)

    def is_gone(self, digest: str, index: int) -> bool:
        """Whether a document that an entry rests on was erased after that entry, and is not there whole."""
        return self._erased.get(digest, -1) > index and self.read(digest) is None

    def read(self, digest: str) -> bytes | None:
        """Return the bytes of a document; None for one that was erased, or not whole, which is told."""
        if digest in self.problems or digest in self.gone:
            return None
        try:
            return self._read(digest)
        except CarnetError as error:
            if digest not in self._erased:
                finding = Finding(*_kind(error), self._environment, None, _message(digest, error))
                self.problems[digest] = finding
            return None

    def finish(self) -> list[Finding]:
        """Check the documents that no entry names, and return everything that is wrong."""
        return [*self.problems.values(), *self._unnamed()]

    def _read(self, digest: str) -> bytes:
        data = self._kept.get(digest)
        if data is None:
            data = read_document(self._directory, digest)
            if len(data) <= _KEPT_MAX_BYTES:
                if len(self._kept) >= _KEPT_MAX:
                    del self._kept[next(iter(self._kept))]
                self._kept[digest] = data
        return data

    def _unnamed(self) -> list[Finding]:
        findings: list[Finding] = []
        folder = self._directory / ENVELOPES
        try:
            with os.scandir(folder) as items:
                names = (each.name for each in items if not each.is_dir(follow_symlinks=False))
                strangers = sorted(name for name in names if self._is_unnamed(name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            message = f"{folder} cannot be read: {error.strerror}"
            return [Finding(Verdict.INCOMPLETE, Code.DOCUMENT_MISSING, self._environment, None, message)]
        for name in strangers:
            try:
                read_document(self._directory, name)
            except CarnetError as error:
                findings.append(Finding(*_kind(error), self._environment, None, _message(name, error)))
        return findings

    def _is_unnamed(self, name: str) -> bool:
        if not DIGEST_PATTERN.fullmatch(name):
            return False
        key = bytes.fromhex(name)
        return key not in self.named and key not in self.signatures


def _kind(error: CarnetError) -> tuple[Verdict, Code]:
    if isinstance(error, DigestMismatchError):
        return Verdict.TAMPERED, Code.DOCUMENT_CHANGED
    return Verdict.INCOMPLETE, Code.DOCUMENT_MISSING


def _message(digest: str, error: CarnetError) -> str:
    if isinstance(error, NotFoundError):
        return f"the document {digest} that the entry rests on is not in the export"
    return error.message
