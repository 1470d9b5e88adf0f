from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from carnet_policies.evaluation import RuleStatus
from carnet_policies.metadata import check_metadata, is_filled
from carnet_policies.schema import MetadataDemand

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_policies.facts import Facts


@pytest.mark.parametrize(
    ("value", "path", "filled"),
    [
        ({"a": "x"}, "a", True),
        ({"a": ""}, "a", False),
        ({"a": " \n"}, "a", False),
        ({"a": None}, "a", False),
        ({"a": []}, "a", False),
        ({"a": {}}, "a", False),
        ({}, "a", False),
        ({"a": 0}, "a", True),
        ({"a": False}, "a", True),
        ({"a": 0.0}, "a", True),
        ({"a": [0]}, "a", True),
        ({"a": {"b": "x"}}, "a.b", True),
        ({"a": {"b": "x"}}, "a.c", False),
        ({"a": "x"}, "a.b", False),
        ({"a": 1}, "a.b", False),
        ({"a": [{"b": "x"}, {"b": "y"}]}, "a.b", True),
        ({"a": [{"b": "x"}, {}]}, "a.b", False),
        ({"a": []}, "a.b", False),
        ({"a": ["x"]}, "a.b", False),
        ({"a": [{"b": [{"c": "x"}]}, {"b": []}]}, "a.b.c", False),
    ],
)
def test_a_field_is_filled_in_when_something_stands_there(value: Any, path: str, filled: bool) -> None:
    assert is_filled(value, path.split(".")) is filled


def test_every_missing_field_is_named(make_facts: Callable[..., Facts]) -> None:
    demand = MetadataDemand(required=("owner", "description", "lineage.code.commit"))
    result = check_metadata(demand, make_facts(without=["owner", "lineage.code.commit"]))
    assert result.status is RuleStatus.FAILED
    assert result.message == "the manifest lacks owner, lineage.code.commit"
    assert "carnet.yaml" in result.remedy
    assert result.values == {"missing": "owner, lineage.code.commit"}


def test_complete_metadata_pass(make_facts: Callable[..., Facts]) -> None:
    demand = MetadataDemand(required=("owner", "lineage.datasets.name", "feature_schema.inputs"))
    result = check_metadata(demand, make_facts())
    assert (result.status, result.remedy) == (RuleStatus.PASSED, "")
