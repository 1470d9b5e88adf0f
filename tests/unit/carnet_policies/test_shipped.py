from __future__ import annotations

import pytest

from carnet.errors import NotFoundError
from carnet_policies.document import load_policy
from carnet_policies.shipped import SHIPPED, shipped_policy


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


def test_only_prod_requires_a_smoke_test_of_what_it_goes_back_to() -> None:
    asked = {name: load_policy(shipped_policy(name)).document.rollback.smoke_test for name in SHIPPED}
    assert asked == {"dev": "heeded", "staging": "heeded", "prod": "required"}
