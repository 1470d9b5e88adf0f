"""Texts of a column that a feature does not know."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.features import known_texts
from carnet.features.known_texts import KnownTexts

TYPES = (pa.string(), pa.large_string(), pa.string_view())
# A view has the first 4 bytes of a text in one word, 8 more in another, and of a longer text a part only.
CLOSE = ["", "\0", "a", "a\0", "ab", "abcd", "abcde", "abcd\0", "éa", "abcdefghijkl", "abcdefghijkm"]
LONG = ["abcdefghijklm", "abcdefghijkl-and-more", "abcdefghijkm-and-more"]
texts = st.one_of(st.sampled_from(CLOSE), st.sampled_from(LONG), st.text(max_size=14))


@given(
    known=st.lists(texts, min_size=1, max_size=12, unique=True),
    values=st.lists(st.one_of(st.none(), texts), max_size=30),
    kind=st.sampled_from(TYPES),
    skipped=st.integers(0, 10),
)
def test_exactly_the_texts_that_are_not_known_are_found(known, values, kind, skipped):
    array = pa.array(values, kind).slice(skipped)
    wanted = [
        place for place, value in enumerate(values[skipped:]) if value is not None and value not in known
    ]
    assert KnownTexts(known).others(array).tolist() == wanted


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("known", [CLOSE[:6], CLOSE, LONG])
def test_they_are_found_over_several_blocks(kind, known, monkeypatch):
    monkeypatch.setattr(known_texts, "_BLOCK", 16)
    values = [*known, None] * 9
    values[20], values[-1] = "zz", "abcdefghijkl?"
    array = pa.array(["zz", "zz", "zz", *values], kind).slice(3)
    assert KnownTexts(known).others(array).tolist() == [20, len(values) - 1]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("empty_is_known", [False, True])
def test_codes_of_one_length_with_some_that_are_empty_or_missing(kind, width, empty_is_known, monkeypatch):
    monkeypatch.setattr(known_texts, "_BLOCK", 10)
    codes = [letter * width for letter in "abcdefg"]
    values = [None if place % 5 == 2 else codes[place % 7] for place in range(64)]
    values[13] = values[20] = ""
    values[30] = values[40] = values[63] = "b" * (width - 1) + "z"
    known = KnownTexts(["longer"[: width + 1], *codes, *([""] if empty_is_known else [])])
    wrong = [place for place in (13, 20, 30, 40, 63) if not (empty_is_known and place in (13, 20))]
    assert known.others(pa.array(values, kind)).tolist() == wrong
    assert known.others(pa.array([*"xyz", *values], kind).slice(3)).tolist() == wrong


def test_texts_of_several_lengths_are_no_codes_even_where_their_sizes_add_up():
    for odd in (["a", "bcd"], ["", "abcd"]):
        values = ["ab"] * 20 + odd + ["cd"]
        assert KnownTexts(["ab", "cd", *odd]).others(pa.array(values)).tolist() == []
        assert KnownTexts(["ab", "cd"]).others(pa.array(values)).tolist() == [20, 21]


def test_texts_that_share_one_of_two_words_are_told_apart():
    for known in (["abcdefgh"], ["abcdefgh", "abcdefgi"]):
        same_beginning = [f"abcd{number:04}" for number in range(200)]
        same_end = [f"{number:04}efgh" for number in range(200)]
        array = pa.array([*known, *same_beginning, *same_end])
        assert KnownTexts(known).others(array).tolist() == list(range(len(known), len(array)))


@pytest.mark.parametrize("count", [1, 2, 40, 512, 513, 3000])
def test_any_number_of_texts_can_be_known(count):
    known = [f"{number:x}" for number in range(count)]
    array = pa.array([*known, "zz", *known, "", None], pa.large_string())
    assert KnownTexts(known).others(array).tolist() == [count, 2 * count + 1]


def test_where_nothing_is_known_or_no_table_is_found_texts_are_hashed(monkeypatch):
    array = pa.array(["a", None, "b"])
    assert KnownTexts([]).others(array).tolist() == [0, 2]
    monkeypatch.setattr(known_texts, "_TRIES", 0)
    assert KnownTexts(["a"]).others(array).tolist() == [2]


def test_a_known_text_that_no_array_can_hold_is_passed_over():
    assert KnownTexts(["\ud800", "a"]).others(pa.array(["a", "b"])).tolist() == [1]


def test_an_array_without_any_text():
    known = KnownTexts(["a"])
    for kind in TYPES:
        assert known.others(pa.array([], kind)).tolist() == []
        assert known.others(pa.array([None, None], kind)).tolist() == []
        assert known.others(pa.nulls(3, kind)).tolist() == []
