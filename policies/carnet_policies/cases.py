"""A policy's test cases: facts in short form, and what each rule must say about them.

Responsible for running a file of cases through the engine as a registry would. Invariant: a rule that a case
does not name must pass, so a case cannot overlook one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.documents import YamlSource, field_path, read_file, validate_document
from carnet.errors import DocumentInvalidError
from carnet_policies import break_glass
from carnet_policies.case_forms import SKIPPED, CasesDocument
from carnet_policies.document import load_policy
from carnet_policies.evaluation import RuleStatus
from carnet_policies.guardrails import GuardrailStatus
from carnet_policies.rollout_cases import NOT_DEMANDED, run_rollout_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from carnet.documents import Location
    from carnet_policies.case_forms import Expected, FactsForm
    from carnet_policies.document import Policy
    from carnet_policies.engine import PolicyEngine
    from carnet_policies.evaluation import Evaluation
    from carnet_policies.rollout_cases import RolloutOutcome

CASES_ENDING = ".cases.yaml"


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What came of one case: the mismatches are empty when it passed."""

    case: str
    mismatches: tuple[str, ...]
    evaluation: Evaluation

    @property
    def passed(self) -> bool:
        """Whether every rule said what it must."""
        return not self.mismatches


@dataclass(frozen=True, slots=True)
class CasesReport:
    """What came of a file of cases.

    Attributes:
        file: The file.
        policy: The policy's file.
        outcomes: One outcome a case.
        rollouts: One outcome a case of a rollout.
        never_refused: The rules that passed in every case, and the guardrails that were breached in none, so
            that no case shows what they refuse.
    """

    file: Path
    policy: Path
    outcomes: tuple[CaseOutcome, ...]
    rollouts: tuple[RolloutOutcome, ...]
    never_refused: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(outcome.passed for outcome in self.all_outcomes)

    @property
    def all_outcomes(self) -> tuple[CaseOutcome | RolloutOutcome, ...]:
        """What came of the cases of admissions, then of those of rollouts."""
        return (*self.outcomes, *self.rollouts)


def run_cases(path: Path, engine: PolicyEngine) -> CasesReport:
    """Run the cases of a file against the policy that it names.

    Args:
        path: The file of cases; the policy's path in it is relative to the file.
        engine: The engine.

    Returns:
        What came of them.

    Raises:
        FileUnreadableError: The cases or their policy cannot be read.
        DocumentInvalidError: The cases or their policy are malformed, or a case names an unknown rule.
    """
    source = YamlSource(read_file(path, what="the cases"), name=path.name)
    document = validate_document(source, CasesDocument)
    policy_path = path.parent / document.policy
    policy = load_policy(read_file(policy_path, what="the policy"), name=policy_path.name)
    outcomes = []
    for index, case in enumerate(document.cases):
        evaluation = _evaluate(engine, policy, case.facts.over(document.facts))
        known = policy.rule_ids
        if policy.document.break_glass is not None:
            known += (break_glass.RULE,)
        _require_known(source, ("cases", index), case.expect, known, f"{policy_path.name} has no rule")
        outcomes.append(CaseOutcome(case.case, mismatches(evaluation, case.expect), evaluation))
    guardrails = policy.guardrail_ids
    rollouts = []
    for index, form in enumerate(document.rollouts):
        place = ("rollouts", index)
        _require_known(source, place, form.expect, guardrails, f"{policy_path.name} has no guardrail")
        rollouts.append(run_rollout_case(policy.document, form))
    never = (*_never_refused(policy, outcomes), *_never_breached(guardrails, rollouts))
    return CasesReport(path, policy_path, tuple(outcomes), tuple(rollouts), never)


def _require_known(
    source: YamlSource, place: Location, named: Iterable[str], known: Sequence[str], problem: str
) -> None:
    for rule in named:
        if rule not in known:
            where = source.where((*place, "expect", rule))
            has = ", ".join(known) or "none"
            raise DocumentInvalidError(
                f"{where}: {field_path((*place, 'expect'))}: {problem} {rule!r}: it has {has}"
            )


def _evaluate(engine: PolicyEngine, policy: Policy, form: FactsForm) -> Evaluation:
    document, facts = policy.document, form.spell_out(policy.document.environment)
    return break_glass.with_statements(
        engine.evaluate(policy, facts),
        document,
        [each.spell_out(document.break_glass, facts.now) for each in form.break_glass],
        publisher=facts.publisher,
        requester=facts.requester,
        emergency=form.emergency,
        now=facts.now,
    )


def mismatches(evaluation: Evaluation, expected: Mapping[str, Expected]) -> tuple[str, ...]:
    """Return a line for each rule that said something else than it must.

    Args:
        evaluation: What the policy said.
        expected: What rules must say; those that are not named must pass, where they are demanded.
    """
    lines = []
    for result in evaluation.results:
        wanted = expected.get(result.rule, RuleStatus.PASSED)
        was = SKIPPED if result.skipped else result.counts_as
        if was != wanted:
            lines.append(f"{result.rule}: expected {wanted}, was {was}: {result.message}")
    demanded = {result.rule for result in evaluation.results}
    for rule, wanted in expected.items():
        if rule not in demanded and wanted != NOT_DEMANDED:
            lines.append(f"{rule}: expected {wanted}, and it is not demanded here")
    return tuple(lines)


def _never_refused(policy: Policy, outcomes: list[CaseOutcome]) -> tuple[str, ...]:
    refused = {
        result.rule
        for outcome in outcomes
        for result in outcome.evaluation.results
        if result.counts_as is not RuleStatus.PASSED
    }
    return tuple(rule for rule in policy.rule_ids if rule not in refused)


def _never_breached(guardrails: Sequence[str], outcomes: Iterable[RolloutOutcome]) -> Iterator[str]:
    breached = {
        verdict.rule
        for outcome in outcomes
        for verdict in outcome.verdicts
        if verdict.status is GuardrailStatus.BREACHED
    }
    return (rule for rule in guardrails if rule not in breached)


def find_cases(path: Path) -> list[Path]:
    """Return the files of cases that a path stands for.

    Args:
        path: A file of cases, a policy with its cases beside it, or a folder of them.

    Raises:
        DocumentInvalidError: A folder has none.
    """
    if path.is_dir():
        found = sorted(path.rglob(f"*{CASES_ENDING}"))
        if not found:
            raise DocumentInvalidError(
                f"{path}: no file ends in {CASES_ENDING}; write cases beside the policy"
            )
        return found
    return [path if path.name.endswith(CASES_ENDING) else path.with_name(path.stem + CASES_ENDING)]
