"""The chain of one environment: do these entries, and only these, lead to the signed root?

Responsible for the checkpoint's signature, the root recomputed from the entries' bytes, the stored hashes,
and the checkpoint that the auditor kept from an earlier audit. This is the first of two passes over a log:
what it read is pinned bundle by bundle, so that the second judges the very same bytes.

Invariants: a chain is intact only if its entries' bytes lead to the root that the pinned key signed; where
they do not, the first bad entry is named if the stored hashes allow it. Memory does not grow with the
entries, but for 32 bytes for every 256 of them and for the digests of erased documents. Does not look at
documents, and gives entries no meaning; which documents they say were erased is noted on the way, for the
second pass must know it of a document before the entry that says so comes.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from carnet.audit.codes import Code
from carnet.audit.first_bad import name_first_bad
from carnet.audit.layout import TILES, files_below, read_checkpoint, read_tile
from carnet.audit.report import Finding, Verdict
from carnet.errors import CarnetError, InvalidInputError, KeyUntrustedError, NotFoundError
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint
from carnet.translog.erasure import find_erased
from carnet.translog.tile_builder import TileBuilder
from carnet.translog.tiles import (
    ENTRIES_LEVEL,
    TILE_WIDTH,
    Tile,
    encode_tile,
    in_tree,
    parse_bundle,
    parse_tile,
)
from carnet.translog.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from carnet.audit.pins import EnvironmentPins

_PROGRESS_EACH: Final = 16


@dataclass(slots=True)
class Chain:
    """What was verified of one environment's log.

    Attributes:
        environment: The environment.
        checkpoint: The tree head that the pinned key signed; None if there is none.
        checkpoint_text: Its signed note.
        start: The first entry that was read; those before it were verified by an earlier audit.
        erased: The documents that entries from ``start`` on say were erased, each with the first that does.
        bundle_digests: The SHA-256 of each entry bundle's file, from the one that holds ``start`` on.
        right_edge: The open tiles of the whole tree, to go on from at the next audit.
        findings: What is wrong.
        intact: Whether the entries lead to the signed root.
    """

    environment: str
    checkpoint: Checkpoint | None = None
    checkpoint_text: str = ""
    start: int = 0
    erased: dict[str, int] = field(default_factory=dict)
    bundle_digests: list[bytes] = field(default_factory=list)
    right_edge: list[list[bytes]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    intact: bool = False

    def add(self, verdict: Verdict, code: Code, index: int | None, message: str, *affects: str) -> None:
        """Note a finding about this environment."""
        self.findings.append(Finding(verdict, code, self.environment, index, message, affects))

    def bundles(self) -> Iterator[Tile]:
        """Yield the entry bundles from the one that holds ``start`` on, as the signed tree has them."""
        size = self.checkpoint.size if self.checkpoint else 0
        for index in range(self.start // TILE_WIDTH, -(-size // TILE_WIDTH)):
            yield Tile(ENTRIES_LEVEL, index, min(TILE_WIDTH, size - index * TILE_WIDTH))


def verify_chain(
    directory: Path,
    pins: EnvironmentPins,
    *,
    earlier: Checkpoint | None,
    verified: TileBuilder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Chain:
    """Verify the log of one environment in an export.

    Args:
        directory: The environment's part of the export.
        pins: What is trusted of it.
        earlier: The checkpoint that the auditor kept; None at the first audit.
        verified: The tree of the entries that an earlier audit verified, as the auditor kept it, and which
            are not read again; None to read all.
        progress: Is called with the entries read so far, and all there are; not for a few thousand.

    Returns:
        What was found; nothing that the files hold raises an error.
    """
    chain = Chain(pins.name, start=verified.size if verified else 0)
    try:
        text = read_checkpoint(directory)
        chain.checkpoint = parse_checkpoint(text, pins.log_verifier)
        chain.checkpoint_text = text.decode()
    except NotFoundError as error:
        chain.add(Verdict.INCOMPLETE, Code.CHECKPOINT_MISSING, None, error.message)
    except KeyUntrustedError as error:
        chain.add(Verdict.CANNOT_VERIFY, Code.CHECKPOINT_UNTRUSTED, None, error.message)
    except CarnetError as error:
        chain.add(Verdict.TAMPERED, Code.CHECKPOINT_INVALID, None, error.message)
    if chain.checkpoint is None:
        return chain
    reading = Reading(directory, chain, chain.checkpoint, earlier, verified or TileBuilder())
    reading.run(progress)
    _judge(chain, reading)
    chain.intact = reading.root_matches
    if chain.intact:
        chain.right_edge = reading.recomputed.right_edge
        chain.findings += _strays(pins.name, directory, chain.checkpoint.size)
    return chain


class Reading:
    """One pass over an environment's tiles: what the entries hash to, beside what was stored.

    Attributes:
        recomputed: The tree of the entries' bytes.
        stored: The tree of the stored hashes, from the first that differs; None while none does, or where
            some are missing.
        first_differing: The first entry that does not hash to its stored hash.
        earlier_root: The root when the tree was as large as the earlier checkpoint's.
        broken: Why the entries could not be read, and from where on.
        tile_problems: What is wrong with the stored hashes.
    """

    def __init__(
        self,
        directory: Path,
        chain: Chain,
        checkpoint: Checkpoint,
        earlier: Checkpoint | None,
        tree: TileBuilder,
    ) -> None:
        self.directory = directory
        self.chain = chain
        self.checkpoint = checkpoint
        self.earlier = earlier
        self.recomputed = tree
        self.stored: TileBuilder | None = None
        self.first_differing: int | None = None
        self.earlier_root: bytes | None = None
        self.broken: tuple[Verdict, Code, int, str] | None = None
        self.tile_problems: list[tuple[Verdict, Code, str]] = []
        self._stored_whole = True
        self._note_earlier([])

    @property
    def root_matches(self) -> bool:
        """Whether all entries were read, and lead to the signed root."""
        whole = self.broken is None and self.recomputed.size == self.checkpoint.size
        return whole and self.recomputed.root() == self.checkpoint.root

    @property
    def stored_fits(self) -> bool:
        """Whether the stored hashes, which differ from the entries, lead to the signed root."""
        stored = self.stored if self._stored_whole else None
        return (
            stored is not None
            and stored.size == self.checkpoint.size
            and stored.root() == self.checkpoint.root
        )

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        """Read all bundles, up to the first that cannot be."""
        for number, bundle in enumerate(self.chain.bundles()):
            try:
                data = read_tile(self.directory, bundle)
                entries = parse_bundle(data, width=bundle.width)
            except CarnetError as error:
                first = max(bundle.first_index, self.chain.start)
                if isinstance(error, NotFoundError):
                    self.broken = Verdict.INCOMPLETE, Code.ENTRIES_MISSING, first, error.message
                else:
                    self.broken = Verdict.TAMPERED, Code.ENTRIES_DAMAGED, first, error.message
                return
            self.chain.bundle_digests.append(hashlib.sha256(data).digest())
            for position, digest in find_erased(data, entries):
                if bundle.first_index + position >= self.chain.start:
                    self.chain.erased.setdefault(digest, bundle.first_index + position)
            self._take(bundle, entries)
            if progress and number % _PROGRESS_EACH == _PROGRESS_EACH - 1:
                progress(self.recomputed.size, self.checkpoint.size)
        for tile, expected in self.recomputed.partial_tiles():
            if tile.level:
                self._compare(tile, expected)

    def _take(self, bundle: Tile, entries: list[bytes]) -> None:
        known = self.recomputed.size - bundle.first_index
        hashes = [leaf_hash(entry) for entry in entries[known:]]
        before = self.recomputed.right_edge[0] if known else []
        self._take_stored(Tile(0, bundle.index, bundle.width), [*before, *hashes], known)
        self._note_earlier(hashes)
        for tile, expected in self.recomputed.extend(hashes):
            if tile.level:
                self._compare(tile, expected)

    def _take_stored(self, tile: Tile, expected: list[bytes], known: int) -> None:
        """Compare the leaf hashes that were stored with those of the entries."""
        data = self._compare(tile, encode_tile(expected))
        stored: list[bytes] = []
        if data is not None:
            try:
                stored = parse_tile(data, width=tile.width)
            except CarnetError:
                data = None  # told by _compare
        if data is None:
            self._stored_whole = False
        elif self.first_differing is None and stored != expected:
            differing = (
                at for at, pair in enumerate(zip(stored, expected, strict=True)) if pair[0] != pair[1]
            )
            self.first_differing = tile.first_index + next(differing)
            self.stored = copy.deepcopy(self.recomputed)
        if self.stored is not None:
            self.stored.extend(stored[known:])

    def _compare(self, tile: Tile, expected: bytes) -> bytes | None:
        """Compare a stored tile with what it must be, and return its bytes, if there are any."""
        try:
            data = read_tile(self.directory, tile)
        except NotFoundError as error:
            self.tile_problems.append((Verdict.INCOMPLETE, Code.TILE_MISSING, error.message))
            return None
        except CarnetError as error:
            self.tile_problems.append((Verdict.TAMPERED, Code.TILE_MISMATCH, error.message))
            return None
        if data != expected:
            message = f"{tile.path} does not hold the hashes of the entries"
            self.tile_problems.append((Verdict.TAMPERED, Code.TILE_MISMATCH, message))
        return data

    def _note_earlier(self, hashes: list[bytes]) -> None:
        """Note the root if the tree passes the size of the earlier checkpoint with these hashes."""
        size = self.recomputed.size
        if self.earlier and self.earlier_root is None and size <= self.earlier.size <= size + len(hashes):
            self.earlier_root = self.recomputed.root(hashes[: self.earlier.size - size])


def _judge(chain: Chain, reading: Reading) -> None:
    checkpoint, earlier = reading.checkpoint, reading.earlier
    if earlier and earlier.origin != checkpoint.origin:
        message = (
            f"the checkpoint that was kept is of the log {earlier.origin!r}, this of {checkpoint.origin!r}"
        )
        chain.add(Verdict.CANNOT_VERIFY, Code.LOG_FOREIGN, None, message)
    elif earlier and earlier.size > checkpoint.size:
        message = (
            f"the log was cut: an earlier checkpoint had {earlier.size} entries, this has {checkpoint.size}"
        )
        chain.add(Verdict.TAMPERED, Code.LOG_CUT, checkpoint.size, message)
    elif earlier and reading.root_matches and reading.earlier_root != earlier.root:
        message = (
            f"history was rewritten: the first {earlier.size} entries do not lead to the root of the earlier "
            "checkpoint, though the present one is signed"
        )
        affects = f"the first {earlier.size} entries"
        chain.add(Verdict.TAMPERED, Code.HISTORY_REWRITTEN, None, message, affects)
    if reading.broken is not None:
        verdict, code, index, message = reading.broken
        chain.add(
            verdict, code, index, f"the entries from {index} on: {message}", f"every entry from {index} on"
        )
    elif reading.root_matches:
        for verdict, code, message in reading.tile_problems:
            chain.add(verdict, code, None, message)
        return
    if reading.broken is None or reading.first_differing is not None:
        chain.findings.append(name_first_bad(chain, reading))


def _strays(name: str, directory: Path, size: int) -> list[Finding]:
    """Find tiles of a larger tree: what a checkpoint that was put back to an older one leaves behind."""
    try:
        paths = files_below(directory / TILES)
    except CarnetError as error:
        return [Finding(Verdict.INCOMPLETE, Code.TILE_MISSING, name, None, error.message)]
    findings = []
    for path in paths:
        try:
            tile = Tile.parse(f"{TILES}/{path}")
        except InvalidInputError:
            continue
        if not in_tree(tile, size):
            message = f"{tile.path} is not of the tree of {size} that is signed: was its checkpoint replaced?"
            findings.append(Finding(Verdict.TAMPERED, Code.TILE_STRAY, name, None, message))
    return findings
