"""The judges of a log: which there are, and in which order they see each entry.

A further judge is added here: a class of ``carnet.audit.judging.Judge`` in a module of its own, and a line in
``Judges``. A judge that needs several logs notes in its state what the others must have, and is asked in the
end (as ``carnet.audit.joins`` is).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.audit.certificates import CertificateJudge
from carnet.audit.erasures import ErasureJudge
from carnet.audit.form import FormJudge
from carnet.audit.joins import JoinJudge
from carnet.audit.marks import MarkJudge
from carnet.audit.meaning import MeaningJudge
from carnet.audit.moves import MoveJudge
from carnet.audit.refusals import RefusalJudge
from carnet.audit.retention import RetentionJudge
from carnet.audit.rollouts import RolloutJudge
from carnet.audit.serving import ServingJudge
from carnet.audit.signed_documents import SignedDocumentJudge
from carnet.audit.stages import StageJudge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.audit.judging import Judge, JudgedLog
    from carnet.audit.pins import Pins


class Judges:
    """Every judge of one environment's log, each with what it knows so far.

    Args:
        log: The log.
        pins: What the auditor trusts.
    """

    def __init__(self, log: JudgedLog, pins: Pins) -> None:
        self.form = FormJudge(log)
        self.meaning = MeaningJudge(log, pins)
        self.erasures = ErasureJudge(log)
        self.joins = JoinJudge(log)
        self._all: tuple[Judge, ...] = (
            self.form,
            self.meaning,
            MoveJudge(log),
            StageJudge(log),
            RolloutJudge(log),
            ServingJudge(log),
            MarkJudge(log),
            RetentionJudge(log),
            self.erasures,
            RefusalJudge(log),
            CertificateJudge(log, pins.environments[log.environment]),
            SignedDocumentJudge(log, pins),
            self.joins,
        )

    def __iter__(self) -> Iterator[Judge]:
        """Iterate over them, in the order in which they see each entry."""
        return iter(self._all)
