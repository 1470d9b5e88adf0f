"""Judging the decisions of an export by their policies: would the policy have said yes?

Responsible for one verdict a decision: none where the policy says PASSED on what was known then,
``policy_violated`` where it does not, ``cannot_verify`` where the export has not what it takes. Refusals are
not replayed: a refusal lets nothing in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.audit.codes import Code
from carnet.audit.report import AuditReport, Finding, Verdict, describe_subject
from carnet.audit.verify import verify_export
from carnet.errors import CarnetError
from carnet.signing.decision import Decision
from carnet_policies.evaluation import Evaluation, RuleStatus
from carnet_server.admission.break_glass_rules import with_break_glass
from carnet_server.admission.past_facts import revocation_found
from carnet_server.replaying.facts import read_known
from carnet_server.replaying.past import CannotTellError, PastLog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.audit.pins import Pins
    from carnet.audit.statements import Record
    from carnet.signing.keys import VerificationKey
    from carnet_policies.engine import PolicyEngine


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The outcome of replaying an export.

    Attributes:
        audit: What the verifier found, and what replaying found besides.
        replayed: How many decisions were replayed, by environment; those that could not be are not counted.
    """

    audit: AuditReport
    replayed: dict[str, int]


def replay_export(
    directory: Path,
    pins: Pins,
    engine: PolicyEngine,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> ReplayReport:
    """Verify an export, and replay the policy of every decision in it that said yes.

    Args:
        directory: The export.
        pins: The keys.
        engine: Evaluates policies.
        progress: Is called with a stage, what is done, and all there is.

    Raises:
        FileUnreadableError: The export cannot be read at all.
    """
    logs: dict[str, list[Record]] = {}

    def watch(environment: str, record: Record) -> None:
        logs.setdefault(environment, []).append(record)

    def verifying(environment: str, done: int, total: int) -> None:
        if progress is not None:
            progress(f"verifying {environment}", done, total)

    report = verify_export(directory, pins, progress=verifying, watch=watch)
    findings, replayed = list(report.findings), {}
    for name, records in logs.items():
        log = PastLog.of(name, directory / name, records)
        own_key = next(iter(pins.environments[name].keys.values()))
        replayed[name] = 0
        for done, decision in enumerate(log.decisions, 1):
            found = replay_decision(log, decision, engine, own_key=own_key)
            if found is None or found.verdict is not Verdict.CANNOT_VERIFY:
                replayed[name] += 1
            findings += [found] if found else []
            if progress is not None:
                progress(f"replaying {name}", done, len(log.decisions))
    audit = AuditReport(report.environments, tuple(findings), report.broken_glass)
    return ReplayReport(audit, replayed)


def replay_decision(
    log: PastLog, record: Record, engine: PolicyEngine, *, own_key: VerificationKey
) -> Finding | None:
    """Replay one decision that said yes; None where its policy says so too.

    Args:
        log: The environment's log.
        record: The decision's entry.
        engine: Evaluates policies.
        own_key: A key of the environment's own statements.
    """

    def finding(verdict: Verdict, message: str) -> Finding:
        cannot = verdict is Verdict.CANNOT_VERIFY
        code = Code.DECISION_NOT_REPLAYED if cannot else Code.DECISION_UNFOUNDED
        return Finding(verdict, code, log.environment, record.index, message, describe_subject(record.entry))

    decision = record.predicate
    if not isinstance(decision, Decision):
        return finding(Verdict.CANNOT_VERIFY, "the decision did not verify, so it cannot be replayed")
    try:
        evaluation = _evaluate(log, record, decision, engine, own_key)
    except CannotTellError as error:
        return finding(Verdict.CANNOT_VERIFY, f"the decision cannot be replayed: {error}")
    except CarnetError as error:
        message = f"what the decision rests on was not to be believed when it was made: {error.message}"
        return finding(Verdict.POLICY_VIOLATED, message)
    if evaluation.outcome is RuleStatus.PASSED:
        return None
    rules = "; ".join(
        f"rule {each.rule} is {each.status}: {each.message}"
        for each in evaluation.results
        if each.status is not RuleStatus.PASSED and not each.skipped
    )
    return finding(
        Verdict.POLICY_VIOLATED,
        f"the decision says PASSED, and its policy replayed on what was known then says "
        f"{evaluation.outcome}: {rules}",
    )


def _evaluate(
    log: PastLog, record: Record, decision: Decision, engine: PolicyEngine, own_key: VerificationKey
) -> Evaluation:
    policy = log.policy(decision.policy.digest.sha256)
    known = read_known(log, record, decision, policy, own_key=own_key)
    facts = known.facts
    evaluation = engine.evaluate(policy, facts)
    revocation = revocation_found(decision)
    if revocation is not None:
        evaluation = Evaluation(evaluation.policy_digest, (*evaluation.results, revocation))
    evaluation, _ = with_break_glass(
        evaluation,
        policy.document,
        known.dossier,
        known.breaking,
        publisher=facts.publisher,
        requester=facts.requester,
        emergency=known.emergency,
        now=facts.now,
    )
    return evaluation
