"""An evaluation as it is stored and shown: the policy's results, and when and on which log they were made.

Responsible for its JSON form in the database, and for saying whether two evaluations found the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from carnet.signing.times import format_time, parse_time
from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoredEvaluation:
    """An evaluation with its place in time.

    Attributes:
        evaluation: What the policy said.
        log_size: The size of this environment's log then.
        evaluated_at: When.
    """

    evaluation: Evaluation
    log_size: int
    evaluated_at: datetime

    @property
    def outcome(self) -> RuleStatus:
        """The one outcome of all rules."""
        return self.evaluation.outcome

    def says_the_same(self, other: StoredEvaluation | None) -> bool:
        """Whether another evaluation found the same, whenever it was made."""
        return other is not None and _to_json(self.evaluation) == _to_json(other.evaluation)

    def to_json(self) -> str:
        """Return the evaluation as JSON text."""
        return json.dumps(
            _to_json(self.evaluation)
            | {"log_size": self.log_size, "evaluated_at": format_time(self.evaluated_at)},
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> StoredEvaluation:
        """Read what ``to_json`` wrote."""
        value = json.loads(text)
        results = tuple(_read_result(result) for result in value["results"])
        return cls(
            Evaluation(value["policy_digest"], results), value["log_size"], parse_time(value["evaluated_at"])
        )


def _read_result(value: dict[str, Any]) -> RuleResult:
    opens_at = value.get("opens_at")
    return RuleResult(
        **{
            **value,
            "status": RuleStatus(value["status"]),
            "opens_at": None if opens_at is None else parse_time(opens_at),
        }
    )


def describe_unmet(evaluation: Evaluation) -> str:
    """Return a line for each rule that did not pass: what it found, and what to do."""
    lines = []
    for result in evaluation.results:
        if result.counts_as is not RuleStatus.PASSED:
            remedy = f" {result.remedy}" if result.remedy else ""
            lines.append(f"{result.rule}: {result.counts_as.lower()}: {result.message}.{remedy}")
    return "\n".join(lines)


def _to_json(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "policy_digest": evaluation.policy_digest,
        "results": [
            {
                "rule": result.rule,
                "status": str(result.status),
                "message": result.message,
                "remedy": result.remedy,
                "values": dict(result.values),
                "awaits_people": result.awaits_people,
                "awaits_clock": result.awaits_clock,
                "opens_at": None if result.opens_at is None else format_time(result.opens_at),
                "held_open": result.held_open,
                "skipped": result.skipped,
            }
            for result in evaluation.results
        ],
    }
