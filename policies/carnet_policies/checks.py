"""What must hold between the fields of a policy, and within its expressions.

Responsible for finding mistakes while the author looks: rule ids that are not unique, needs that nothing
meets, placeholders without a value, fields that no manifest has, and expressions that read what they may not.
The types of expressions are CEL's business (``cel``); nothing is evaluated.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from carnet_policies import metadata, signature, sources
from carnet_policies.message import manifest_fields_at
from carnet_policies.source_limits import names_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from carnet.documents import Location
    from carnet_policies.schema import ExpressionRule, PolicyDocument

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# The id of the result that a registry adds itself: whether the version is revoked.
REVOCATION = "revocation"
_OF_EVIDENCE = frozenset({"metrics", "evidence", "baseline_metrics"})
_OF_BASELINE = frozenset({"has_baseline", "baseline", "baseline_metrics"})
_OF_METRICS = frozenset({"metrics", "baseline_metrics"})

Problem = tuple["Location", str]


def document_problems(document: PolicyDocument) -> list[Problem]:
    """Return every mistake that a schema cannot see, with the field that it is in."""
    return [
        *_admission_problems(document),
        *_rule_id_problems(document),
        *_metadata_problems(document),
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
    seen = {sources.RULE, signature.RULE, metadata.RULE, REVOCATION}
    listed: list[tuple[Location, str]] = [
        (("evidence", index, "rule"), demand.rule) for index, demand in enumerate(document.evidence)
    ]
    listed += [(("decisions", index, "rule"), demand.rule) for index, demand in enumerate(document.decisions)]
    listed += [(("rules", index, "rule"), rule.rule) for index, rule in enumerate(document.rules)]
    if document.approvals is not None:
        listed.append((("approvals", "rule"), document.approvals.rule))
    for location, rule in listed:
        if rule in seen:
            yield (location, f"{rule!r} is the id of another rule; an id names one rule in a policy")
        seen.add(rule)


def _metadata_problems(document: PolicyDocument) -> Iterator[Problem]:
    for index, path in enumerate(document.metadata.required if document.metadata else ()):
        known = manifest_fields_at(path.split("."))
        if known is not None:
            yield (("metadata", "required", index), f"no manifest has {path!r}{_suggest(path, known)}")


def _suggest(path: str, known: Iterable[str]) -> str:
    names = list(known)
    close = [match for part in path.split(".") for match in difflib.get_close_matches(part, names, n=1)]
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known there: {', '.join(names)}" if names else "; nothing stands below it"


def _rule_problems(document: PolicyDocument, rule: ExpressionRule) -> Iterator[Problem]:
    evidence = {demand.rule: demand for demand in document.evidence}
    known = [*evidence, *(demand.rule for demand in document.decisions)]
    for index, need in enumerate(rule.needs):
        if need not in known:
            hint = f"one of {', '.join(known)}" if known else "no such rule in this policy"
            yield (("needs", index), f"{need!r} is not a rule of evidence or of a decision: {hint}")
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
                yield (
                    (field,),
                    f"{{{placeholder}}} is not one of the rule's values{_suggest(placeholder, rule.values)}",
                )
