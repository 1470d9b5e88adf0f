"""How much of a log is final, as far as an export shows.

Responsible for the cosignatures of pinned witnesses on the checkpoints that are exported: whether they
verify, how many entries a quorum of the pinned policy has witnessed, and whether the log still begins with
those. A log that merely lags is in order; one that its policy wants witnessed and nobody has is
``incomplete``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from carnet.audit.codes import Code
from carnet.audit.layout import read_witnessed_checkpoint
from carnet.audit.report import Finding, Verdict
from carnet.errors import CarnetError, KeyUntrustedError
from carnet.translog.checkpoint import parse_checkpoint

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from carnet.audit.pins import EnvironmentPins
    from carnet.audit.verified_tiles import VerifiedTiles
    from carnet.translog.checkpoint import Checkpoint

UNWITNESSED_MAX: Final = timedelta(days=1)
"""How long a log may go on before its oldest unwitnessed entry is a finding."""


@dataclass(frozen=True, slots=True)
class LogHead:
    """The verified end of a log whose chain is intact.

    Attributes:
        checkpoint: The tree head.
        text: Its signed note, with the cosignatures that it has.
        last_time: The time of the last entry; None for an empty log.
    """

    checkpoint: Checkpoint
    text: str
    last_time: datetime | None


@dataclass(slots=True)
class Witnessing:
    """What is exported of the witnesses of one log. Made by ``read_witnessing``.

    Attributes:
        pins: What is trusted of the log.
        witnessed: The checkpoint that is exported as witnessed, signed by the log; None for none.
        quorum: Whether a quorum of the pinned policy cosigned it.
        findings: What is wrong with it.
    """

    pins: EnvironmentPins
    witnessed: Checkpoint | None = None
    quorum: bool = False
    findings: list[Finding] = field(default_factory=list)
    _unwitnessed_since: datetime | None = None

    def step(self, index: int, time: datetime) -> None:
        """Take the log's next entry that is no anchor."""
        final_size = self.witnessed.size if self.witnessed and self.quorum else 0
        if self._unwitnessed_since is None and index >= final_size:
            self._unwitnessed_since = time

    def finish(self, head: LogHead, tiles: VerifiedTiles) -> int | None:
        """Judge it, now that the whole log was read.

        Args:
            head: The log's verified end.
            tiles: Its tree.

        Returns:
            How many entries are final; None where the pinned policy demands no witnesses.
        """
        final_size = 0
        try:
            if self.pins.policy.is_final(head.text):
                final_size = head.checkpoint.size
        except CarnetError as error:
            self._add(Verdict.TAMPERED, Code.COSIGNATURE_INVALID, f"the checkpoint: {error.message}")
        if self.witnessed is not None and self._is_prefix(self.witnessed, head, tiles) and self.quorum:
            final_size = max(final_size, self.witnessed.size)
        if not self.pins.policy.demands_witnesses:
            return None
        if not self.findings:
            self._judge_lag(head, final_size)
        return final_size

    def _is_prefix(self, witnessed: Checkpoint, head: LogHead, tiles: VerifiedTiles) -> bool:
        size = head.checkpoint.size
        if witnessed.size > size:
            message = (
                f"the log was cut: a checkpoint of {witnessed.size} entries was witnessed, this has {size}"
            )
            self._add(Verdict.TAMPERED, Code.LOG_CUT, message, index=size)
            return False
        try:
            root = tiles.root(witnessed.size)
        except CarnetError as error:
            self._add(
                Verdict.INCOMPLETE,
                Code.ANCHOR_INCOMPARABLE,
                f"what was witnessed cannot be compared: {error.message}",
            )
            return False
        if root != witnessed.root:
            message = (
                f"history was rewritten: the checkpoint of {witnessed.size} entries that was witnessed has "
                f"the root {witnessed.root.hex()}, and the first {witnessed.size} entries lead to "
                f"{root.hex()}, though the present checkpoint is signed"
            )
            self._add(
                Verdict.TAMPERED,
                Code.HISTORY_REWRITTEN,
                message,
                affects=(f"the first {witnessed.size} entries",),
            )
            return False
        return True

    def _judge_lag(self, head: LogHead, final_size: int) -> None:
        size, since = head.checkpoint.size, self._unwitnessed_since
        if size and not final_size:
            message = (
                f"nothing of its {size} entries is final: no checkpoint in the export is cosigned by the "
                "quorum of the pinned witnesses; have it witnessed, and export again"
            )
            self._add(Verdict.INCOMPLETE, Code.NOT_FINAL, message, index=0, affects=("every entry",))
        elif final_size < size and since and head.last_time and head.last_time - since > UNWITNESSED_MAX:
            message = (
                f"only the first {final_size} of {size} entries are final: no quorum has witnessed what came "
                f"since {since.isoformat()}, and the log went on for longer than {UNWITNESSED_MAX.days} day"
            )
            self._add(Verdict.INCOMPLETE, Code.NOT_FINAL, message, index=final_size)

    def _add(
        self,
        verdict: Verdict,
        code: Code,
        message: str,
        *,
        index: int | None = None,
        affects: tuple[str, ...] = (),
    ) -> None:
        self.findings.append(Finding(verdict, code, self.pins.name, index, message, affects))


def read_witnessing(directory: Path, pins: EnvironmentPins) -> Witnessing:
    """Read what is exported of the witnesses of a log, before its entries are.

    Args:
        directory: The environment's part of the export.
        pins: What is trusted of it.

    Returns:
        What there is; nothing that the files hold raises an error.
    """
    found = Witnessing(pins)
    try:
        data = read_witnessed_checkpoint(directory)
        if data is None:
            return found
        found.witnessed = parse_checkpoint(data, pins.log_verifier)
        found.quorum = pins.policy.is_final(data.decode())
    except KeyUntrustedError as error:
        verdict, message = Verdict.CANNOT_VERIFY, error.message
    except CarnetError as error:
        verdict, message = Verdict.TAMPERED, error.message
    else:
        return found
    text = f"the checkpoint that was witnessed: {message}"
    found.findings.append(Finding(verdict, Code.COSIGNATURE_INVALID, pins.name, None, text))
    return found
