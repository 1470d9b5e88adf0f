"""The chain of one environment: do these entries, and only these, lead to the signed root?

Responsible for the checkpoint's signature, the root recomputed from the entries' bytes, the stored hashes,
the checkpoint that the auditor kept from an earlier audit, and the form, environment and time of each entry.

Invariants: entries are given on only if their bytes lead to the root that the pinned key signed; where they
do not, the first bad one is named if the stored hashes allow it. Does not look at documents, and gives
entries no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from carnet.audit.layout import TILES, files_below, read_checkpoint, read_tile
from carnet.audit.report import Finding, Verdict, describe_subject
from carnet.errors import CarnetError, InvalidInputError, KeyUntrustedError, NotFoundError
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint
from carnet.translog.entry import Entry, parse_entry
from carnet.translog.tile_builder import TileBuilder
from carnet.translog.tiles import Tile, entry_bundles, in_tree, parse_bundle, parse_tile
from carnet.translog.tree import Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from carnet.audit.pins import EnvironmentPins

CLOCK_SKEW: Final = timedelta(seconds=60)
_AFFECTED_MAX: Final = 20


@dataclass(slots=True)
class Chain:
    """What was verified of one environment's log.

    Attributes:
        environment: The environment.
        checkpoint: The tree head that the pinned key signed; None if there is none.
        checkpoint_text: Its signed note.
        entries: Every entry with its index; empty unless the chain is intact.
        findings: What is wrong.
        intact: Whether the entries lead to the signed root.
    """

    environment: str
    checkpoint: Checkpoint | None = None
    checkpoint_text: str = ""
    entries: list[tuple[int, Entry]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    intact: bool = False

    def add(self, verdict: Verdict, index: int | None, message: str, affects: tuple[str, ...] = ()) -> None:
        """Note a finding about this environment."""
        self.findings.append(Finding(verdict, self.environment, index, message, affects))


def verify_chain(
    directory: Path,
    pins: EnvironmentPins,
    *,
    earlier: Checkpoint | None,
    progress: Callable[[int, int], None] | None = None,
) -> Chain:
    """Verify the log of one environment in an export.

    Args:
        directory: The environment's part of the export.
        pins: What is trusted of it.
        earlier: The checkpoint that the auditor kept; None at the first audit.
        progress: Is called with the entries read so far, and all there are.

    Returns:
        What was found; nothing that the files hold raises an error.
    """
    chain = Chain(pins.name)
    try:
        text = read_checkpoint(directory)
        chain.checkpoint = parse_checkpoint(text, pins.log_verifier)
        chain.checkpoint_text = text.decode()
    except NotFoundError as error:
        chain.add(Verdict.INCOMPLETE, None, error.message)
    except KeyUntrustedError as error:
        chain.add(Verdict.CANNOT_VERIFY, None, error.message)
    except CarnetError as error:
        chain.add(Verdict.TAMPERED, None, error.message)
    if chain.checkpoint is None:
        return chain
    reading = _Reading(directory, chain.checkpoint, earlier)
    reading.run(progress)
    chain.findings += _judge(chain, reading)
    chain.intact = reading.root_matches
    if chain.intact:
        chain.entries = [(index, entry) for index, entry in reading.entries if isinstance(entry, Entry)]
        chain.findings += _check_entries(pins.name, reading.entries)
        chain.findings += _strays(pins.name, directory, chain.checkpoint.size)
    return chain


class _Reading:
    """One pass over an environment's tiles: what the entries hash to, beside what was stored."""

    def __init__(self, directory: Path, checkpoint: Checkpoint, earlier: Checkpoint | None) -> None:
        self.directory = directory
        self.checkpoint = checkpoint
        self.earlier = earlier
        self.entries: list[tuple[int, Entry | InvalidInputError]] = []
        self.recomputed = Frontier()
        self.stored: Frontier | None = Frontier()
        self.first_differing: int | None = None
        self.earlier_root: bytes | None = None
        self.broken: tuple[Verdict, int, str] | None = None
        self.tile_problems: list[tuple[Verdict, str]] = []
        self._tiles = TileBuilder()

    @property
    def root_matches(self) -> bool:
        return self.broken is None and self.recomputed.root() == self.checkpoint.root

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        self._note_earlier()
        for bundle in entry_bundles(self.checkpoint.size):
            try:
                entries = parse_bundle(read_tile(self.directory, bundle), width=bundle.width)
            except CarnetError as error:
                verdict = Verdict.INCOMPLETE if isinstance(error, NotFoundError) else Verdict.TAMPERED
                self.broken = (verdict, bundle.first_index, error.message)
                return
            stored = self._stored_hashes(Tile(0, bundle.index, bundle.width))
            for position, data in enumerate(entries):
                self._take(data, stored[position] if stored else None)
            if progress:
                progress(self.recomputed.size, self.checkpoint.size)
        for tile, data in self._tiles.partial_tiles():
            self._compare(tile, data)

    def _take(self, data: bytes, stored: bytes | None) -> None:
        index, value = self.recomputed.size, leaf_hash(data)
        if stored is not None and self.stored is not None:
            self.stored.append(stored)
            if stored != value and self.first_differing is None:
                self.first_differing = index
        self.recomputed.append(value)
        self._note_earlier()
        for tile, expected in self._tiles.append(value):
            self._compare(tile, expected)
        try:
            self.entries.append((index, parse_entry(data)))
        except InvalidInputError as error:
            self.entries.append((index, error))

    def _stored_hashes(self, tile: Tile) -> list[bytes]:
        try:
            return parse_tile(read_tile(self.directory, tile), width=tile.width)
        except CarnetError:
            self.stored = None  # told by _compare when the tile's turn comes
            return []

    def _compare(self, tile: Tile, expected: bytes) -> None:
        try:
            if read_tile(self.directory, tile) != expected:
                message = f"{tile.path} does not hold the hashes of the entries"
                self.tile_problems.append((Verdict.TAMPERED, message))
        except NotFoundError as error:
            self.tile_problems.append((Verdict.INCOMPLETE, error.message))
        except CarnetError as error:
            self.tile_problems.append((Verdict.TAMPERED, error.message))

    def _note_earlier(self) -> None:
        if self.earlier and self.recomputed.size == self.earlier.size:
            self.earlier_root = self.recomputed.root()


def _judge(chain: Chain, reading: _Reading) -> list[Finding]:
    name, checkpoint, earlier = chain.environment, reading.checkpoint, reading.earlier
    findings: list[Finding] = []
    if earlier and earlier.origin != checkpoint.origin:
        message = (
            f"the checkpoint that was kept is of the log {earlier.origin!r}, this of {checkpoint.origin!r}"
        )
        findings.append(Finding(Verdict.CANNOT_VERIFY, name, None, message))
    elif earlier and earlier.size > checkpoint.size:
        message = (
            f"the log was cut: an earlier checkpoint had {earlier.size} entries, this has {checkpoint.size}"
        )
        findings.append(Finding(Verdict.TAMPERED, name, checkpoint.size, message))
    elif earlier and reading.root_matches and reading.earlier_root != earlier.root:
        message = (
            f"history was rewritten: the first {earlier.size} entries do not lead to the root of the earlier "
            "checkpoint, though the present one is signed"
        )
        findings.append(
            Finding(Verdict.TAMPERED, name, None, message, (f"the first {earlier.size} entries",))
        )
    if reading.broken is not None:
        verdict, index, message = reading.broken
        affects = (f"every entry from {index} on",)
        findings.append(Finding(verdict, name, index, f"the entries from {index} on: {message}", affects))
    elif reading.root_matches:
        findings += [Finding(verdict, name, None, message) for verdict, message in reading.tile_problems]
        return findings
    if reading.broken is None or reading.first_differing is not None:
        findings.append(_name_first_bad(name, reading))
    return findings


def _name_first_bad(name: str, reading: _Reading) -> Finding:
    size, index = reading.checkpoint.size, reading.first_differing
    stored_fits = (
        reading.stored is not None
        and reading.stored.size == size
        and reading.stored.root() == reading.checkpoint.root
    )
    if index is not None:
        leads = "the stored hashes lead" if stored_fits else "neither leads"
        message = (
            f"entry {index} was changed after it was logged: its bytes do not hash to its stored hash, and "
            f"{leads} to the signed root"
        )
        return Finding(Verdict.TAMPERED, name, index, message, _affected(reading, index))
    unreadable = next((index for index, entry in reading.entries if not isinstance(entry, Entry)), None)
    trusted = reading.earlier.size if reading.earlier and reading.earlier_root == reading.earlier.root else 0
    message = (
        f"the {size} entries do not lead to the signed root, and neither do the stored hashes: one of the "
        f"entries from {trusted} on was changed, added or removed"
    )
    if unreadable is not None:
        message += f"; entry {unreadable} is no entry at all"
    return Finding(Verdict.TAMPERED, name, unreadable, message, (f"every entry from {trusted} on",))


def _affected(reading: _Reading, index: int | None) -> tuple[str, ...]:
    """Say what the bad entry is about, and which later entries build on the same version or promotion."""
    entry = reading.entries[index][1] if index is not None else None
    if not isinstance(entry, Entry) or index is None:
        return () if index is None else (f"whatever entry {index} told",)
    keys = {(key, entry.subject[key]) for key in ("bundle_digest", "promotion") if key in entry.subject}
    affected = dict.fromkeys(describe_subject(entry))
    for _, later in reading.entries[index + 1 :]:
        if isinstance(later, Entry) and keys & set(later.subject.items()):
            affected |= dict.fromkeys(describe_subject(later))
    return tuple(affected)[:_AFFECTED_MAX]


def _check_entries(name: str, entries: list[tuple[int, Entry | InvalidInputError]]) -> list[Finding]:
    findings: list[Finding] = []
    latest: datetime | None = None
    for index, entry in entries:
        if not isinstance(entry, Entry):
            message = f"the environment logged something that is no entry: {entry.message}"
            findings.append(Finding(Verdict.POLICY_VIOLATED, name, index, message))
            continue
        affects = describe_subject(entry)
        if entry.environment != name:
            message = f"the entry is of the environment {entry.environment!r}"
            findings.append(Finding(Verdict.POLICY_VIOLATED, name, index, message, affects))
        if latest and entry.time < latest - CLOCK_SKEW:
            message = f"the entry's time {entry.time.isoformat()} lies before that of an earlier entry"
            findings.append(Finding(Verdict.POLICY_VIOLATED, name, index, message, affects))
        latest = max(latest, entry.time) if latest else entry.time
    return findings


def _strays(name: str, directory: Path, size: int) -> list[Finding]:
    """Find tiles of a larger tree: what a checkpoint that was put back to an older one leaves behind."""
    try:
        paths = files_below(directory / TILES)
    except CarnetError as error:
        return [Finding(Verdict.INCOMPLETE, name, None, error.message)]
    findings = []
    for path in paths:
        try:
            tile = Tile.parse(f"{TILES}/{path}")
        except InvalidInputError:
            continue
        if not in_tree(tile, size):
            message = f"{tile.path} is not of the tree of {size} that is signed: was its checkpoint replaced?"
            findings.append(Finding(Verdict.TAMPERED, name, None, message))
    return findings
