"""What must hold between the fields of a policy, and within its expressions.

Responsible for finding mistakes while the author looks: rule ids that are not unique, needs that nothing
meets, placeholders without a value, fields that no manifest has, and expressions that read what they may not.
The types of expressions are CEL's business (``cel``); nothing is evaluated.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from carnet_policies import break_glass, scope, signature, sources
from carnet_policies.contradictions import contradiction_problems
from carnet_policies.evidence_kinds import KINDS, SUITES
from carnet_policies.message import manifest_fields_at
from carnet_policies.metric_checks import metric_problems
from carnet_policies.mistakes import needs_wider, place_of, suggestion
from carnet_policies.retention_checks import retention_problems
from carnet_policies.rollout_checks import rollout_problems
from carnet_policies.source_limits import names_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.documents import Location
    from carnet_policies.mistakes import Problem
    from carnet_policies.schema import ExpressionRule, PolicyDocument
    from carnet_policies.schema_scope import When

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# The id of the result that a registry adds itself: whether the version is revoked.
REVOCATION = break_glass.REVOCATION
_OF_EVIDENCE = frozenset({"metrics", "evidence", "baseline_metrics"})
_OF_BASELINE = frozenset({"has_baseline", "baseline", "baseline_metrics"})
_OF_METRICS = frozenset({"metrics", "baseline_metrics"})


def document_problems(document: PolicyDocument) -> list[Problem]:
    """Return every mistake that a schema cannot see, with the field that it is in."""
    return [
        *_admission_problems(document),
        *_rule_id_problems(document),
        *_label_problems(document),
        *_metadata_problems(document),
        *_compatibility_problems(document),
        *_evidence_problems(document),
        *metric_problems(document),
        *contradiction_problems(document),
        *rollout_problems(document),
        *retention_problems(document),
        *break_glass.break_glass_problems(document),
        *(
            (("rules", index, *location), message)
            for index, rule in enumerate(document.rules)
            for location, message in _rule_problems(document, rule)
        ),
    ]


def _admission_problems(document: PolicyDocument) -> Iterator[Problem]:
    if not document.sources and not document.publishing:
        yield (("sources",), "nothing can come in: name a source, or set publishing: true")
    if document.environment in document.sources:
        yield (("sources",), f"{document.environment} cannot be its own source")


def _rule_id_problems(document: PolicyDocument) -> Iterator[Problem]:
    seen = {sources.RULE, scope.RULE, signature.RULE, REVOCATION, break_glass.RULE}
    demands = [(place_of(document, field, index), each) for field, index, each in scope.demands(document)]
    for location, demand in (*demands, *_guardrails(document)):
        if demand.rule in seen:
            yield (
                (*location, "rule"),
                f"{demand.rule!r} is the id of another rule; an id names one rule in a policy",
            )
        seen.add(demand.rule)


def _guardrails(document: PolicyDocument) -> Iterator[tuple[Location, scope.Demand]]:
    for index, demand in enumerate(document.rollouts.guardrails if document.rollouts else ()):
        yield ("rollouts", "guardrails", index), demand


def _selections(document: PolicyDocument) -> Iterator[tuple[Location, When]]:
    for field, index, name, selection in scope.selections(document):
        yield (*place_of(document, field, index), name), selection
    for location, demand in _guardrails(document):
        if demand.when is not None:
            yield (*location, "when"), demand.when


def _label_problems(document: PolicyDocument) -> Iterator[Problem]:
    for place, when in _selections(document):
        for name, values in when.labels.items():
            location = (*place, "labels", name)
            declared = document.labels.get(name)
            if declared is None:
                hint = suggestion(name, document.labels)
                yield (location, f"the policy declares no label {name!r}: a version could leave it out{hint}")
                continue
            for value in values:
                if value not in declared.values:
                    yield (location, f"{name} is never {value!r}{suggestion(value, declared.values)}")


def _metadata_problems(document: PolicyDocument) -> Iterator[Problem]:
    for number, demand in enumerate(document.metadata):
        for index, path in enumerate(demand.required):
            known = manifest_fields_at(path.split("."))
            if known is not None:
                location = (*place_of(document, "metadata", number), "required", index)
                yield (location, f"no manifest has {path!r}{suggestion(path, known)}")


def _compatibility_problems(document: PolicyDocument) -> Iterator[Problem]:
    for index, _ in enumerate(document.compatibility if document.baseline_alias is None else ()):
        place = place_of(document, "compatibility", index)
        yield (place, "compares with the baseline, and the policy has no baseline_alias")


def _evidence_problems(document: PolicyDocument) -> Iterator[Problem]:
    for index, demand in enumerate(document.evidence):
        if demand.suite is not None and demand.type in SUITES and demand.suite != demand.type:
            yield (
                ("evidence", index, "suite"),
                f"evidence of the type {demand.type} is of the suite of that name: leave suite out",
            )
        if demand.type in KINDS and demand.type not in SUITES and demand.suite in SUITES:
            yield (("evidence", index, "type"), f"evidence of that suite is of the type {demand.suite}")
        close = difflib.get_close_matches(demand.type, KINDS, n=1)
        if demand.type not in KINDS and ":" not in demand.type and close:
            yield (
                ("evidence", index, "type"),
                f"{demand.type!r} is no predicate type, and no known word; did you mean {close[0]!r}?",
            )
        if len(set(demand.results)) != len(demand.results):
            yield (("evidence", index, "results"), "the same result twice")
        elif "PASSED" not in demand.results:
            yield (
                ("evidence", index, "results"),
                "what PASSED is good enough where a warning is: add PASSED",
            )


def _rule_problems(document: PolicyDocument, rule: ExpressionRule) -> Iterator[Problem]:
    evidence = {demand.rule: demand for demand in document.evidence}
    asked = {demand.rule: demand.when for demand in document.evidence}
    asked |= {demand.rule: demand.when for demand in document.decisions}
    known = [*asked]
    for index, need in enumerate(rule.needs):
        if need not in known:
            hint = f"one of {', '.join(known)}" if known else "no such rule in this policy"
            yield (("needs", index), f"{need!r} is not a rule of evidence or of a decision: {hint}")
        elif not scope.narrows(rule.when, asked[need]):
            yield (("needs", index), needs_wider(need))
    needed = [evidence[need] for need in rule.needs if need in evidence]
    names = names_in(rule.expression).union(*(names_in(source) for source in rule.values.values()))
    if names & _OF_METRICS and not any(demand.metrics for demand in needed):
        yield (
            ("expression",),
            "reads metrics: needs must name a rule of evidence with metrics: true, or it might run bare",
        )
    elif names & _OF_EVIDENCE and not needed:
        yield (
            ("expression",),
            "reads evidence: needs must name the rule of evidence that it rests on, or it might run bare",
        )
    if names & _OF_BASELINE and document.baseline_alias is None:
        yield (("expression",), "reads the baseline, and the policy has no baseline_alias")
    for field, text in (("message", rule.message), ("remedy", rule.remedy)):
        for placeholder in PLACEHOLDER.findall(text):
            if placeholder not in rule.values:
                hint = suggestion(placeholder, rule.values)
                yield ((field,), f"{{{placeholder}}} is not one of the rule's values{hint}")
