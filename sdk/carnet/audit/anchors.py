"""Anchors: what the logs of an export say about each other's checkpoints.

Responsible for every ``anchor.recorded``: the checkpoint that it rests on is signed by the other log's pinned
key and cosigned by this environment's witness key, sizes grow, and the other log, as it is exported, has just
that root at that size. Whoever holds a log's key can rewrite its history and sign it anew; what was shown to
others before stands in their logs. Alarms are judged in ``carnet.audit.alarms``.

Logs are copied one after the other, so an anchor may be of a later size than the other copy has: as long as
that copy ends before the anchor, the verdict is ``incomplete``, and only where it goes on, ``tampered``.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from carnet.audit.alarms import equivocation, judge_alarm
from carnet.audit.codes import Code
from carnet.audit.judging import CLOCK_SKEW
from carnet.audit.layout import read_document
from carnet.audit.report import Finding, Verdict
from carnet.audit.verified_tiles import VerifiedTiles
from carnet.audit.witnessing import Witnessing, read_witnessing
from carnet.errors import CarnetError, DigestMismatchError, KeyUntrustedError, NotFoundError
from carnet.translog.checkpoint import Checkpoint, parse_checkpoint
from carnet.translog.cosignature import verify_cosignature
from carnet.translog.entry import EntryType
from carnet.translog.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record
    from carnet.audit.witnessing import LogHead


@dataclass(slots=True)
class _Anchors:
    """What one environment anchored of one other log: 56 bytes for each, as there may be very many."""

    environment: str
    origin: str
    sizes: array[int] = field(default_factory=lambda: array("q"))
    indexes: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    roots: bytearray = field(default_factory=bytearray)

    def append(self, checkpoint: Checkpoint, record: Record) -> None:
        self.sizes.append(checkpoint.size)
        self.indexes.append(record.index)
        self.times.append(record.entry.time.timestamp())
        self.roots += checkpoint.root

    def root(self, position: int) -> bytes:
        return bytes(self.roots[position * HASH_BYTES : (position + 1) * HASH_BYTES])

    def where(self, position: int) -> str:
        return f"entry {self.indexes[position]} of {self.environment}'s log"


class AnchorJudge:
    """Judges what the logs of an export say about each other; takes them entry by entry.

    Args:
        directory: The export.
        pins: What the auditor trusts.

    Attributes:
        findings: What is wrong.
        final_sizes: How many entries of each log are final, once it is finished; None where the pinned policy
            demands no witnesses.
    """

    def __init__(self, directory: Path, pins: Pins) -> None:
        self._directory = directory
        self._pins = pins
        self._witnessing: dict[str, Witnessing] = {}
        self._anchors: dict[tuple[str, str], _Anchors] = {}
        self._unpinned: set[str] = set()
        self.findings: list[Finding] = []
        self.final_sizes: dict[str, int | None] = {}

    def step(self, name: str, record: Record) -> None:
        """Take the next entry of a log whose chain is intact.

        Args:
            name: The environment.
            record: The entry.
        """
        kind = record.entry.type
        if kind is EntryType.ANCHOR_RECORDED:
            self._take_anchor(name, record)
            return
        self._witnessing_of(name).step(record.index, record.entry.time)
        if kind is EntryType.ALARM_RAISED:
            data = self._document(name, record)
            self.findings += [] if data is None else judge_alarm(name, record, data, self._pins)

    def finish(self, heads: Mapping[str, LogHead]) -> list[Finding]:
        """Judge the logs against each other.

        Args:
            heads: The verified end of each log whose chain is intact.

        Returns:
            Everything that is wrong.
        """
        for name, head in heads.items():
            origin = head.checkpoint.origin
            tiles = VerifiedTiles(self._directory / name, head.checkpoint)
            witnessing = self._witnessing_of(name)
            self.final_sizes[name] = witnessing.finish(head, tiles)
            self.findings += witnessing.findings
            for anchors in self._anchors.values():
                if anchors.origin == origin:
                    self._compare(anchors, name, head, tiles)
        self._compare_with_each_other(set(heads))
        return self.findings

    def _witnessing_of(self, name: str) -> Witnessing:
        if name not in self._witnessing:
            self._witnessing[name] = read_witnessing(self._directory / name, self._pins.environments[name])
        return self._witnessing[name]

    def _take_anchor(self, name: str, record: Record) -> None:
        data = self._document(name, record)
        if data is None:
            return
        entry = record.entry
        origin, size = _told(entry.new)
        before, old_size = _told(entry.old)
        try:
            checkpoint = parse_checkpoint(data, self._pins.of_log(origin).log_verifier)
        except KeyUntrustedError as error:
            self._add(Verdict.CANNOT_VERIFY, Code.ANCHOR_INVALID, name, record, error.message)
            return
        except CarnetError as error:
            self._add(Verdict.TAMPERED, Code.ANCHOR_INVALID, name, record, error.message)
            return
        if (checkpoint.origin, checkpoint.size, before) != (origin, size, origin):
            message = f"it is about {entry.new!r}, its checkpoint about {checkpoint.origin} {checkpoint.size}"
            self._add(Verdict.POLICY_VIOLATED, Code.ANCHOR_INVALID, name, record, message)
            return
        self._check_cosignature(name, record, data.decode())
        anchors = self._anchors.setdefault((name, origin), _Anchors(name, origin))
        last = anchors.sizes[-1] if anchors.sizes else 0
        if not last <= old_size < size:
            message = f"it goes from {old_size} to {size} entries of {origin}, and the last came to {last}"
            self._add(Verdict.POLICY_VIOLATED, Code.ANCHOR_OUT_OF_ORDER, name, record, message)
            return
        anchors.append(checkpoint, record)

    def _check_cosignature(self, name: str, record: Record, text: str) -> None:
        cosigner = self._pins.environments[name].cosigner
        if cosigner is None:
            if name not in self._unpinned:
                self._unpinned.add(name)
                message = f"no witness key of {name} is pinned, by which it cosigned what it anchors"
                self._add(Verdict.CANNOT_VERIFY, Code.WITNESS_UNPINNED, name, record, message)
            return
        try:
            verify_cosignature(text, cosigner)
        except KeyUntrustedError as error:
            self._add(Verdict.POLICY_VIOLATED, Code.COSIGNATURE_INVALID, name, record, error.message)
        except CarnetError as error:
            self._add(Verdict.TAMPERED, Code.COSIGNATURE_INVALID, name, record, error.message)

    def _compare(self, anchors: _Anchors, name: str, head: LogHead, tiles: VerifiedTiles) -> None:
        """Compare anchors with the log that they are about, up to the first that it contradicts."""
        agreed = 0
        for position, size in enumerate(anchors.sizes):
            if size > head.checkpoint.size:
                self._add_larger(anchors, position, name, head)
                return
            try:
                root = tiles.root(size)
            except CarnetError as error:
                message = f"what {anchors.where(position)} anchors cannot be compared: {error.message}"
                self.findings.append(
                    Finding(Verdict.INCOMPLETE, Code.ANCHOR_INCOMPARABLE, name, None, message)
                )
                return
            if root != anchors.root(position):
                message = (
                    f"history was rewritten, or two were shown: {anchors.where(position)} anchors the first "
                    f"{size} entries with the root {anchors.root(position).hex()}, signed by this log's key, "
                    f"and in this export they lead to {root.hex()}; the first {agreed} are as anchored"
                )
                affects = (f"entries {agreed} to {size - 1}",)
                self.findings.append(
                    Finding(Verdict.TAMPERED, Code.HISTORY_REWRITTEN, name, agreed, message, affects)
                )
                return
            agreed = size

    def _add_larger(self, anchors: _Anchors, position: int, name: str, head: LogHead) -> None:
        size, at = anchors.sizes[position], datetime.fromtimestamp(anchors.times[position], UTC)
        goes_on = head.last_time is not None and head.last_time > at + CLOCK_SKEW
        message = (
            f"{anchors.where(position)} anchors {size} entries of this log at {at.isoformat()}, and this "
            f"export has {head.checkpoint.size}"
        )
        if goes_on:
            message += ", though it goes on after that: the log was cut, or put back to an older copy"
        else:
            message += "; if that copy is older than the other, export again"
        verdict = Verdict.TAMPERED if goes_on else Verdict.INCOMPLETE
        affects = (f"entries {head.checkpoint.size} to {size - 1}",)
        self.findings.append(
            Finding(verdict, Code.ANCHOR_AHEAD, name, head.checkpoint.size, message, affects)
        )

    def _compare_with_each_other(self, exported: set[str]) -> None:
        """Compare the anchors of several environments of a log that is not itself in the export."""
        known: dict[tuple[str, int], tuple[bytes, str]] = {}
        contradicted: set[str] = set()
        for anchors in self._anchors.values():
            about = self._pins.of_log(anchors.origin)
            if about.name in exported or about.name in contradicted:
                continue
            for position, size in enumerate(anchors.sizes):
                root, where = anchors.root(position), anchors.where(position)
                other, elsewhere = known.setdefault((anchors.origin, size), (root, where))
                if other != root:
                    self.findings.append(equivocation(about.name, size, (elsewhere, other), (where, root)))
                    contradicted.add(about.name)
                    break

    def _document(self, name: str, record: Record) -> bytes | None:
        """Read what an entry rests on; None where it is not whole, which is told of every document."""
        digest = record.entry.envelope_digest
        if digest is None:
            self._add(Verdict.INCOMPLETE, Code.ANCHOR_INVALID, name, record, "it rests on no checkpoint")
            return None
        try:
            return read_document(self._directory / name, digest)
        except (NotFoundError, DigestMismatchError):
            return None
        except CarnetError as error:
            self._add(Verdict.INCOMPLETE, Code.ANCHOR_INVALID, name, record, error.message)
            return None

    def _add(self, verdict: Verdict, code: Code, name: str, record: Record, message: str) -> None:
        affects = (f"what it says of {record.entry.new}",)
        text = f"{record.entry.type}: {message}"
        self.findings.append(Finding(verdict, code, name, record.index, text, affects))


def _told(value: str | None) -> tuple[str, int]:
    """Return the origin and the size that an anchor's ``old`` or ``new`` names; size -1 for none."""
    origin, _, size = (value or "").rpartition(" ")
    return origin, int(size) if size.isascii() and size.isdigit() and len(size) < 20 else -1
