from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carnet.signing.times import format_time
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


SOAK = {"environment": "staging"}


@pytest.mark.parametrize(
    ("decisions", "status", "opens_at"),
    [
        ([SOAK | {"age": "72h"}], PASSED, None),
        ([SOAK | {"age": "71h"}], AWAITING, "2026-01-15T13:00:00Z"),
        ([SOAK | {"age": "80h"}, SOAK | {"age": "1h"}], PASSED, None),
        ([SOAK | {"age": "80h"}, SOAK | {"age": "60h", "result": "FAILED"}], FAILED, None),
        (
            [SOAK | {"age": "80h"}, SOAK | {"age": "60h", "result": "FAILED"}, SOAK | {"age": "48h"}],
            AWAITING,
            "2026-01-16T12:00:00Z",
        ),
        (
            [SOAK | {"age": "80h", "of_another_bundle": True}, SOAK | {"age": "48h"}],
            AWAITING,
            "2026-01-16T12:00:00Z",
        ),
        ([], AWAITING, None),
    ],
)
def test_a_bundle_must_have_been_there_for_long_enough(
    make_facts: Callable[..., Facts], decisions: list[Any], status: RuleStatus, opens_at: str | None
) -> None:
    demand = DecisionDemand(rule="r", environment="staging", soak="72h")
    found = check_decision(demand, make_facts(decisions=decisions))
    assert (found.status, found.opens_at and format_time(found.opens_at)) == (status, opens_at), found.message
    assert found.awaits_a_time is (opens_at is not None)
    assert not found.awaits_clock  # people do not review before a soak is over
    assert opens_at is None or opens_at in found.message
