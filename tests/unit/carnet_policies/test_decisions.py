from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carnet_policies.decisions import check_decision
from carnet_policies.evaluation import RuleStatus
from carnet_policies.schema import DecisionDemand

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.facts import Facts

PASSED, FAILED, AWAITING = RuleStatus
DEMAND = DecisionDemand(rule="admitted", environment="qa")


@pytest.mark.parametrize(
    ("decisions", "status", "says"),
    [
        ([], AWAITING, "no decision by qa"),
        ([{"environment": "qa"}], PASSED, "qa admitted this bundle"),
        ([{"environment": "dev"}], AWAITING, "no decision by qa"),
        ([{"environment": "qa", "of_another_bundle": True}], AWAITING, "no decision by qa"),
        ([{"environment": "qa", "result": "FAILED"}], FAILED, "latest decision about this bundle is FAILED"),
        (
            [{"environment": "qa", "result": "FAILED", "age": "2h"}, {"environment": "qa", "age": "1h"}],
            PASSED,
            "qa",
        ),
        (
            [{"environment": "qa", "age": "1h"}, {"environment": "qa", "result": "FAILED", "age": "2h"}],
            PASSED,
            "qa",
        ),
        (
            [{"environment": "qa", "age": "2h"}, {"environment": "qa", "result": "FAILED", "age": "1h"}],
            FAILED,
            "qa",
        ),
        ([{"environment": "qa"}, {"environment": "qa", "result": "FAILED"}], FAILED, "qa"),
        ([{"environment": "qa", "result": "FAILED"}, {"environment": "qa"}], FAILED, "qa"),
        ([{"environment": "qa"}, {"environment": "dev", "result": "FAILED", "age": "1s"}], PASSED, "qa"),
    ],
)
def test_decisions(
    make_facts: Callable[..., Facts], decisions: list[Any], status: RuleStatus, says: str
) -> None:
    result = check_decision(DEMAND, make_facts(decisions=decisions))
    assert result.status is status
    assert says in result.message
    assert bool(result.remedy) is (status is not PASSED)
    assert not result.awaits_people


def test_the_remedy_is_to_promote_from_home(make_facts: Callable[..., Facts]) -> None:
    result = check_decision(DEMAND, make_facts(source="staging", decisions=[]))
    assert result.remedy == "Run: carnet promote dev/risk/fraud@1 --to qa"
