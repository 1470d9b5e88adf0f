"""A sequential test of rates: samples that are 0 or 1, such as errors, however rare they are.

Responsible for evidence that something happens more often than a limit lets it, or than it happens elsewhere,
asked after every report. Nothing is approximated: the chance of a false alarm is bounded for any number of
samples and any rate, also for the first error of all, where estimates of a variance would mislead.

Against one rate the evidence is the mean of likelihood ratios, each for a rate that is tilted away from it by
some odds. Such a ratio is a non-negative supermartingale whenever the true rate is on the other side, and so
is the mean (S. Howard et al., "Time-uniform, Nonparametric, Nonasymptotic Confidence Sequences", Annals of
Statistics 49, 2021: the sub-Bernoulli case). Against another rate that is not known, every value of it is
tried: the evidence is the least of the products of what the one side says and what the other side says, since
the true value is among them (A. Ramdas et al., "Game-Theoretic Statistics and Safe Anytime-Valid Inference",
Statistical Science 38, 2023). The two sides are samples of their own; if both serve the same requests and do
well and badly on the same ones, the chance of a false alarm is less. Pure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from carnet_policies.sequential import evidence_of

if TYPE_CHECKING:
    from collections.abc import Callable

# Logarithms of the odds by which a rate is tilted: from what takes millions of samples to what is plain.
_TILTS = tuple(2.0**power for power in range(-6, 2))
_MORE = tuple((tilt, math.expm1(tilt)) for tilt in _TILTS)
_LESS = tuple((-tilt, math.expm1(-tilt)) for tilt in _TILTS)
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 50


def evidence_above_rate(events: float, count: int, limit: float) -> float:
    """Return the evidence that something happens more often than a limit.

    Args:
        events: How often it happened.
        count: In how many samples.
        limit: The limit, a share of the samples.

    Returns:
        The evidence, 0 to ``EVIDENCE_MAX``; an alarm from ``1 / false_alarm_rate`` on.
    """
    return evidence_of(_log_evidence(_MORE, events, count, _share(limit)))


def evidence_above_other_rate(
    events: float,
    count: int,
    other_events: float,
    other_count: int,
    *,
    slope: float = 1.0,
    offset: float = 0.0,
) -> float:
    """Return the evidence that something happens more often than it may by how often it happens elsewhere.

    Args:
        events: How often it happened here.
        count: In how many samples.
        other_events: How often it happened elsewhere.
        other_count: In how many samples.
        slope: What it may be here is the rate elsewhere times this,
        offset: and this, which is not below 0, added.

    Returns:
        The evidence, 0 to ``EVIDENCE_MAX``; an alarm from ``1 / false_alarm_rate`` on. Below 1 it is not the
        least of all, but as good as none.
    """

    def at(other_rate: float) -> float:
        here = _log_evidence(_MORE, events, count, _share(slope * other_rate + offset))
        return here + _log_evidence(_LESS, other_events, other_count, other_rate)

    # What the rate elsewhere is about, if the rate here just keeps to it.
    implied = _share((events / count - offset) / slope) if slope else 0.0
    likely = at((other_events + count * implied) / (other_count + count))
    return evidence_of(likely if likely <= 0 else min(likely, _least(at)))


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _log_evidence(tilts: tuple[tuple[float, float], ...], events: float, count: int, rate: float) -> float:
    """Return the logarithm of the mean of the likelihood ratios of tilted rates and one rate."""
    ratios = [tilt * events - count * math.log1p(rate * growth) for tilt, growth in tilts]
    most = max(ratios)
    return most + math.log(sum(math.exp(ratio - most) for ratio in ratios) / len(ratios))


def _least(function: Callable[[float], float]) -> float:
    """Return the least value of a convex function of a share, by golden sections.

    The logarithm of a product of sums of powers of linear functions is convex in the share.
    """
    low, high = 0.0, 1.0
    left, right = high - _GOLDEN, low + _GOLDEN
    at_left, at_right = function(left), function(right)
    for _ in range(_STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = function(right)
    return min(at_left, at_right)
