"""Replaying a policy: what another one says of decisions that were made here.

Responsible for evaluating a policy that is not in force on what was known as of each decision. Invariant:
nothing is written, and nothing that came after a decision is seen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import (
    DataLossError,
    DocumentInvalidError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
)
from carnet.serving.paging import decode_page_token, encode_page_token, page_limit
from carnet_policies.document import load_policy
from carnet_policies.evaluation import Evaluation
from carnet_server.admission.break_glass_rules import with_break_glass
from carnet_server.admission.past_decisions import read_past_decisions
from carnet_server.admission.past_facts import read_past_facts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet.signing.decision import Decision
    from carnet_policies.document import Policy
    from carnet_server.admission.parts import AdmissionParts
    from carnet_server.admission.past_decisions import PastDecision
    from carnet_server.admission.past_facts import PastFacts

DEFAULT_PAGE = 50
MAX_PAGE = 200
# What a page may come to: a message of gRPC is 4 MiB at most.
_PAGE_BYTES = 2 << 20
_UNKNOWN = (NotFoundError, DataLossError, IntegrityError, InvalidInputError)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One past decision, and what another policy says of it.

    Attributes:
        past: The decision as the log tells of it.
        decision: What was signed; None where that cannot be read.
        evaluation: What the other policy says; None where it could not be asked.
        problem: Why it could not; empty where it could.
    """

    past: PastDecision
    decision: Decision | None = None
    evaluation: Evaluation | None = None
    problem: str = ""

    @property
    def size_bytes(self) -> int:
        """About how much it comes to in an answer."""
        results = self.evaluation.results if self.evaluation else ()
        return 1000 + sum(
            200
            + len(each.message)
            + len(each.remedy)
            + sum(len(name) + len(value) for name, value in each.values.items())
            for each in results
        )


async def replay_policy(
    parts: AdmissionParts, data: bytes, *, page_size: int, page_token: str
) -> tuple[list[Replayed], str]:
    """Evaluate a policy over a page of past decisions, the newest first.

    Args:
        parts: The registry's parts.
        data: The policy's bytes.
        page_size: How many decisions at most; 0 for ``DEFAULT_PAGE``, at most ``MAX_PAGE``.
        page_token: The token of the page before; empty for the first.

    Returns:
        The decisions, and the token of the next page, empty at the end; a page may be short, or empty.

    Raises:
        DocumentInvalidError: It is not a sound policy, or another environment's, or too large; the message
            has a line for each problem.
        InvalidInputError: The size is negative, or the token another query's.
    """
    limit = min(page_limit(page_size or DEFAULT_PAGE), MAX_PAGE)
    policy = await asyncio.to_thread(_load, data, parts.state.name)
    query = f"replay/{policy.digest}"
    position = decode_page_token(page_token, query, int)
    before = parts.log.size if position is None else min(max(position[0], 0), parts.log.size)
    found, rest = await parts.database.read(lambda connection: read_past_decisions(connection, before, limit))
    replayed: list[Replayed] = []
    size = 0
    for past in found:
        each = await _replay(parts, policy, past)
        size += each.size_bytes
        if replayed and size > _PAGE_BYTES:
            rest = replayed[-1].past.log_index
            break
        replayed.append(each)
    return replayed, encode_page_token(query, (rest,)) if rest else ""


def _load(data: bytes, environment: str) -> Policy:
    policy = load_policy(data, name="policy")
    stated = policy.document.environment
    if stated != environment:
        raise DocumentInvalidError(
            f"policy: environment: is {stated!r}, and the decisions are {environment}'s: replay it where it "
            "is to be in force",
            metadata={"field": "policy"},
        )
    return policy


async def _replay(parts: AdmissionParts, policy: Policy, past: PastDecision) -> Replayed:
    def read(connection: Connection) -> PastFacts:
        return read_past_facts(
            connection, past, state=parts.state, baseline_alias=policy.document.baseline_alias
        )

    try:
        known = await parts.database.read(read)
    except _UNKNOWN as error:
        return Replayed(past, problem=error.message)
    evaluation = await asyncio.to_thread(_evaluate, parts, policy, known)
    return Replayed(past, known.decision, evaluation)


def _evaluate(parts: AdmissionParts, policy: Policy, known: PastFacts) -> Evaluation:
    """Return what the policy says, with what the registry itself found and people signed then."""
    facts = known.facts
    evaluation = parts.engine.evaluate(policy, facts)
    if known.revocation is not None:
        evaluation = Evaluation(evaluation.policy_digest, (*evaluation.results, known.revocation))
    evaluation, _ = with_break_glass(
        evaluation,
        policy.document,
        known.dossier,
        known.breaking,
        publisher=facts.publisher,
        requester=facts.requester,
        emergency=known.emergency,
        now=facts.now,
    )
    return evaluation
