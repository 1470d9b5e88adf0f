"""The second pass over a log: every entry of an intact chain, once, past every judge, bundle by bundle.

Responsible for reading the same bytes that the first pass hashed, for joining each entry with its documents
and its statement, and for handing the record to whoever watches and to every judge that wants its type. What
judges remember is a reference, the index and the leaf hash, and is read again when it is asked for.

Invariants: a bundle whose bytes are others than in the first pass is a finding, and ends the walk; a record
that is recalled has the leaf hash of the reference. Memory does not grow with the entries, but for what the
judges keep.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from carnet.audit.codes import Code
from carnet.audit.documents import Documents
from carnet.audit.judges import Judges
from carnet.audit.judging import INDEX_BYTES, JudgedLog
from carnet.audit.layout import read_tile
from carnet.audit.report import EnvironmentSummary, Finding, Verdict
from carnet.audit.statements import Statements
from carnet.errors import CarnetError, InvalidInputError, LogTamperedError
from carnet.translog.entry import parse_entry
from carnet.translog.tiles import ENTRIES_LEVEL, TILE_WIDTH, Tile, parse_bundle
from carnet.translog.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.audit.chain import Chain
    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record
    from carnet.translog.checkpoint import Checkpoint
    from carnet.translog.entry import Entry

_RECALLED_MAX: Final = 1024


class LogWalk(JudgedLog):
    """A log in an export, on its way past the judges.

    Args:
        directory: The environment's part of the export.
        chain: What the first pass found; intact.
        checkpoint: Its signed tree head.
        pins: What the auditor trusts.

    Attributes:
        documents: The documents that its entries rest on.
        judges: Its judges.
        findings: What is wrong, once it was walked.
    """

    def __init__(self, directory: Path, chain: Chain, checkpoint: Checkpoint, pins: Pins) -> None:
        super().__init__(chain.environment)
        self._directory = directory
        self._chain = chain
        self._checkpoint = checkpoint
        self.erased = chain.erased
        self.documents = Documents(directory, chain.environment, erased=self.erased)
        self.judges = Judges(self, pins)
        self.findings: list[Finding] = []
        self._statements = Statements(chain.environment, pins, self.documents)
        self._recalled: dict[bytes, Record] = {}
        self._first, self._bundle = 0, list[bytes]()
        self._references: dict[int, bytes] = {}  # of this bundle: judges share them

    # --- what judges ask ------------------------------------------------------------------------------------

    def document(self, digest: str) -> bytes | None:
        """Return the bytes of a document; None for one that was not found whole, which is told elsewhere."""
        return self.documents.read(digest)

    def is_named(self, digest: str) -> bool:
        """Whether an entry so far rests on this document."""
        return self.documents.is_named(digest)

    def remember(self, record: Record) -> bytes:
        """Return a reference to the record that is being judged."""
        reference = self._references.get(record.index)
        if reference is None:
            data = self._bundle[record.index - self._first]
            reference = record.index.to_bytes(INDEX_BYTES, "big") + leaf_hash(data)
            self._references[record.index] = reference
            self._keep(reference, record)
        return reference

    def recall(self, reference: bytes) -> Record:
        """Return a record again: from memory, or from the log.

        Raises:
            LogTamperedError: It is not there as it was.
        """
        record = self._recalled.get(reference)
        if record is None:
            index = int.from_bytes(reference[:INDEX_BYTES], "big")
            bundle = index // TILE_WIDTH
            width = min(TILE_WIDTH, self._checkpoint.size - bundle * TILE_WIDTH)
            data = read_tile(self._directory, Tile(ENTRIES_LEVEL, bundle, width))
            (entry,) = parse_bundle(data, width=width)[index % TILE_WIDTH :][:1] or (b"",)
            if leaf_hash(entry) != reference[INDEX_BYTES:]:
                raise LogTamperedError(f"entry {index} is another than it was when it was verified")
            (record,), _ = self._statements.records([(index, parse_entry(entry))])
            self._keep(reference, record)
        return record

    def _keep(self, reference: bytes, record: Record) -> None:
        if len(self._recalled) >= _RECALLED_MAX:
            del self._recalled[next(iter(self._recalled))]
        self._recalled[reference] = record

    # --- the walk -------------------------------------------------------------------------------------------

    def run(
        self,
        watch: Callable[[str, Record], None] | None,
        progress: Callable[[int, int], None] | None,
    ) -> bool:
        """Walk past every entry, but not past the end.

        Returns:
            Whether all of the log was there as in the first pass.
        """
        self._take_up_erasures()
        digests = iter(self._chain.bundle_digests)
        for bundle in self._chain.bundles():
            try:
                data = read_tile(self._directory, bundle)
                if hashlib.sha256(data).digest() != next(digests, b""):
                    raise LogTamperedError(f"{bundle.path} was changed while it was being verified")
                self._first, self._bundle = bundle.first_index, parse_bundle(data, width=bundle.width)
                self._references.clear()
                records = self._pass()
            except CarnetError as error:
                self._changed(bundle.first_index, error)
                return False
            if watch:
                for record in records:
                    watch(self.environment, record)
            if progress:
                progress(bundle.first_index + bundle.width, self._checkpoint.size)
        return True

    def _take_up_erasures(self) -> None:
        """Go on from what an earlier audit knew to be erased."""
        for digest, erasure in self.judges.erasures.state.erased.items():
            self._chain.erased[digest] = erasure.index
            self.documents.take_up_gone(digest)

    def finish(self) -> None:
        """Have the judges say what the end of the log leaves open, and gather all findings."""
        self.judges.joins.state.last_time = self.judges.form.state.last
        for judge in self.judges:
            try:
                judge.finish()
            except CarnetError as error:
                self._changed(0, error)
            self.findings += judge.findings
        self.findings += self.documents.finish()

    def _changed(self, index: int, error: CarnetError) -> None:
        """Tell that what was hashed in the first pass is not there any more."""
        affects = (f"every entry from {index} on",)
        self.findings.append(
            Finding(
                Verdict.TAMPERED,
                Code.CHANGED_WHILE_READ,
                self.environment,
                index,
                error.message,
                affects,
            )
        )

    def let_go(self) -> None:
        """Forget what the judges knew, which of a long log is much; nothing can be asked any more."""
        for judge in self.judges:
            vars(judge).clear()

    def _pass(self) -> list[Record]:
        """Have the entries of one bundle judged, by one judge after the other: none depends on another."""
        entries: list[tuple[int, Entry]] = []
        for index, data in enumerate(self._bundle, self._first):
            if index >= self._chain.start:
                try:
                    entries.append((index, parse_entry(data)))
                except InvalidInputError as error:
                    self.judges.form.refuse(index, error.message)
        for index, entry in entries:
            self.documents.take(index, entry)
        records, findings = self._statements.records(entries)
        self.findings += findings
        kinds = [(record.entry.type, record) for record in records]
        for judge in self.judges:
            types, step = judge.TYPES, judge.step
            wanted = records if types is None else [record for kind, record in kinds if kind in types]
            for record in wanted:
                step(record)
        return records

    def summary(self) -> EnvironmentSummary:
        """Return what was verified."""
        told = self.judges.form.state
        return EnvironmentSummary(
            size=self._checkpoint.size,
            root=self._checkpoint.root.hex(),
            checkpoint=self._chain.checkpoint_text,
            published=told.published,
            admitted=told.admitted,
            refused=told.refused,
            documents=self.documents.whole,
            erased=len(self.judges.erasures.erasures),
            last_time=told.latest,
            verified_from=self._chain.start,
        )
