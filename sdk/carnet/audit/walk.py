"""The second pass over a log: every entry of an intact chain, once, past every judge.

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
from carnet.translog.entry import EntryType, parse_entry
from carnet.translog.tiles import ENTRIES_LEVEL, TILE_WIDTH, Tile, parse_bundle
from carnet.translog.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.audit.chain import Chain
    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record
    from carnet.translog.checkpoint import Checkpoint

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
        self._steps: dict[EntryType, list[Callable[[Record], None]]] = {
            kind: [judge.step for judge in self.judges if judge.TYPES is None or kind in judge.TYPES]
            for kind in EntryType
        }
        self._recalled: dict[bytes, Record] = {}
        self._now: tuple[int, bytes] = (-1, b"")

    # --- what judges ask ------------------------------------------------------------------------------------

    def document(self, digest: str) -> bytes | None:
        """Return the bytes of a document; None for one that was not found whole, which is told elsewhere."""
        return self.documents.read(digest)

    def is_named(self, digest: str) -> bool:
        """Whether an entry so far rests on this document."""
        return self.documents.is_named(digest)

    def remember(self, record: Record) -> bytes:
        """Return a reference to the record that is being judged."""
        index, data = self._now
        assert index == record.index
        reference = index.to_bytes(INDEX_BYTES, "big") + leaf_hash(data)
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
            entry = parse_bundle(data, width=width)[index % TILE_WIDTH]
            if leaf_hash(entry) != reference[INDEX_BYTES:]:
                raise LogTamperedError(f"entry {index} is another than it was when it was verified")
            record, _ = self._statements.record(index, parse_entry(entry))
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
                entries = parse_bundle(data, width=bundle.width)
                for index, entry in enumerate(entries, bundle.first_index):
                    if index >= self._chain.start:
                        self._pass(index, entry, watch)
            except CarnetError as error:
                self.findings.append(
                    Finding(
                        Verdict.TAMPERED,
                        Code.CHANGED_WHILE_READ,
                        self.environment,
                        bundle.first_index,
                        error.message,
                        (f"every entry from {bundle.first_index} on",),
                    )
                )
                return False
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
        for judge in self.judges:
            judge.finish()
            self.findings += judge.findings
        self.findings += self.documents.finish()

    def _pass(self, index: int, data: bytes, watch: Callable[[str, Record], None] | None) -> None:
        try:
            entry = parse_entry(data)
        except InvalidInputError as error:
            self.judges.form.refuse(index, error.message)
            return
        self._now = index, data
        self.documents.take(index, entry)
        record, finding = self._statements.record(index, entry)
        if finding is not None:
            self.findings.append(finding)
        if watch:
            watch(self.environment, record)
        for step in self._steps[entry.type]:
            step(record)

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
