"""A log of an export as it stood before any of its entries.

Responsible for finding, by index, what had been there: trust document, evidence, what people said, where an
alias pointed. Everything comes from entries whose chain is intact and from documents whose bytes hash to
their digests; verifies nothing itself.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carnet.audit.layout import read_bundle, read_document
from carnet.bundle.manifest import parse_manifest
from carnet.errors import CarnetError, NotFoundError
from carnet.translog.entry import EntryType
from carnet_policies.document import load_policy
from carnet_server.access.trust import load_trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from carnet.audit.statements import Record
    from carnet.bundle.manifest import Manifest
    from carnet.translog.entry import Entry
    from carnet_policies.document import Policy
    from carnet_server.access.trust import Trust

_MOVES = (EntryType.ALIAS_MOVED, EntryType.ALIAS_REMOVED)


class CannotTellError(Exception):
    """Something that a decision rests on is not in the export; it never leaves this package."""


@dataclass(slots=True)
class PastLog:
    """One environment's log and documents.

    Attributes:
        environment: Its name.
        folder: Its part of the export.
    """

    environment: str
    folder: Path
    decisions: list[Record] = field(default_factory=list)
    _trust: list[Record] = field(default_factory=list)
    _evidence: dict[tuple[object, object], list[Record]] = field(default_factory=lambda: defaultdict(list))
    _promotions: dict[object, list[Record]] = field(default_factory=lambda: defaultdict(list))
    _moves: dict[tuple[object, ...], list[Record]] = field(default_factory=lambda: defaultdict(list))
    _trust_read: dict[str, Trust] = field(default_factory=dict)
    _policies_read: dict[str, Policy] = field(default_factory=dict)

    @classmethod
    def of(cls, environment: str, folder: Path, records: Iterable[Record]) -> PastLog:
        """Sort the records of an intact chain by what they are about."""
        log = cls(environment, folder)
        for record in records:
            log._add(record)
        return log

    def _add(self, record: Record) -> None:
        entry = record.entry
        about = entry.subject
        if entry.type is EntryType.TRUST_CHANGED:
            self._trust.append(record)
        elif entry.type is EntryType.EVIDENCE_ADDED:
            self._evidence[about.get("namespace"), about.get("bundle_digest")].append(record)
        elif entry.type in _MOVES:
            self._moves[about.get("namespace"), about.get("model"), about.get("alias")].append(record)
        elif entry.type is EntryType.DECISION_MADE and entry.new == "PASSED":
            self.decisions.append(record)
        if "promotion" in about:
            self._promotions[about["promotion"]].append(record)

    def trust_before(self, index: int) -> Trust:
        """Return the trust document that was in force.

        Raises:
            CannotTellError: It is not in the export, or of a form that is not known here.
        """
        record = _last(self._trust, index)
        digest = record.entry.envelope_digest if record else None
        if digest is None:
            raise CannotTellError("the trust document that was in force is not named by the log")
        if digest not in self._trust_read:
            data = self.document(digest, "the trust document that was in force")
            try:
                self._trust_read[digest] = load_trust(data, environment=self.environment)
            except CarnetError as error:
                raise CannotTellError(f"the trust document cannot be read: {error.message}") from error
        return self._trust_read[digest]

    def policy(self, digest: str) -> Policy:
        """Return a policy by its digest.

        Raises:
            CannotTellError: It is not in the export, or of a form that is not known here.
        """
        if digest not in self._policies_read:
            data = self.document(digest, "the policy")
            try:
                self._policies_read[digest] = load_policy(data, name=f"policy {digest[:16]}…")
            except CarnetError as error:
                raise CannotTellError(error.message) from error
        return self._policies_read[digest]

    def document(self, digest: str, what: str) -> bytes:
        """Return a document.

        Raises:
            CannotTellError: It is not in the export.
        """
        try:
            return read_document(self.folder, digest)
        except CarnetError as error:
            raise CannotTellError(f"{what} ({digest}) is not in the export") from error

    def bundle(self, digest: str) -> tuple[Manifest, bytes]:
        """Return a bundle's manifest and its model signature.

        Raises:
            CannotTellError: They are not in the export.
        """
        try:
            manifest, signature = read_bundle(self.folder, digest)
            return parse_manifest(manifest), signature
        except NotFoundError as error:
            raise CannotTellError(f"the manifest {digest} is not in the export: make it anew") from error
        except CarnetError as error:
            raise CannotTellError(error.message) from error

    def evidence_before(
        self, namespace: str, bundle_digest: str, index: int
    ) -> Iterator[tuple[Entry, bytes]]:
        """Yield the evidence that was there about a bundle, the oldest first, each with its entry."""
        seen: set[str] = set()
        for record in self._evidence.get((namespace, bundle_digest), ()):
            digest = record.entry.envelope_digest
            if record.index < index and digest and digest not in seen:
                seen.add(digest)
                yield record.entry, self.document(digest, "evidence")

    def of_promotion(self, promotion: str, index: int, *types: EntryType) -> list[Record]:
        """Return the entries of some types about a promotion before an index, in order."""
        return [
            each
            for each in self._promotions.get(promotion, ())
            if each.index < index and each.entry.type in types
        ]

    def alias_before(self, namespace: str, model: str, alias: str, index: int) -> str:
        """Return the digest of the bundle that an alias pointed at; empty where it was not set."""
        record = _last(self._moves.get((namespace, model, alias), ()), index)
        if record is None or record.entry.type is EntryType.ALIAS_REMOVED:
            return ""
        return str(record.entry.subject.get("bundle_digest", ""))


def _last(records: Iterable[Record], index: int) -> Record | None:
    found = None
    for record in records:
        if record.index >= index:
            break
        found = record
    return found
