from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from carnet.errors import NotFoundError
from carnet_policies.document import load_policy
from carnet_policies.guardrails import guardrails_for
from carnet_policies.shipped import SHIPPED, shipped_policy

if TYPE_CHECKING:
    from carnet_policies.schema import PolicyDocument


@pytest.mark.parametrize("environment", ["", "qa", "../dev", "dev.cases"])
def test_there_is_no_policy_for_other_environments(environment: str) -> None:
    with pytest.raises(NotFoundError, match="there are dev, staging, prod"):
        shipped_policy(environment)


def test_dev_takes_publications_and_nothing_else() -> None:
    document = load_policy(shipped_policy("dev")).document
    assert (document.publishing, document.sources, document.protected_aliases) == (True, (), ())
    assert (document.evidence, document.rules, document.approvals) == ((), (), ())


def test_prod_protects_its_champion_and_demands_two_independent_people() -> None:
    document = load_policy(shipped_policy("prod")).document
    assert document.sources == ("staging",)
    assert (document.protected_aliases, document.traffic_share_above) == (("champion",), 0.1)
    (approvals,) = document.approvals
    assert (approvals.count, approvals.independent_of) == (2, ("publisher", "requester"))


def test_staging_and_prod_hold_challengers_to_the_champion_and_critical_ones_to_more() -> None:
    for environment in ("staging", "prod"):
        document = load_policy(shipped_policy(environment)).document

        def asked(tier: str, document: PolicyDocument = document) -> list[str]:
            demands = guardrails_for(
                document, kind="split", namespace="risk", alias="champion", labels={"risk_tier": tier}
            )
            return [each.rule for each in demands]

        assert asked("high") == ["error-rate", "latency"]
        assert asked("critical")[:3] == ["error-rate", "latency", "error-rate-of-critical"]


def test_what_is_purged_was_archived_for_long_and_the_longest_in_prod() -> None:
    purges = []
    for environment in SHIPPED:
        retention = load_policy(shipped_policy(environment)).document.retention
        assert retention is not None
        assert retention.purge is not None
        purges.append(retention.purge)
    for field in ("keep_last", "archived_for", "min_age", "grace"):
        values = [getattr(each, field) for each in purges]
        assert values == sorted(values)
        assert field == "grace" or len(set(values)) == 3
