from __future__ import annotations

import pytest

from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus

PASSED, FAILED, AWAITING = RuleStatus


def result(status: RuleStatus, *, people: bool = False) -> RuleResult:
    return RuleResult("rule", status, "message", awaits_people=people)


PEOPLE = result(AWAITING, people=True)


@pytest.mark.parametrize(
    ("results", "outcome", "only_people"),
    [
        ([], FAILED, False),
        ([result(PASSED)], PASSED, False),
        ([result(PASSED), result(AWAITING)], AWAITING, False),
        ([result(AWAITING), result(FAILED)], FAILED, False),
        ([result(PASSED), PEOPLE], AWAITING, True),
        ([result(AWAITING), PEOPLE], AWAITING, False),
        ([result(FAILED), PEOPLE], FAILED, False),
    ],
)
def test_the_outcome_follows_from_the_results(
    results: list[RuleResult], outcome: RuleStatus, only_people: bool
) -> None:
    evaluation = Evaluation("digest", tuple(results))
    assert evaluation.outcome is outcome
    assert evaluation.awaits_only_people is only_people
