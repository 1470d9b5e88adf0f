"""Replaying a policy over the decisions that an environment made.

Responsible for asking the environment page by page. What is answered is the registry's word: nothing of it is
signed, and nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.client.messages import name_in_answer, rules_of, time_of
from carnet.client.results import ReplayedDecision
from carnet.client.session import Session
from carnet.errors import InternalError, InvalidInputError
from carnet.references import Reference
from carnet.registry.v1 import admission_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PAGE_SIZE = 50
# A page rebuilds what was known about every decision in it.
_SECONDS = 120.0


class Replays(Session):
    """Operations on past decisions."""

    async def replay_policy(
        self, environment: str, policy: bytes, *, limit: int = 0
    ) -> tuple[ReplayedDecision, ...]:
        """Evaluate a policy that is not in force over decisions that an environment made.

        Each is looked at with what was known when it was made, and nothing is stored.

        Args:
            environment: The environment.
            policy: The policy's bytes.
            limit: How many decisions at most, the newest first; 0 for all.

        Returns:
            The decisions, the newest first.

        Raises:
            DocumentInvalidError: It is not a sound policy, or another environment's.
            InvalidInputError: The limit is negative.
            PermissionDeniedError: This identity is neither auditor nor administrator there.
            CarnetError: The call failed; the class says how.
        """
        if limit < 0:
            raise InvalidInputError(
                f"limit: {limit} is negative; 0 stands for all", metadata={"field": "limit"}
            )
        found: list[ReplayedDecision] = []
        async for page in self._pages_of_replay(environment, policy, limit):
            found.extend(page)
            if limit and len(found) >= limit:
                break
        return tuple(found[:limit] if limit else found)

    async def _pages_of_replay(
        self, environment: str, policy: bytes, limit: int
    ) -> AsyncIterator[list[ReplayedDecision]]:
        registry = self._registry(environment)
        request = admission_pb2.ReplayPolicyRequest(
            policy=policy, page_size=min(limit, _PAGE_SIZE) if limit else _PAGE_SIZE
        )
        while True:
            answer: admission_pb2.ReplayPolicyResponse = await registry.call(
                registry.admission.ReplayPolicy, request, deadline_seconds=_SECONDS
            )
            yield [_decision_of(each, environment) for each in answer.decisions]
            if not answer.next_page_token:
                return
            if answer.next_page_token == request.page_token:
                raise InternalError(f"{registry.peer} gave the same page twice")
            request.page_token = answer.next_page_token


def _decision_of(message: admission_pb2.ReplayedDecision, environment: str) -> ReplayedDecision:
    name = name_in_answer(message.version, want="version", peer=environment)
    return ReplayedDecision(
        reference=Reference(environment, name.namespace, name.model, version=name.version),
        bundle_digest=message.bundle_digest,
        promotion=message.promotion,
        alias=message.alias,
        decided_at=time_of(message.decide_time),
        log_index=message.log_index,
        policy_digest=message.policy_digest,
        decided=message.decided,
        replayed=message.replayed,
        rules=rules_of(message.rules),
        problem=message.problem,
        by_rollout=message.by_rollout,
    )
