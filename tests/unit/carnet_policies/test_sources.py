from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carnet_policies.evaluation import RuleStatus
from carnet_policies.schema import PolicyDocument
from carnet_policies.sources import check_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.facts import Facts

PASSED, FAILED, _ = RuleStatus


def document(**fields: Any) -> PolicyDocument:
    return PolicyDocument(**{"schema": "carnet.policy/v1", "environment": "staging", "version": 1} | fields)


@pytest.mark.parametrize(
    ("fields", "facts", "status", "says"),
    [
        ({"sources": ("dev",)}, {"source": "dev"}, PASSED, "staging admits from dev"),
        ({"sources": ("dev", "lab")}, {"source": "lab"}, PASSED, "staging admits from lab"),
        ({"sources": ("dev",)}, {"source": "prod"}, FAILED, "staging does not admit from prod"),
        ({"sources": ("dev",)}, {"source": ""}, FAILED, "staging takes no publications"),
        ({"publishing": True}, {"source": ""}, PASSED, "staging takes publications"),
        ({"publishing": True}, {"source": "dev"}, FAILED, "does not admit from dev"),
        (
            {"sources": ("dev",)},
            {"source": "dev", "target": "prod"},
            FAILED,
            "for staging, and the target is prod",
        ),
    ],
)
def test_sources(
    make_facts: Callable[..., Facts],
    fields: dict[str, Any],
    facts: dict[str, Any],
    status: RuleStatus,
    says: str,
) -> None:
    result = check_source(document(**fields), make_facts(**facts))
    assert result.status is status
    assert says in result.message
    assert bool(result.remedy) is (status is FAILED)
