"""The population stability index (PSI), and the bins that it is told by.

PSI is the sum over bins of (a - e) · ln(a / e), with e a bin's share in the reference and a its share in the
data (N. Siddiqi, Credit Risk Scorecards, 2006, chapter 9): the symmetrised Kullback-Leibler divergence
(H. Jeffreys, 1946). Bins are the reference's deciles for numbers and the values for categories; an empty
share counts as 0.0001. Below 0.1 is usually called stable, 0.25 and more a large shift; with n rows on each
side and B bins, mere chance gives about 2 (B - 1) / n (B. Yurdakul, 2018). Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_BINS = 10
_LEAST_SHARE = 1e-4
_MAX_VALUES = 1000


def index_of_numbers(reference: NDArray[Any], data: NDArray[Any]) -> float:
    """Return the index of numbers.

    Args:
        reference: The numbers of the reference, one at least, without what is missing.
        data: Those of the data, one at least.
    """
    inner = np.unique(np.quantile(reference, np.linspace(0, 1, _BINS + 1)[1:-1], method="lower"))
    if inner[0] == reference.min():
        # Where a tenth and more is the least value, what is below it would hide in the bin of that value.
        with np.errstate(over="ignore"):  # below the least number that there is comes minus infinity
            below = np.nextafter(inner[:1], -np.inf)
        inner = np.unique(np.concatenate((below, inner)))
    bins = len(inner) + 1
    shares = [
        np.bincount(np.searchsorted(inner, values, side="left"), minlength=bins) / len(values)
        for values in (reference, data)
    ]
    return stability_index(*shares)


def index_of_values(reference: Mapping[Any, int], data: Mapping[Any, int]) -> float:
    """Return the index of values that are equal or not.

    Args:
        reference: How often each value is in the reference, one at least.
        data: How often each is in the data, one at least.
    """
    values = [value for value, _ in Counter(reference).most_common(_MAX_VALUES)]
    values += [each for each in data if each not in reference][:_MAX_VALUES]
    shares = [
        np.array([counts.get(each, 0) for each in values]) / sum(counts.values())
        for counts in (reference, data)
    ]
    return stability_index(*shares)


def stability_index(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return the population stability index of the shares of the same bins.

    Args:
        expected: Each bin's share in the reference.
        actual: Each bin's share in the data.
    """
    expected, actual = np.maximum(expected, _LEAST_SHARE), np.maximum(actual, _LEAST_SHARE)
    return float(np.sum((actual - expected) * np.log(actual / expected)))
