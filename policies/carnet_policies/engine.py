"""The policy engine: a policy and the facts in, every rule's result out.

Responsible for the order of things: what is signed, attested, decided and approved is settled by plain rules;
only then do expressions run, in a worker process, and only those whose needs are met. Fails closed: whatever
goes wrong in an expression or its process fails the rule. Thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.errors import InvalidInputError
from carnet_policies.approvals import check_approvals
from carnet_policies.calendar_rules import check_freeze, check_window
from carnet_policies.compatibility import check_compatibility
from carnet_policies.decisions import check_decision
from carnet_policies.evaluation import Evaluation, RuleResult
from carnet_policies.evidence import check_evidence
from carnet_policies.expressions import rule_result, unmet_needs
from carnet_policies.message import facts_message
from carnet_policies.metadata import check_metadata
from carnet_policies.process import WorkerProcess
from carnet_policies.protocol import Answer, Question
from carnet_policies.requirements import FigureBook, check_metrics
from carnet_policies.scope import scope_of
from carnet_policies.signature import check_signature
from carnet_policies.source_limits import names_in
from carnet_policies.sources import check_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from carnet_policies.document import Policy
    from carnet_policies.facts import Facts
    from carnet_policies.schema import ExpressionRule, PolicyDocument
    from carnet_policies.scope import Scope

DEADLINE_SECONDS = 5.0
MEMORY_BYTES = 256 << 20


class PolicyEngine:
    """Evaluates policies, with one worker process that is started at the first expression.

    Args:
        deadline_seconds: The time for all the expressions of one evaluation.
        address_space_bytes: The worker's limit of address space, where the platform enforces one.
        resident_bytes: The worker's resident memory at which it is killed.
    """

    def __init__(
        self,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        address_space_bytes: int = MEMORY_BYTES,
        resident_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._worker = WorkerProcess(
            deadline_seconds=deadline_seconds,
            address_space_bytes=address_space_bytes,
            resident_bytes=resident_bytes,
        )

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id; None when none runs."""
        return self._worker.pid

    def evaluate(self, policy: Policy, facts: Facts) -> Evaluation:
        """Evaluate a policy; blocks while expressions run, at most for a worker's start and the deadline.

        Args:
            policy: The policy.
            facts: The verified facts.

        Returns:
            The result of every rule that is asked, in the policy's order: source, scope, signature, metadata,
            compatibility, evidence, metrics, decisions, change windows, freezes, expressions, approvals.
        """
        scope = scope_of(policy.document, facts)
        document = scope.document
        plain = _plain_results(scope, facts)
        resolved = {result.rule: result for result in plain}
        unmet = {rule.rule: unmet_needs(rule, resolved) for rule in document.rules}
        runnable = [rule for rule in document.rules if unmet[rule.rule] is None]
        decided = self._decide(document, facts, runnable)
        results = plain + [unmet[rule.rule] or decided[rule.rule] for rule in document.rules]
        results += [check_approvals(demand, facts) for demand in document.approvals]
        return Evaluation(policy.digest, tuple(results))

    def close(self) -> None:
        """Stop the worker; evaluating again starts another."""
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decide(
        self, document: PolicyDocument, facts: Facts, rules: Sequence[ExpressionRule]
    ) -> dict[str, RuleResult]:
        if not rules:
            return {}
        sources = [source for rule in rules for source in (rule.expression, *rule.values.values())]
        questions = [Question(rule.expression, rule.values) for rule in rules]
        try:
            message = facts_message(document, facts, frozenset().union(*map(names_in, sources)))
        except InvalidInputError as error:
            answers = [Answer("error", value=False, text=error.message, values={})] * len(rules)
        else:
            answers = self._worker.ask(questions, message.SerializeToString())
        return {rule.rule: rule_result(rule, answer) for rule, answer in zip(rules, answers, strict=True)}


def _plain_results(scope: Scope, facts: Facts) -> list[RuleResult]:
    document = scope.document
    results = [check_source(document, facts)]
    if scope.result is not None:
        results.append(scope.result)
    if document.signature.required:
        results.append(check_signature(facts))
    results += [check_metadata(demand, facts) for demand in document.metadata]
    alias = document.baseline_alias or ""
    results += [check_compatibility(each, facts, baseline_alias=alias) for each in document.compatibility]
    evidence = {demand.rule: check_evidence(demand, facts) for demand in document.evidence}
    results += evidence.values()
    book = FigureBook(document, facts)
    results += [unmet_needs(each, evidence) or check_metrics(each, book) for each in document.metrics]
    results += [check_decision(demand, facts) for demand in document.decisions]
    results += [check_window(demand, facts) for demand in document.change_windows]
    results += [check_freeze(demand, facts, scope.labels) for demand in document.freezes]
    return results
