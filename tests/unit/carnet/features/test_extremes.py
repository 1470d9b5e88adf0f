"""Where columns of numbers leave their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.features import extremes
from carnet.features.columns import Numbers
from carnet.features.extremes import suspects_in
from carnet.features.limits import Limits

FLOATS = Limits(np.float64(-1e300), np.float64(1e300), np.float64(-10), np.float64(10))
INTEGERS = Limits(-(2**63), 2**63 - 1, -10, 10)
numbers = st.one_of(st.sampled_from([math.nan, math.inf, 10.0, 10.5, -10.0, 0.5]), st.floats(-12, 12))


@pytest.fixture(params=[3, 1000])
def block(request, monkeypatch):
    monkeypatch.setattr(extremes, "_BLOCK", request.param)


def _expected(values, missing, *, whole, nullable):
    gone = [missing[place] or value != value for place, value in enumerate(values)]
    outside = [
        place
        for place, value in enumerate(values)
        if not gone[place] and (not -10 <= value <= 10 or (whole and not float(value).is_integer()))
    ]
    return [] if nullable else [place for place, each in enumerate(gone) if each], outside


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("nullable", [False, True])
@given(values=st.lists(numbers, max_size=12), data=st.data(), kind=st.sampled_from(["f2", "f4", "f8"]))
def test_floats_are_found_one_by_one(values, data, kind, whole, nullable):
    column = np.array(values, dtype=kind)
    missing = np.array(data.draw(st.lists(st.booleans(), min_size=len(column), max_size=len(column))), bool)
    for mask in (None, missing):
        found = suspects_in(Numbers(column, mask), FLOATS, whole=whole, nullable=nullable)
        none = np.zeros(len(column), bool) if mask is None else mask
        wanted = _expected(column.tolist(), none.tolist(), whole=whole, nullable=nullable)
        assert (found.absent.tolist(), found.outside.tolist()) == wanted


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("kind", ["i1", "i8", "u1", "u8"])
def test_integers_are_found_one_by_one(kind):
    column = np.array([0, 10, 11, 3, 100, 10, 0, 0], dtype=kind)
    found = suspects_in(Numbers(column), INTEGERS, whole=True, nullable=False)
    assert (found.absent.tolist(), found.outside.tolist()) == ([], [2, 4])
    hidden = np.array([False, False, True, False, False, False, True, False])
    found = suspects_in(Numbers(column, hidden), INTEGERS, whole=True, nullable=False)
    assert (found.absent.tolist(), found.outside.tolist()) == ([2, 6], [4])
