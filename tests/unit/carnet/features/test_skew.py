"""How far data has moved, and the index that says so."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.bundle.feature_schema import Feature
from carnet.errors import InvalidInputError
from carnet.features.skew import compare_data
from carnet.features.stability import index_of_numbers, stability_index
from carnet.features.tables import read_table

AMOUNT = Feature(name="amount", type="float64", minimum=0)
COUNTRY = Feature(name="country", type="categorical", categories=("CH", "NO"), nullable=True)


def skew(before, after, features):
    return {
        each.name: each for each in compare_data(read_table(before), read_table(after), features).features
    }


def test_the_index_by_hand():
    # (0.4 - 0.5) ln(0.4/0.5) + (0.6 - 0.5) ln(0.6/0.5)
    assert stability_index(np.array([0.5, 0.5]), np.array([0.4, 0.6])) == pytest.approx(0.0405465, abs=1e-6)
    assert stability_index(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0
    assert math.isfinite(stability_index(np.array([1.0, 0.0]), np.array([0.0, 1.0])))


def test_deciles_of_the_reference_are_the_bins():
    before = pd.DataFrame({"amount": np.arange(100.0)})
    after = pd.DataFrame({"amount": np.where(np.arange(100) < 50, np.arange(100.0), 0.0)})
    # Deciles 1 and 6 to 10 move: 50 rows go to the first, which has 60 then.
    expected = (0.6 - 0.1) * math.log(6) + 5 * (1e-4 - 0.1) * math.log(1e-4 / 0.1)
    assert skew(before, after, (AMOUNT,))["amount"].psi == pytest.approx(expected)
    assert skew(before, before, (AMOUNT,))["amount"].psi == 0


def test_shift_spread_and_shares():
    before = pd.DataFrame({"amount": [0.0, 2.0] * 50, "country": ["CH", "NO"] * 50})
    after = pd.DataFrame(
        {"amount": [-1.0, 7.0] * 49 + [math.nan] * 2, "country": ["CH", "DE"] * 49 + [None] * 2}
    )
    found = skew(before, after, (AMOUNT, COUNTRY))
    amount, country = found["amount"], found["country"]
    assert (amount.reference.mean, amount.reference.standard_deviation) == (1.0, 1.0)
    assert (amount.data.null_share, amount.data.out_of_range_share) == (0.02, 0.5)
    assert (amount.mean_shift, amount.deviation_ratio) == (2.0, 4.0)
    assert (country.data.null_share, country.data.out_of_range_share, country.mean_shift) == (0.02, 0.5, None)
    assert country.psi == pytest.approx((0.5 - 1e-4) * math.log(0.5 / 1e-4) * 2)
    assert country.verdict == "large"


@pytest.mark.parametrize(
    "form", [lambda frame: frame, pa.Table.from_pandas, lambda frame: frame.to_dict("records")]
)
def test_every_form_of_a_table_moves_alike(form):
    draw = np.random.default_rng(3)
    before = pd.DataFrame(
        {
            "amount": draw.normal(size=500),
            "country": draw.choice(["CH", "NO"], 500),
            "flag": draw.random(500) < 0.5,
        }
    )
    after = before.assign(amount=before.amount + 1, country="CH", flag=True)
    features = (AMOUNT, COUNTRY, Feature(name="flag", type="bool"))
    found = skew(form(before), form(after), features)
    reference = skew(before, after, features)
    assert {name: each.psi for name, each in found.items()} == {
        name: pytest.approx(each.psi) for name, each in reference.items()
    }
    assert all(each.verdict == "large" for each in found.values())


def test_noise_is_stable():
    draw = np.random.default_rng(5)
    before, after = (pd.DataFrame({"amount": draw.normal(size=5000)}) for _ in range(2))
    assert skew(before, after, (AMOUNT,))["amount"].verdict == "stable"


def test_what_cannot_be_compared_is_said_to_be_unknown():
    features = (
        AMOUNT,
        COUNTRY,
        Feature(name="pair", type="float64", shape=(2,)),
        Feature(name="note", type="string"),
    )
    before = pd.DataFrame({"amount": ["a", "b"], "note": ["x", None]})
    after = pd.DataFrame(
        {"amount": [1.0, math.inf], "country": [None, None], "pair": [[1.0, 2.0]] * 2, "note": ["x", "y"]}
    )
    found = skew(before, after, features)
    assert [each.verdict for each in found.values()] == ["unknown", "unknown", "not compared", "not compared"]
    assert found["country"].reference is None
    assert found["note"].reference.null_share == 0.5
    json.dumps(compare_data(read_table(before), read_table(after), features).to_json(), allow_nan=False)


def test_no_rows_cannot_be_compared():
    some, none = read_table([{"amount": 1.0}]), read_table([])
    for before, after, field in ((none, some, "reference"), (some, none, "data")):
        with pytest.raises(InvalidInputError) as caught:
            compare_data(before, after, (AMOUNT,))
        assert caught.value.metadata["field"] == field


@given(
    st.lists(st.one_of(st.floats(), st.none(), st.integers(-(2**70), 2**70)), min_size=1, max_size=12),
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=12),
)
def test_the_report_is_json_whatever_the_numbers(before, after):
    tables = [read_table([{"amount": each} for each in side]) for side in (before, after)]
    report = compare_data(tables[0], tables[1], (AMOUNT,))
    json.dumps(report.to_json(), allow_nan=False)
    assert report.features[0].psi is None or report.features[0].psi >= 0


def test_a_reference_of_one_value_hides_no_shift_below_it():
    constant = np.full(100, 5.0)
    assert index_of_numbers(constant, constant) == 0
    for moved in (np.full(100, 4.0), np.full(100, 6.0), np.full(100, -math.inf)):
        assert index_of_numbers(constant, moved) > 1
    mostly_zero = np.concatenate((np.zeros(90), np.arange(10.0)))
    assert index_of_numbers(mostly_zero, mostly_zero) == 0
    assert index_of_numbers(mostly_zero, mostly_zero - 1) > 1


def test_values_of_another_type_are_outside_of_the_schema():
    rows = [{"amount": 1.0, "country": "CH"}] * 3 + [{"amount": "much", "country": 7}]
    found = skew(rows, rows, (AMOUNT, COUNTRY))
    for each in found.values():
        assert (each.data.null_share, each.data.out_of_range_share, each.data.value_count) == (0, 0.25, 3)
    strange = skew(rows, [{"amount": "much", "country": 7}] * 3, (AMOUNT, COUNTRY))
    assert [(each.psi, each.data.value_count, each.verdict) for each in strange.values()] == [
        (None, 0, "unknown"),
        (None, 0, "unknown"),
    ]


def test_the_data_of_two_versions_is_held_against_the_schema_of_each():
    score = Feature(name="score", type="float64")
    code = Feature(name="code", type="categorical")
    before = (AMOUNT, score, code, Feature(name="gone", type="int8"))
    after = (
        AMOUNT.model_copy(update={"minimum": -5.0}),
        score.model_copy(update={"type": "float32"}),
        code.model_copy(update={"type": "int32"}),
        Feature(name="fresh", type="int8"),
    )
    old = [{"amount": -1.0, "score": 1.0, "code": "a", "gone": 1}] * 20
    new = [{"amount": -1.0, "score": 1.0, "code": 7, "fresh": 1}] * 20
    report = compare_data(read_table(old), read_table(new), after, before=before)
    amount, moved, coded, fresh = report.features
    assert (amount.reference.out_of_range_share, amount.data.out_of_range_share, amount.psi) == (
        1.0,
        0.0,
        0.0,
    )
    assert (moved.comparable, moved.psi) == (True, 0.0)
    assert (coded.comparable, coded.psi, coded.verdict) == (False, None, "not compared")
    assert (fresh.reference, fresh.data.value_count, fresh.comparable) == (None, 20, False)
