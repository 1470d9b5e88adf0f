"""A sequential test of means: has a difference gone beyond noise, asked as often as one likes.

Figures are looked at after every report, so a fixed-sample test would cry wolf sooner or later. The mixture
sequential probability ratio test (H. Robbins, "Statistical Methods Related to the Law of the Iterated
Logarithm", Annals of Mathematical Statistics 41, 1970; R. Johari et al., "Always Valid Inference", Operations
Research 70, 2022) bounds the chance of a false alarm over all looks together: under the null hypothesis the
mixture of likelihood ratios is a non-negative supermartingale that begins at 1, so it ever reaches 1 / rate
with a probability of at most the rate (J. Ville, 1939).

Here the null hypothesis is that the difference is not above 0, and the mixture is over a half-normal prior on
differences above 0. That is exact where samples are normal and their variance is known. With the variance
that samples show around what the null hypothesis says they are around, it is exact too where they are
symmetric (V. de la Peña, "A General Class of Exponential Inequalities for Martingales and Ratios", Annals of
Probability 27, 1999), and otherwise holds the better the more samples there are. Samples that are 0 or 1 have
a test that needs no such word (``sequential_rates``). Pure.
"""

from __future__ import annotations

import math

EVIDENCE_MAX = 1e300
_LOG_EVIDENCE_MAX = math.log(EVIDENCE_MAX)


def evidence_of(logarithm: float) -> float:
    """Return evidence by its natural logarithm, ``EVIDENCE_MAX`` at most."""
    return EVIDENCE_MAX if logarithm >= _LOG_EVIDENCE_MAX else math.exp(logarithm)


def evidence_above_zero(estimate: float, variance: float, prior_variance: float) -> float:
    """Return how much more likely an estimate is under a difference above 0 than under none.

    Args:
        estimate: The difference as it is estimated now.
        variance: The variance of that estimate; 0 where the samples do not vary at all. Where it cannot be
            counted, being too large, there is no evidence.
        prior_variance: The variance of the half-normal prior, above 0: differences of about its root are
            found the soonest.

    Returns:
        The mixture likelihood ratio, 0 to ``EVIDENCE_MAX``; an alarm from ``1 / false_alarm_rate`` on.
    """
    if variance <= 0:
        return EVIDENCE_MAX if estimate > 0 else 0.0
    total = variance + prior_variance
    score = estimate * math.sqrt(prior_variance / total / variance)
    if not math.isfinite(total) or math.isnan(score):
        return 0.0
    narrowing = 0.5 * (math.log(variance) - math.log(total))
    return evidence_of(math.log(2) + narrowing + _log_chance_over_density(score))


def _log_chance_over_density(score: float) -> float:
    """Return the logarithm of the normal chance of less than a score, times ``exp(score²/2)``."""
    if score > -30:
        return score * score / 2 + math.log(0.5 * math.erfc(-score / math.sqrt(2)))
    # Mills' ratio: far out the chance is the density over the distance.
    return -math.log(-score * math.sqrt(2 * math.pi))
