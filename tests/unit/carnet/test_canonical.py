"""One byte form for every value, and no other bytes are taken for it."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.canonical import canonical_json, check_digest, parse_canonical_json, sha256_hex
from carnet.errors import InvalidInputError

SAFE = 2**53 - 1
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_survives_the_way_there_and_back(value):
    data = canonical_json(value)
    parsed = parse_canonical_json(data, what="document")
    assert parsed == value
    assert canonical_json(parsed) == data


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-9, 9)))
def test_the_order_of_keys_does_not_matter(value):
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(VALUES)
def test_only_the_canonical_bytes_are_taken(value):
    data = canonical_json(value)
    for spaced in (data + b"\n", b" " + data):
        with pytest.raises(InvalidInputError, match="canonical"):
            parse_canonical_json(spaced, what="document")


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ({"\u20ac": 1, "\r": 2, "1": 3}, b'{"\\r":2,"1":3,"\xe2\x82\xac":1}'),
        ({"\U0001f600": 1, "\ufb33": 2}, b'{"\xf0\x9f\x98\x80":1,"\xef\xac\xb3":2}'),
        (333333333.33333329, b"333333333.3333333"),
        (1e30, b"1e+30"),
        (4.5, b"4.5"),
        (1.0, b"1"),
        (-0.0, b"0"),
        (1e-27, b"1e-27"),
        (1e20, b"100000000000000000000"),
        (9007199254740991, b"9007199254740991"),
        ('\u0000\u001f"\\/', b'"\\u0000\\u001f\\"\\\\/"'),
        ([], b"[]"),
    ],
)
def test_the_form_is_that_of_rfc_8785(value, data):
    assert canonical_json(value) == data


@pytest.mark.parametrize("value", [1e20, 2.0**53, -(2.0**60), 1.7976931348623157e308, 5e-324, 0.1])
def test_large_and_small_floats_come_back_exactly(value):
    data = canonical_json({"value": value})
    assert parse_canonical_json(data, what="manifest") == {"value": value}


def nested(depth: int):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -(2**53),
        float("nan"),
        float("inf"),
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        {"a": {None: 1}},
        {1, 2},
        b"bytes",
        object(),
        nested(100_000),
    ],
    ids=[
        "too large",
        "too small",
        "NaN",
        "infinite",
        "lone surrogate",
        "lone surrogate as a key",
        "number as a key",
        "null as a key",
        "set",
        "bytes",
        "object",
        "too deep",
    ],
)
def test_a_value_without_canonical_form_is_refused(value):
    with pytest.raises(InvalidInputError, match="canonical JSON"):
        canonical_json(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"{'a':1}",
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0}',
        b'{"a":01}',
        b'"\\u0041"',
        b"NaN",
        b"Infinity",
        b"1e999",
        b"1" + b"0" * 400,
        b"9" * 5000,
        b"9007199254740993",
        b'"\\ud800"',
        b"[" * 100_000,
        '{"a":1}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda data: str(data[:20]),
)
def test_bytes_that_are_not_canonical_are_refused(data):
    with pytest.raises(InvalidInputError, match="manifest"):
        parse_canonical_json(data, what="manifest")


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail_otherwise(data):
    try:
        value = parse_canonical_json(data, what="document")
    except InvalidInputError:
        return
    assert json.loads(data) == value


def test_a_digest_is_sha_256_in_lowercase_hex():
    assert sha256_hex(b"abc") == hashlib.sha256(b"abc").hexdigest() == sha256_hex(memoryview(b"abc"))
    assert check_digest(sha256_hex(b""), field="digest") == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    "value",
    ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "sha256:" + "a" * 64, "a" * 64 + "\n", "٣" * 64],
)
def test_what_is_no_digest_is_refused_with_the_fields_name(value):
    with pytest.raises(InvalidInputError, match="64 lowercase hexadecimal digits") as refused:
        check_digest(value, field="files[0].digest")
    assert refused.value.metadata == {"field": "files[0].digest"}
