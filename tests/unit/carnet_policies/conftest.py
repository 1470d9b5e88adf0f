from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from carnet_policies.case_forms import FactsForm
from carnet_policies.document import Policy, load_policy
from carnet_policies.engine import PolicyEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from carnet_policies.facts import Facts

HEAD = """\
schema: carnet.policy/v1
environment: staging
version: 1
sources: [dev]
baseline_alias: champion
evidence:
  - rule: evaluation
    type: https://in-toto.io/attestation/test-result/v0.1
    suite: evaluation
    signers: [evaluator]
    metrics: true
"""


def evaluation(**metrics: float) -> dict[str, Any]:
    return {"suite": "evaluation", "roles": ["evaluator"], "metrics": metrics}


@pytest.fixture(scope="module")
def engine() -> Iterator[PolicyEngine]:
    with PolicyEngine() as engine:
        yield engine


@pytest.fixture(scope="session")
def make_facts() -> Callable[..., Facts]:
    def make(**fields: Any) -> Facts:
        given = {"source": "dev", "evidence": [evaluation(roc_auc=0.98, recall=0.95)]} | fields
        return FactsForm.model_validate_json(json.dumps(given)).spell_out("staging")

    return make


@pytest.fixture(scope="session")
def policy_of() -> Callable[..., Policy]:
    """Make a policy whose rules r0, r1, … are the expressions."""

    def make(*expressions: str, values: dict[str, str] | None = None) -> Policy:
        rules = [
            {
                "rule": f"r{index}",
                "needs": ["evaluation"],
                "expression": expression,
                "values": values or {},
                "message": "said",
                "remedy": "do",
            }
            for index, expression in enumerate(expressions)
        ]
        return load_policy(f"{HEAD}rules: {json.dumps(rules)}\n".encode())

    return make
