"""Verifying an export: the offline half of an audit.

Responsible for running every check over every environment of an export and for one report of it all. Trusts
the pins and the checkpoints that the auditor kept, and nothing in the export; whatever the files hold, it
answers with a report.

Invariants: an environment whose chain is not intact is not judged further, because its entries prove nothing;
an environment without pins is ``cannot_verify``.
"""

from __future__ import annotations

import contextlib
import gc
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from carnet.audit.anchors import AnchorJudge
from carnet.audit.chain import verify_chain
from carnet.audit.codes import Code
from carnet.audit.documents import Documents
from carnet.audit.joins import judge_joins
from carnet.audit.report import AuditReport, EnvironmentSummary, Finding, Verdict
from carnet.audit.resume import KeptState, read_state, states_of, write_state
from carnet.audit.state_codec import to_plain
from carnet.audit.walk import LogWalk
from carnet.audit.witnessing import LogHead
from carnet.errors import FileUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from carnet.audit.chain import Chain
    from carnet.audit.joins import JoinState
    from carnet.audit.pins import Pins
    from carnet.audit.report import BrokenGlass, Erasure
    from carnet.audit.statements import Record
    from carnet.translog.checkpoint import Checkpoint

_YOUNG_OBJECTS = 100_000


def verify_export(
    directory: Path,
    pins: Pins,
    *,
    earlier: Mapping[str, Checkpoint] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    watch: Callable[[str, Record], None] | None = None,
    resume: Mapping[str, bytes] | None = None,
    keep: Callable[[str, bytes], None] | None = None,
) -> AuditReport:
    """Verify an export with nothing but pinned keys.

    Args:
        directory: The export.
        pins: What the auditor trusts.
        earlier: The checkpoints kept from an earlier audit, by environment; each must be the beginning of the
            log now, and its environment must be in the export.
        progress: Is called with the environment, the entries judged so far, with their documents, and all
            there are; in a large log before that for the first pass, as ``ENV: hashes``, which only hashes.
        watch: Is called with the environment and each record of a chain that is intact, in order; what was
            found wrong with a record is in the report only.
        resume: What earlier audits left of logs, by environment, as ``keep`` was given it. Only what came
            after is verified of such a log, and that it still begins as it did; with a note, all of it where
            that cannot be. ``earlier`` must have its checkpoint.
        keep: Is called with each environment and what a later audit can go on from, if nothing was wrong.

    Returns:
        The report; ``ok`` only if there was something to verify and all of it was verified.

    Raises:
        FileUnreadableError: The directory cannot be read at all.
        DocumentInvalidError: What an earlier audit left is damaged, or of another log.
    """
    states = {
        name: read_state(data, name, pins)
        for name, data in (resume or {}).items()
        if name in pins.environments
    }
    audit = _Audit(directory, pins, earlier=earlier or {}, states=states, progress=progress, watch=watch)
    present = _environments(directory)
    with _seldom_collected():
        for name in present:
            audit.verify(name, will_keep=keep is not None)
        report = audit.report(present)
        if keep and report.ok:
            audit.keep(keep)
    return report


@contextlib.contextmanager
def _seldom_collected() -> Iterator[None]:
    """Have the collector of garbage look less often: entries make no cycles, and many of them are alive."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(frozen=True, slots=True)
class _Walked:
    """What is left of a log that was walked: what is judged with other logs, and what is told.

    The walk itself is kept only for whoever wants to go on from it: what judges know of a long log is large.
    """

    joins: JoinState
    broken_glass: list[BrokenGlass]
    erasures: list[Erasure]
    resumable: tuple[LogWalk, Chain, Checkpoint, dict[str, Any]] | None


class _Audit:
    """One audit: each environment by itself, and then all together."""

    def __init__(
        self,
        directory: Path,
        pins: Pins,
        *,
        earlier: Mapping[str, Checkpoint],
        states: Mapping[str, KeptState],
        progress: Callable[[str, int, int], None] | None,
        watch: Callable[[str, Record], None] | None,
    ) -> None:
        self._directory = directory
        self._pins = pins
        self._earlier = earlier
        self._states = states
        self._progress = progress
        self._watch = watch
        self._findings: list[Finding] = []
        self._summaries: dict[str, EnvironmentSummary] = {}
        self._walks: dict[str, _Walked] = {}
        self._anchors = AnchorJudge(directory, pins)
        self._heads: dict[str, LogHead] = {}
        self._notes: list[str] = []

    def verify(self, name: str, *, will_keep: bool) -> None:
        """Verify one environment by itself."""
        if name not in self._pins.environments:
            message = f"no keys are pinned for {name}"
            self._add(Verdict.CANNOT_VERIFY, Code.ENVIRONMENT_UNPINNED, _printable(name), message)
            return
        folder = self._directory / name
        state = self._fit_state(name)
        chain = self._chain(name, state)
        if state is not None and (why := _why_not_on(chain)):
            self._notes.append(f"{name} {why}: all of it was verified")
            state, chain = None, self._chain(name, None)
        self._findings += chain.findings
        if chain.checkpoint is None or not chain.intact:
            self._findings += Documents(folder, name).finish()
            if chain.checkpoint is not None:
                self._summaries[name] = _unjudged(chain, chain.checkpoint)
            return
        walk = LogWalk(folder, chain, chain.checkpoint, self._pins)
        if state is not None:
            state.restore(walk)
        whole = walk.run(self._take, self._teller(name))
        known = states_of(walk) if will_keep else {}
        walk.finish()
        if whole:
            self._walks[name] = _Walked(
                walk.judges.joins.state,
                walk.judges.meaning.broken_glass,
                walk.judges.erasures.erasures,
                (walk, chain, chain.checkpoint, known) if will_keep else None,
            )
        self._findings += walk.findings
        summary = self._summaries[name] = walk.summary()
        self._heads[name] = LogHead(chain.checkpoint, chain.checkpoint_text, summary.last_time)
        if not will_keep:
            walk.let_go()

    def report(self, present: list[str]) -> AuditReport:
        """Judge the environments together, and return what was found."""
        for name in sorted(set(self._earlier) - set(present)):
            message = "an earlier audit had a checkpoint of it, and it is not in this export"
            self._add(Verdict.INCOMPLETE, Code.ENVIRONMENT_MISSING, name, message)
        if not present:
            message = f"{self._directory} holds no environment"
            self._add(Verdict.INCOMPLETE, Code.EXPORT_EMPTY, "", message)
        walks = self._walks
        self._findings += judge_joins({name: walk.joins for name, walk in walks.items()})
        self._findings += self._anchors.finish(self._heads)
        for name, final_size in self._anchors.final_sizes.items():
            self._summaries[name] = replace(self._summaries[name], final_size=final_size)
        uses = [use for walk in walks.values() for use in walk.broken_glass]
        findings = tuple(sorted(self._findings, key=_order))
        erasures = [each for walk in walks.values() for each in walk.erasures]
        return AuditReport(
            self._summaries, findings, tuple(uses), notes=tuple(self._notes), erasures=tuple(erasures)
        )

    def keep(self, keep: Callable[[str, bytes], None]) -> None:
        """Hand out what a later audit can go on from."""
        for name, each in self._walks.items():
            assert each.resumable is not None
            walk, chain, checkpoint, known = each.resumable
            joins = walk.judges.joins
            known |= {joins.NAME: to_plain(joins.STATE, joins.state)}
            keep(name, write_state(walk, chain, checkpoint, known, self._pins))

    def _chain(self, name: str, state: KeptState | None) -> Chain:
        return verify_chain(
            self._directory / name,
            self._pins.environments[name],
            earlier=self._earlier.get(name),
            verified=state.tree if state else None,
            progress=self._teller(f"{name}: hashes"),
        )

    def _fit_state(self, name: str) -> KeptState | None:
        """Return what an earlier audit left of a log, if this one can go on from it; else say why not."""
        state = self._states.get(name)
        if state is None:
            return None
        problem = state.unfit(self._pins, self._earlier.get(name))
        if problem:
            self._notes.append(f"{name} was verified in full, and not from the kept state: {problem}")
            return None
        return state

    def _take(self, name: str, record: Record) -> None:
        self._anchors.step(name, record)
        if self._watch:
            self._watch(name, record)

    def _add(self, verdict: Verdict, code: Code, environment: str, message: str) -> None:
        self._findings.append(Finding(verdict, code, environment, None, message))

    def _teller(self, name: str) -> Callable[[int, int], None] | None:
        progress = self._progress
        return (lambda done, total: progress(name, done, total)) if progress else None


def _environments(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as items:
            return sorted(each.name for each in items if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise FileUnreadableError(f"the export {directory} cannot be read: {error.strerror}") from error


def _why_not_on(chain: Chain) -> str:
    """Say why what an earlier audit verified cannot be gone on from; empty if it can."""
    if chain.start == 0 or not chain.intact:
        return "does not go on from what was verified"
    if chain.erased:
        # Entries before, which rest on those documents, were judged by them: now they are by what is left.
        return "says of documents that they were erased"
    return ""


def _unjudged(chain: Chain, checkpoint: Checkpoint) -> EnvironmentSummary:
    """Return the summary of a chain that is broken: its entries are not counted, for they prove nothing."""
    return EnvironmentSummary(
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        checkpoint=chain.checkpoint_text,
        published=0,
        admitted=0,
        refused=0,
        documents=0,
        last_time=None,
    )


def _order(finding: Finding) -> tuple[str, int]:
    return finding.environment, -1 if finding.index is None else finding.index


def _printable(name: str) -> str:
    return name.encode(errors="replace").decode()
