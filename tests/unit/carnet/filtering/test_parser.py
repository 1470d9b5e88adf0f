"""The grammar of filters: precedence, limits, and an error with its place for anything else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import InvalidInputError
from carnet.filtering.check import read_filter
from carnet.filtering.lexer import MAX_BYTES
from carnet.filtering.ordering import read_order
from carnet.filtering.parser import MAX_DEPTH, MAX_TERMS, parse_filter
from carnet.filtering.syntax import And, Not, Or


def shape(tree):
    """A tree as text with all its parentheses."""
    if isinstance(tree, And):
        return "(" + " AND ".join(map(shape, tree.operands)) + ")"
    if isinstance(tree, Or):
        return "(" + " OR ".join(map(shape, tree.operands)) + ")"
    if isinstance(tree, Not):
        return f"NOT {shape(tree.operand)}"
    path = ".".join(part.text for part in tree.path)
    return f"{path}{tree.comparator}{tree.argument.text}" if tree.argument else path


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a = 1", "a=1"),
        ("a AND b OR c AND d", "(a AND (b OR c) AND d)"),
        ("a b AND c", "(a AND b AND c)"),
        ("New York Giants OR Yankees", "(New AND York AND (Giants OR Yankees))"),
        ("NOT a OR b", "(NOT a OR b)"),
        ("-a = 1 b", "(NOT a=1 AND b)"),
        ("NOT (a OR b)", "NOT (a OR b)"),
        ("(a) ((b))", "(a AND b)"),
        ("a.b.c >= -3", "a.b.c>=-3"),
        ("a.AND = 1", "a.AND=1"),
        ("a=1.6.1", "a=1.6.1"),
        ("a<2026-03-01T12:30:00.5+01:00", "a<2026-03-01T12:30:00.5+01:00"),
        ("(a>2026-03-01T12:30:00Z)", "a>2026-03-01T12:30:00Z"),
        (r'a = "x\"y\\z"', 'a=x"y\\z'),
        ("a = 'it'", "a=it"),
        ('"a b" = "AND"', "a b=AND"),
        ("a:*", "a:*"),
        ("a:b:c".replace(":c", ""), "a:b"),
        ("\n a\t=\r\n1 ", "a=1"),
    ],
)
def test_a_filter_means_what_aip_160_says(text, meant):
    assert shape(parse_filter(text)) == meant


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_a_filter_of_blanks_asks_for_nothing(text):
    assert parse_filter(text) is None
    assert read_filter(text) is None


def test_wildcards_are_told_from_stars_in_quotes():
    argument = parse_filter(r'a = "x\*y*z"').argument
    assert argument.pieces == ("x*y", "z")
    assert parse_filter("a = *x*").argument.pieces == ("", "x", "")


BAD = [
    ("a =", 3, "a value is wanted behind '='"),
    ("a = AND", 4, "a value is wanted"),
    ("= 1", 0, "a field is wanted before it"),
    ("a AND", 5, "the end comes too early"),
    ("AND a", 0, "'AND'"),
    ("a OR OR b", 5, "'OR'"),
    ("NOT", 3, "the end comes too early"),
    ("a AND (b OR c", 6, "never closed"),
    ("a)", 1, "')'"),
    ("()", 1, "')'"),
    ("a = (b OR c)", 4, "one value is wanted"),
    ("a.", 2, "the next part of the name"),
    ("a..b", 2, "the next part of the name"),
    ("a, b", 1, "','"),
    ('a = "b', 4, "never closed"),
    (r'a = "\x"', 5, "behind a backslash"),
    ('a = "\\', 5, "behind a backslash"),
    ("f(a)", 0, "no functions"),
    ("a = f(b)", 4, "no functions"),
    ("uri = s3://x", 8, "signs stands in quotes"),
    ("a ! b", 2, "no meaning here"),
    ("a = \0", 4, "U+0000"),
    ("a = \ud800", 4, "U+D800"),
    ("a\nAND b =\n= c", 10, "a value is wanted"),
]


@pytest.mark.parametrize(("text", "offset", "message"), BAD)
def test_a_filter_that_is_none_is_refused_with_its_place(text, offset, message):
    with pytest.raises(InvalidInputError) as caught:
        parse_filter(text)
    error = caught.value
    assert message in error.message
    assert error.metadata["field"] == "filter"
    assert int(error.metadata["offset"]) == offset
    line = text[:offset].count("\n")
    assert int(error.metadata["line"]) == line + 1
    assert int(error.metadata["column"]) == offset - (text.rfind("\n", 0, offset) + 1) + 1
    assert error.message.startswith(f"filter:{error.metadata['line']}:{error.metadata['column']}: ")


def test_the_caret_stands_below_what_is_wrong():
    text = "x" * 300 + " AND (stage = registered"
    with pytest.raises(InvalidInputError) as caught:
        parse_filter(text)
    _, shown, caret = caught.value.message.split("\n")
    assert shown[caret.index("^")] == "("
    assert len(shown) < 120


def test_a_filter_of_ten_thousand_terms_is_refused():
    with pytest.raises(InvalidInputError, match=f"{MAX_BYTES} are the limit"):
        parse_filter(" AND ".join(["a = 1"] * 10_000))
    with pytest.raises(InvalidInputError, match=f"more than {MAX_TERMS} terms"):
        parse_filter(" ".join(["a"] * (MAX_TERMS + 1)))
    assert len(parse_filter(" ".join(["a"] * MAX_TERMS)).operands) == MAX_TERMS


def test_the_limit_of_bytes_counts_bytes():
    assert parse_filter('"' + "ß" * (MAX_BYTES // 2 - 1) + '"') is not None
    with pytest.raises(InvalidInputError, match="bytes"):
        parse_filter('"' + "ß" * (MAX_BYTES // 2) + '"')


def test_parentheses_are_as_deep_as_the_limit_and_no_deeper():
    assert shape(parse_filter("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)) == "a"
    with pytest.raises(InvalidInputError, match=f"more than {MAX_DEPTH} deep"):
        parse_filter("(" * 1000 + "a" + ")" * 1000)
    assert len(parse_filter("(a) " * MAX_TERMS).operands) == MAX_TERMS


SOUP = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "labels",
                "metrics",
                "stage",
                "age",
                "create_time",
                "AND",
                "OR",
                "NOT",
                "-",
                "(",
                ")",
                ".",
                ",",
            ),
            *(
                "=",
                "!=",
                "<",
                ":",
                "*",
                '"',
                "'",
                "\\",
                " ",
                "\n",
                "1",
                "1e999",
                "7d",
                "2026-13-99",
                "true",
                "desc",
            ),
            *(
                "2026-03-01T12:30:00Z",
                "9999-12-31T23:59:59-23:59",
                "registered",
                "{",
                "}",
                "é",
                "\0",
                "\u2028",
            ),
        ]
    ),
    max_size=60,
).map("".join)


def refusal(read, text):
    """The error of a text that is refused; None of one that is read."""
    try:
        read(text)
    except InvalidInputError as error:
        return error
    return None


@given(st.one_of(st.text(max_size=200), SOUP))
def test_whatever_is_asked_is_read_or_refused_with_a_place_within_it(text):
    for read in (read_filter, read_order):
        error = refusal(read, text)
        assert error is None or 0 <= int(error.metadata["offset"]) <= len(text)
        assert error is None or error.message.count("\n") == 2


@pytest.mark.parametrize(
    "unit", ["(", "a ", "a AND ", '"', "\\", "a.", "-", "a = *", "*", "NOT ", "1", "=", "[", "a=1 OR ", "é"]
)
def test_reading_takes_no_longer_than_a_text_of_that_length_may(unit):
    text = (unit * MAX_BYTES)[: MAX_BYTES // 2]
    begin = time.process_time()
    for _ in range(5):
        refusal(read_filter, text)
    # Milliseconds; what is quadratic in the wrong place takes seconds.
    assert time.process_time() - begin < 2
