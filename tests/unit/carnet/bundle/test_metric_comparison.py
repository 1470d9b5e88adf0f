from __future__ import annotations

import math

import pytest

from carnet.bundle.compare import compare_manifests
from carnet.bundle.metric_comparison import Figure, compare_figures
from carnet.errors import InvalidInputError
from tests.support.bundles import make_manifest


def figure(value=0.5, name="auc", direction="higher_is_better", **parts) -> Figure:
    return Figure(name, value, direction, **parts)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_refused_by_name(value) -> None:
    with pytest.raises(InvalidInputError, match="finite") as caught:
        figure(value, slice={"region": "eu"})
    assert caught.value.metadata == {"field": "metrics.auc{region=eu}"}


@pytest.mark.parametrize("direction", ["", "up", "higher"])
def test_a_figure_without_a_direction_is_refused_and_none_is_guessed(direction) -> None:
    with pytest.raises(InvalidInputError, match="never guessed") as caught:
        figure(direction=direction)
    assert caught.value.metadata == {"field": "metrics.auc"}


def test_a_suite_is_compared_with_that_suite_and_not_with_the_publishers_word() -> None:
    before = [figure(0.9), figure(0.8, suite="evaluation", signer="eva")]
    after = [
        figure(0.95),
        figure(0.7, suite="evaluation", signer="ivo"),
        figure(0.6, suite="load", signer="eva"),
    ]
    found = list(compare_figures(before, after))
    assert [(each.source, each.suite, each.before, each.after, each.verdict) for each in found] == [
        ("manifest", "", 0.9, 0.95, "improved"),
        ("evidence", "evaluation", 0.8, 0.7, "regressed"),
        ("evidence", "load", None, 0.6, "added"),
    ]
    assert (found[1].before_signer, found[1].after_signer) == ("eva", "ivo")


@pytest.mark.parametrize(("direction", "worst"), [("higher_is_better", 0.1), ("lower_is_better", 0.9)])
def test_of_several_figures_of_one_metric_the_worst_counts(direction, worst) -> None:
    several = [figure(value, direction=direction) for value in (0.5, 0.1, 0.9)]
    (found,) = compare_figures(several, several[:1])
    assert (found.before, found.after) == (worst, 0.5)


def test_a_worsening_beyond_a_double_is_infinite() -> None:
    (found,) = compare_figures([figure(1.7e308)], [figure(-1.7e308)])
    assert (found.delta, found.worsening) == (None, math.inf)


def test_manifests_are_compared_with_what_was_measured_and_with_what_breaks_callers() -> None:
    def version(**feature):
        return make_manifest(
            metrics=[{"name": "auc", "value": 0.5, "direction": "higher_is_better"}],
            feature_schema={"inputs": [{"name": "amount", "type": "float64"} | feature]},
        )

    found = compare_manifests(
        version(), version(minimum=0), measured_after=[figure(suite="evaluation", signer="eva")]
    )
    assert [each.source for each in found.metrics] == ["manifest", "evidence"]
    assert [each.name for each in found.schema_breaks] == ["inputs.amount"]
    assert found.to_json()["schema_breaks"][0]["kind"] == "range"
