from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet_policies.sequential import EVIDENCE_MAX, evidence_above_zero


def mixture(estimate: float, variance: float, prior_variance: float) -> float:
    """The likelihood ratio against no difference, integrated over a half-normal prior."""
    scale = math.sqrt(prior_variance)
    differences = (np.arange(400_000) + 0.5) * (12 * scale / 400_000)
    density = np.sqrt(2 / np.pi) / scale * np.exp(-(differences**2) / (2 * prior_variance))
    ratio = np.exp((estimate * differences - differences**2 / 2) / variance)
    return float((density * ratio).sum() * (12 * scale / 400_000))


@pytest.mark.parametrize(
    ("estimate", "variance", "prior_variance"),
    [
        (0.0, 1.0, 1.0),
        (2.0, 1.0, 1.0),
        (-2.0, 1.0, 3.0),
        (0.03, 1e-4, 1e-3),
        (-0.5, 1e-2, 1e-4),
        (5.0, 0.5, 9.0),
    ],
)
def test_it_is_the_mixture_of_likelihood_ratios(
    estimate: float, variance: float, prior_variance: float
) -> None:
    expected = mixture(estimate, variance, prior_variance)
    assert evidence_above_zero(estimate, variance, prior_variance) == pytest.approx(expected, rel=1e-5)


def test_under_no_difference_its_mean_is_one_and_under_a_better_one_less() -> None:
    scores = (np.arange(-4_000, 4_000) + 0.5) / 500
    chances = np.exp(-(scores**2) / 2) / math.sqrt(2 * math.pi) / 500
    evidence = np.array([evidence_above_zero(score, 1.0, 0.5) for score in scores])
    assert float((chances * evidence).sum()) == pytest.approx(1, abs=1e-4)
    better = np.array([evidence_above_zero(score - 1, 1.0, 0.5) for score in scores])
    assert float((chances * better).sum()) < 1


@given(
    estimate=st.floats(-1e6, 1e6),
    more=st.floats(1e-6, 1e6),
    variance=st.floats(1e-12, 1e12),
    prior_variance=st.floats(1e-12, 1e12),
)
def test_a_greater_difference_is_never_less_evidence(
    estimate: float, more: float, variance: float, prior_variance: float
) -> None:
    less, greater = (
        evidence_above_zero(each, variance, prior_variance) for each in (estimate, estimate + more)
    )
    assert 0 <= less <= greater * (1 + 1e-6) <= EVIDENCE_MAX * (1 + 1e-6)


@pytest.mark.parametrize(
    ("estimate", "variance", "expected"),
    [
        (1.0, 0.0, EVIDENCE_MAX),
        (0.0, 0.0, 0.0),
        (-1.0, 0.0, 0.0),
        (1.0, 1e-300, EVIDENCE_MAX),
        (-1e9, 1e-9, 0.0),
        (-1e150, 1e-9, 0.0),
        (1.0, math.inf, 0.0),
        (1e-3, 5e-324, EVIDENCE_MAX),
        (-1e-3, 5e-324, 0.0),
        (0.0, 5e-324, 0.0),
        (1.0, math.nan, 0.0),
    ],
)
def test_what_cannot_be_counted_is_no_error(estimate: float, variance: float, expected: float) -> None:
    assert evidence_above_zero(estimate, variance, 1.0) == pytest.approx(expected, rel=1e-6, abs=1e-12)
