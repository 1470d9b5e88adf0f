"""The policy file of witnesses: who they are, and how many make a checkpoint final (C2SP tlog-policy).

Responsible for reading the file with the line of each mistake, and for telling whether a checkpoint is
cosigned by a quorum. Names in the file have no meaning outside of it; a key stands in it once. Trusts no
cosignature that it did not verify itself, and passes over those of other keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from carnet.errors import CarnetError, DocumentInvalidError, KeyUntrustedError
from carnet.translog.cosignature import verify_cosignature
from carnet.translog.keys import KeyType, LogVerifier
from carnet.translog.note import Note, parse_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NOBODY: Final = "none"
LINES_MAX: Final = 1000
_UNTEXTUAL = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_THRESHOLD = re.compile(r"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness.

    Attributes:
        name: Its name in the file.
        verifier: Its key (type 0x04).
        url: Where it takes checkpoints (C2SP tlog-witness); empty where the file does not say.
    """

    name: str
    verifier: LogVerifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class _Group:
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class WitnessPolicy:
    """Who must have cosigned a checkpoint for it to be final.

    Attributes:
        logs: The logs that it is for, by origin; none for any.
        witnesses: The witnesses, by their names.
        quorum: The witness or group that must have witnessed; ``none`` for nobody.
        text: The file that says so; empty for none.
    """

    logs: Mapping[str, LogVerifier] = field(default_factory=dict)
    witnesses: Mapping[str, Witness] = field(default_factory=dict)
    quorum: str = NOBODY
    text: str = field(default="", repr=False, compare=False)
    _groups: Mapping[str, _Group] = field(default_factory=dict, repr=False)

    @property
    def demands_witnesses(self) -> bool:
        """Whether anybody must have cosigned at all."""
        return self.quorum != NOBODY

    def cosigners(self, checkpoint: str) -> dict[str, int]:
        """Tell which witnesses cosigned a checkpoint, and when.

        Args:
            checkpoint: The signed note.

        Returns:
            The time of each one's newest cosignature, in seconds since the epoch, by the witness's name.

        Raises:
            ProofInvalidError: The text is no signed note, or a cosignature by one of them is bad.
        """
        found: dict[str, int] = {}
        for name, witness in self.witnesses.items():
            try:
                found[name] = verify_cosignature(checkpoint, witness.verifier)
            except KeyUntrustedError:
                continue
        return found

    def is_final(self, checkpoint: str) -> bool:
        """Whether a quorum has cosigned a checkpoint; its log's own signature is not looked at.

        Raises:
            ProofInvalidError: The text is no signed note, or a cosignature by a witness is bad.
        """
        return self.is_met_by(self.cosigners(checkpoint))

    def is_met_by(self, names: Mapping[str, int] | frozenset[str]) -> bool:
        """Whether some witnesses, by their names, are a quorum."""
        return not self.demands_witnesses or self._witnessed(self.quorum, names)

    def _witnessed(self, name: str, names: Mapping[str, int] | frozenset[str]) -> bool:
        group = self._groups.get(name)
        if group is None:
            return name in names
        return sum(self._witnessed(member, names) for member in group.members) >= group.threshold


def parse_witness_policy(data: bytes, *, name: str) -> WitnessPolicy:
    """Read a policy file of witnesses.

    Args:
        data: Its bytes.
        name: The file's name, for messages.

    Raises:
        DocumentInvalidError: It is none; the message names the line.
    """
    found = _UNTEXTUAL.search(data)
    if found:
        line = data.count(b"\n", 0, found.start()) + 1
        raise _invalid(name, line, "a control character; only tabs and newlines are allowed")
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if len(lines) > LINES_MAX:
        raise _invalid(name, LINES_MAX, f"more than {LINES_MAX} lines")
    reader = _Reader(name)
    for number, text in enumerate(lines, 1):
        words = [word for word in re.split(r"[ \t]+", text) if word]
        if words and not words[0].startswith("#"):
            reader.take(number, words)
    return replace(reader.finish(len(lines)), text=data.decode("utf-8", "replace"))


def parse_pinned_policy(text: str, log: LogVerifier, *, name: str) -> WitnessPolicy:
    """Read the policy that somebody pins for one log.

    Args:
        text: The policy file's text; empty for one that demands nobody.
        log: The log's pinned key.
        name: Where the text stands, for messages.

    Raises:
        DocumentInvalidError: It is none, or it names logs and not this one by this key.
    """
    if not text:
        return WitnessPolicy()
    policy = parse_witness_policy(text.encode(), name=name)
    if policy.logs and policy.logs.get(log.name) != log:
        raise DocumentInvalidError(f"{name}: it is not for the log {log.name!r} with the key {log.vkey}")
    return policy


class _Reader:
    """One reading, line by line: a line refers only to what stands before it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._logs: dict[str, LogVerifier] = {}
        self._witnesses: dict[str, Witness] = {}
        self._groups: dict[str, _Group] = {}
        self._members: dict[str, str] = {}
        self._keys: set[bytes] = set()
        self._quorum: str | None = None
        self._forms: Mapping[str, tuple[Callable[[int, list[str]], None], int, int]] = {
            "log": (self._log, 1, 2),
            "witness": (self._witness, 2, 3),
            "group": (self._group, 3, LINES_MAX),
            "quorum": (self._take_quorum, 1, 1),
        }

    def take(self, number: int, words: list[str]) -> None:
        keyword, *rest = words
        form = self._forms.get(keyword)
        if form is None:
            raise _invalid(self._name, number, f"{keyword!r}: log, witness, group or quorum is wanted")
        read, least, most = form
        if not least <= len(rest) <= most:
            raise _invalid(
                self._name, number, f"{keyword}: {len(rest)} words behind it are too few or too many"
            )
        read(number, rest)

    def finish(self, last: int) -> WitnessPolicy:
        if self._quorum is None:
            raise _invalid(self._name, last, "no quorum line; `quorum none` asks for no witnesses")
        return WitnessPolicy(self._logs, self._witnesses, self._quorum, _groups=self._groups)

    def _log(self, number: int, words: list[str]) -> None:
        verifier = self._key(number, words[0], KeyType.ED25519)
        if verifier.name in self._logs:
            raise _invalid(self._name, number, f"the log {verifier.name!r} stands twice")
        self._logs[verifier.name] = verifier

    def _witness(self, number: int, words: list[str]) -> None:
        name, vkey, *url = words
        self._define(number, name)
        verifier = self._key(number, vkey, KeyType.COSIGNATURE_V1)
        self._witnesses[name] = Witness(name, verifier, url[0] if url else "")

    def _group(self, number: int, words: list[str]) -> None:
        name, count, *members = words
        self._define(number, name)
        for member in members:
            self._require_defined(number, member)
            if member in self._members:
                where = f"{member!r} is a member of {self._members[member]!r} already"
                raise _invalid(self._name, number, f"{where}: each name may be one once")
            self._members[member] = name
        threshold = {"any": 1, "all": len(members)}.get(count)
        if threshold is None:
            threshold = int(count) if _THRESHOLD.fullmatch(count) else 0
        if not 1 <= threshold <= len(members):
            what = f"{count!r} of {len(members)}: any, all, or a number from 1 to {len(members)} is wanted"
            raise _invalid(self._name, number, what)
        self._groups[name] = _Group(threshold, tuple(members))

    def _take_quorum(self, number: int, words: list[str]) -> None:
        if self._quorum is not None:
            raise _invalid(self._name, number, "a second quorum line")
        if words[0] != NOBODY:
            self._require_defined(number, words[0])
        self._quorum = words[0]

    def _define(self, number: int, name: str) -> None:
        if name == NOBODY or name in self._witnesses or name in self._groups:
            raise _invalid(self._name, number, f"the name {name!r} is taken")

    def _require_defined(self, number: int, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise _invalid(self._name, number, f"no witness or group {name!r} stands before this line")

    def _key(self, number: int, vkey: str, wanted: KeyType) -> LogVerifier:
        try:
            verifier = LogVerifier.parse(vkey)
        except CarnetError as error:
            raise _invalid(self._name, number, error.message) from error
        if verifier.key_type is not wanted:
            what = f"the key of {verifier.name!r} has type {verifier.key_type:#04x}, {wanted:#04x} is wanted"
            raise _invalid(self._name, number, what)
        if verifier.public_key in self._keys:
            raise _invalid(self._name, number, f"the key of {verifier.name!r} stands twice")
        self._keys.add(verifier.public_key)
        return verifier


def _invalid(name: str, line: int, problem: str) -> DocumentInvalidError:
    return DocumentInvalidError(f"{name}, line {line}: {problem}", metadata={"field": f"line {line}"})


def with_cosignatures(checkpoint: str, lines: Iterable[str], policy: WitnessPolicy) -> str:
    """Add the cosignatures of a policy's witnesses to a checkpoint.

    Signature lines of anybody else, and those that the checkpoint has already, are left out.

    Args:
        checkpoint: The signed checkpoint.
        lines: Signature lines without their newlines, such as a witness answers with.
        policy: Who the witnesses are.

    Raises:
        ProofInvalidError: One is no signature line, or one by a witness is bad.
    """
    note = parse_note(checkpoint)
    for line in lines:
        (signature,) = parse_note(f"{note.body}\n{line}\n").signatures
        if signature not in note.signatures and policy.cosigners(str(Note(note.body, (signature,)))):
            note = Note(note.body, (*note.signatures, signature))
    return str(note)
