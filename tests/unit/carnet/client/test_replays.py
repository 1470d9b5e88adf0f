"""Replaying a policy asks page by page, and believes no endless list."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from carnet.client.client import Client
from carnet.client.replays import Replays
from carnet.errors import InternalError, InvalidInputError
from carnet.registry.v1 import admission_pb2, policy_pb2

POLICY = b"schema: carnet.policy/v1\n"


def decision(number: int, **changes: Any) -> admission_pb2.ReplayedDecision:
    given: dict[str, Any] = {
        "version": f"namespaces/risk/models/fraud/versions/{number}",
        "bundle_digest": "b" * 64,
        "promotion": "1" * 32,
        "alias": "champion",
        "log_index": number,
        "policy_digest": "c" * 64,
        "decided": "PASSED",
        "replayed": "FAILED",
        "rules": [policy_pb2.RuleResult(rule="floor", status=policy_pb2.RULE_STATUS_FAILED)],
    }
    return admission_pb2.ReplayedDecision(**{**given, **changes})


class Registry:
    """A registry that answers with pages, the page token of each being its number."""

    peer = "staging"
    admission = SimpleNamespace(ReplayPolicy="ReplayPolicy")

    def __init__(self, *pages: list[admission_pb2.ReplayedDecision], token: str | None = None) -> None:
        self.pages, self.token = pages, token
        self.asked: list[tuple[bytes, int, str]] = []

    async def call(self, method: str, request: Any, *, deadline_seconds: float) -> Any:
        assert method == "ReplayPolicy"
        self.asked.append((request.policy, request.page_size, request.page_token))
        number = len(self.asked)
        more = str(number) if number < len(self.pages) else ""
        return admission_pb2.ReplayPolicyResponse(
            decisions=self.pages[number - 1],
            next_page_token=self.token if self.token is not None else more,
        )


class Asking(Replays):
    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def _registry(self, environment: str) -> Any:
        assert environment == "staging"
        return self.registry


async def test_all_pages_are_read_the_empty_ones_too() -> None:
    registry = Registry([decision(3)], [], [decision(2, by_rollout=True), decision(1)])
    found = await Asking(registry).replay_policy("staging", POLICY)
    assert [str(each.reference) for each in found] == [f"staging/risk/fraud@{number}" for number in (3, 2, 1)]
    assert registry.asked == [(POLICY, 50, ""), (POLICY, 50, "1"), (POLICY, 50, "2")]
    assert (found[0].decided, found[0].replayed, found[0].differs) == ("PASSED", "FAILED", True)
    assert [each.rule for each in found[0].rules] == ["floor"]
    assert [each.by_rollout for each in found] == [False, True, False]


async def test_no_more_is_asked_for_than_is_wanted() -> None:
    registry = Registry([decision(3), decision(2)], [decision(1)])
    found = await Asking(registry).replay_policy("staging", POLICY, limit=1)
    assert [each.log_index for each in found] == [3]
    assert registry.asked == [(POLICY, 1, "")]


async def test_a_decision_that_could_not_be_replayed_does_not_differ() -> None:
    lost = decision(1, replayed="", rules=[], problem="its manifest is not kept")
    (found,) = await Asking(Registry([lost])).replay_policy("staging", POLICY)
    assert (found.differs, found.problem) == (False, "its manifest is not kept")


async def test_a_list_that_never_ends_is_refused() -> None:
    registry = Registry([decision(1)], [decision(1)], [decision(1)], token="again")
    with pytest.raises(InternalError, match="the same page twice"):
        await Asking(registry).replay_policy("staging", POLICY)
    assert len(registry.asked) == 2


async def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(InternalError):
        await Asking(Registry([decision(1, version="nonsense")])).replay_policy("staging", POLICY)


async def test_a_limit_below_none_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="limit"):
        await Asking(Registry()).replay_policy("staging", POLICY, limit=-1)


def test_the_synchronous_client_has_it_too() -> None:
    assert Client.replay_policy.__doc__ == Replays.replay_policy.__doc__
