from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet_policies.approvals import check_approvals
from carnet_policies.evaluation import RuleStatus
from carnet_policies.schema import ApprovalDemand

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.facts import Facts

PASSED, FAILED, AWAITING = RuleStatus
TWO = ApprovalDemand(rule="approvals", count=2, independent_of=("publisher", "requester"))
CLEO, DAN = {"person": "cleo"}, {"person": "dan"}


def said(person: str | None, meaning: str = "approved", age: str = "1h", **more: Any) -> dict[str, Any]:
    return {"person": person, "meaning": meaning, "age": age} | more


@pytest.mark.parametrize(
    ("approvals", "status", "says"),
    [
        ([], AWAITING, "0 of 2 approvals"),
        ([CLEO], AWAITING, "1 of 2 approvals (cleo)"),
        ([CLEO, DAN], PASSED, "2 of 2 approvals (cleo, dan)"),
        ([CLEO, DAN, {"person": "eve"}], PASSED, "3 of 2 approvals"),
        ([CLEO, CLEO | {"subject": "another account"}], AWAITING, "1 of 2"),
        ([CLEO, {"person": "ana"}], AWAITING, "not counted: ana (published this version)"),
        ([CLEO, {"person": "ben"}], AWAITING, "not counted: ben (requested this promotion)"),
        ([CLEO, said(None, subject="spiffe://x/bot")], AWAITING, "spiffe://x/bot (maps to no person)"),
        ([CLEO, said("dan", "reviewed")], AWAITING, "dan (reviewed)"),
        ([CLEO, said("dan", age="8d")], AWAITING, "dan (expired at 2026-01-14T12:00:00+00:00)"),
        ([CLEO, said("dan", age="7d")], AWAITING, "dan (expired"),
        ([CLEO, said("dan", age="2h"), said("dan", "withdrawn")], AWAITING, "dan (withdrawn)"),
        ([CLEO, said("dan"), said("dan", "withdrawn", age="2h")], PASSED, "cleo, dan"),
        ([CLEO, said("dan", age="2h"), said("dan", "reviewed")], AWAITING, "dan (reviewed)"),
        ([CLEO, said("dan"), said("dan", "withdrawn")], AWAITING, "dan (withdrawn)"),
        ([CLEO, said("dan", "withdrawn"), said("dan")], AWAITING, "dan (withdrawn)"),
        ([CLEO, DAN, said("eve", "rejected")], FAILED, "rejected by eve"),
        ([CLEO, DAN, said("ana", "rejected")], FAILED, "rejected by ana"),
        ([CLEO, DAN, said("gus", "rejected"), said("eve", "rejected")], FAILED, "rejected by eve, gus"),
        ([CLEO, DAN, said("dan", "rejected", age="1s")], FAILED, "rejected by dan"),
        ([CLEO, DAN, said("eve", "rejected", age="2h"), said("eve", "withdrawn")], PASSED, "eve (withdrawn)"),
        ([CLEO, DAN, said("eve", "rejected", age="2h"), said("eve")], PASSED, "3 of 2"),
        ([CLEO, DAN, said("eve", "rejected", age="8d")], PASSED, "eve (rejected)"),
        ([CLEO, said("dan", age="2h"), said("dan", "rejected", valid_for="1s")], AWAITING, "dan (rejected)"),
        ([CLEO, DAN, said(None, "rejected")], PASSED, "(maps to no person)"),
    ],
)
def test_approvals(
    make_facts: Callable[..., Facts], approvals: list[Any], status: RuleStatus, says: str
) -> None:
    result = check_approvals(TWO, make_facts(publisher="ana", requester="ben", approvals=approvals))
    assert result.status is status
    assert says in result.message
    assert result.awaits_people is (status is AWAITING)
    assert bool(result.remedy) is (status is not PASSED)


def test_the_remedy_says_how_many_of_whom_are_lacking(make_facts: Callable[..., Facts]) -> None:
    one = check_approvals(TWO, make_facts(approvals=[CLEO])).remedy
    assert "1 more person who neither published this version nor requested this promotion" in one
    assert "carnet approve PROMOTION" in one
    assert "2 more people who" in check_approvals(TWO, make_facts(approvals=[])).remedy
    anybody = ApprovalDemand(rule="approvals", count=1)
    assert "1 more person, each" in check_approvals(anybody, make_facts(approvals=[])).remedy


@pytest.mark.parametrize("unknown", ["publisher", "requester"])
def test_nobody_is_independent_of_somebody_unknown(make_facts: Callable[..., Facts], unknown: str) -> None:
    facts = make_facts(approvals=[CLEO, DAN], **{unknown: None})
    result = check_approvals(TWO, facts)
    assert result.status is FAILED
    assert f"the {unknown} unknown-{unknown} maps to no person" in result.message


def test_nobody_is_independent_of_a_requester_who_is_not_there(make_facts: Callable[..., Facts]) -> None:
    facts = replace(make_facts(approvals=[CLEO, DAN]), requester=None)
    assert "the requester is not known" in check_approvals(TWO, facts).message


def test_whose_independence_is_not_demanded_may_be_unknown_and_may_approve(
    make_facts: Callable[..., Facts],
) -> None:
    demand = ApprovalDemand(rule="approvals", count=2, independent_of=("publisher",))
    facts = make_facts(publisher="ana", requester="cleo", approvals=[CLEO, DAN])
    assert check_approvals(demand, facts).status is PASSED
    assert check_approvals(demand, replace(facts, requester=None)).status is PASSED


STATEMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "person": st.sampled_from(["ana", "ben", "cleo", "dan", "eve", None]),
            "meaning": st.sampled_from(["reviewed", "approved", "rejected", "withdrawn"]),
            "age": st.sampled_from(["1h", "2h", "3h", "9d"]),
        }
    ),
    max_size=8,
)


@given(STATEMENTS, st.randoms())
def test_it_passes_only_by_two_independent_people_and_whatever_the_order(
    make_facts: Callable[..., Facts], statements: list[dict[str, Any]], random: Any
) -> None:
    result = check_approvals(TWO, make_facts(publisher="ana", requester="ben", approvals=statements))
    approved = {
        item["person"] for item in statements if item["meaning"] == "approved" and item["age"] != "9d"
    }
    if result.status is PASSED:
        assert len(approved - {"ana", "ben", None}) >= 2
    shuffled = random.sample(statements, len(statements))
    again = check_approvals(TWO, make_facts(publisher="ana", requester="ben", approvals=shuffled))
    assert again.status is result.status


@pytest.mark.parametrize(
    ("dans", "status", "says"),
    [
        ({"authentication": "passphrase"}, PASSED, "2 of 2"),
        ({"authentication": "service"}, AWAITING, "dan (authenticated by service, not by passphrase)"),
        ({}, AWAITING, "dan (authenticated by none, not by passphrase)"),
    ],
)
def test_approvals_count_where_people_were_asked_who_they_are(
    make_facts: Callable[..., Facts], dans: dict[str, str], status: RuleStatus, says: str
) -> None:
    demand = TWO.model_copy(update={"authentication": ("passphrase",)})
    facts = make_facts(approvals=[CLEO | {"authentication": "passphrase"}, DAN | dans])
    found = check_approvals(demand, facts)
    assert (found.status, says in found.message) == (status, True), found.message
    if status is AWAITING:
        assert "with a key that asks who they are (passphrase)" in found.remedy
