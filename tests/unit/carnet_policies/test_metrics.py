from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet_policies.facts import TEST_RESULT, Attestation, MetricValue
from carnet_policies.metrics import metric_key, trusted_metrics
from carnet_policies.schema import EvidenceDemand, PolicyDocument

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 1, 15, tzinfo=UTC)


def document(**fields: Any) -> PolicyDocument:
    demand = {"rule": "evaluation", "type": TEST_RESULT, "suite": "evaluation", "signers": ("evaluator",)}
    return PolicyDocument(
        schema="carnet.policy/v1",
        environment="staging",
        version=1,
        evidence=(EvidenceDemand(**demand | {"metrics": True} | fields),),
    )


def attested(*metrics: MetricValue, **fields: Any) -> Attestation:
    good = Attestation(
        "d", TEST_RESULT, "evaluation", "PASSED", "eva", frozenset({"evaluator"}), NOW, metrics
    )
    return replace(good, **fields)


def up(name: str, value: float, **part: str) -> MetricValue:
    return MetricValue(name, value, "higher_is_better", part)


def down(name: str, value: float, **part: str) -> MetricValue:
    return MetricValue(name, value, "lower_is_better", part)


@pytest.mark.parametrize(
    ("name", "part", "key"),
    [
        ("recall", {}, "recall"),
        ("recall", {"sex": "f"}, "recall{sex=f}"),
        ("recall", {"sex": "f", "age": "18-30"}, "recall{age=18-30,sex=f}"),
        ("a{b", {}, "a\\{b"),
        ("a", {"b": "c,d=e"}, "a{b=c\\,d\\=e}"),
        ("a\\", {"b}": ""}, "a\\\\{b\\}=}"),
    ],
)
def test_a_metric_has_a_key(name: str, part: Mapping[str, str], key: str) -> None:
    assert metric_key(name, part) == key


TEXTS = st.text("ab\\{}=,", max_size=4)
METRIC = st.tuples(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2))


@given(METRIC, METRIC)
def test_two_metrics_have_one_key_only_if_they_are_one(
    one: tuple[str, dict[str, str]], other: tuple[str, dict[str, str]]
) -> None:
    assert (metric_key(*one) == metric_key(*other)) is (one == other)


def test_figures_are_those_of_trusted_evaluations() -> None:
    evidence = [attested(up("roc_auc", 0.9), down("latency_ms", 7, region="eu"))]
    assert trusted_metrics(document(), evidence, NOW) == {"roc_auc": 0.9, "latency_ms{region=eu}": 7.0}


@pytest.mark.parametrize(
    "fields",
    [
        {"signer_roles": frozenset()},
        {"signer_roles": frozenset({"publisher"})},
        {"result": "FAILED"},
        {"result": "WARNED"},
        {"suite": "integration"},
        {"predicate_type": "other"},
    ],
)
def test_figures_of_anything_else_do_not_count(fields: dict[str, Any]) -> None:
    assert trusted_metrics(document(), [attested(up("roc_auc", 0.9), **fields)], NOW) == {}


def test_evidence_that_is_not_demanded_for_its_metrics_gives_none() -> None:
    assert trusted_metrics(document(metrics=False), [attested(up("roc_auc", 0.9))], NOW) == {}


def test_the_worse_of_two_figures_counts() -> None:
    evidence = [
        attested(up("a", 0.9), down("b", 5.0)),
        attested(up("a", 0.8), down("b", 9.0)),
        attested(up("a", 1.0)),
    ]
    assert trusted_metrics(document(), evidence, NOW) == {"a": 0.8, "b": 9.0}


def test_figures_that_disagree_on_their_direction_are_left_out() -> None:
    assert trusted_metrics(document(), [attested(up("a", 0.9)), attested(down("a", 0.9))], NOW) == {}
    assert trusted_metrics(document(), [attested(MetricValue("a", 1.0, "sideways"))], NOW) == {}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_figure_that_is_no_finite_number_takes_its_key_away(value: float) -> None:
    assert trusted_metrics(document(), [attested(up("a", 0.9)), attested(up("a", value))], NOW) == {}


def test_an_age_counts_for_the_candidate_and_not_for_the_baseline() -> None:
    evidence = [attested(up("a", 0.9), time=datetime(2025, 1, 1, tzinfo=UTC))]
    assert trusted_metrics(document(max_age="30d"), evidence, NOW) == {}
    assert trusted_metrics(document(max_age="30d"), evidence, NOW, aged=False) == {"a": 0.9}
