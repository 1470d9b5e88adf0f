from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet_policies.source_limits import (
    MAX_LITERAL_ELEMENTS,
    MAX_LOOPS,
    MAX_SOURCE_BYTES,
    limit_problems,
    names_in,
)


@pytest.mark.parametrize(
    ("source", "line", "column", "says"),
    [
        ("true" + " " * MAX_SOURCE_BYTES, 1, 1, "2052 bytes; 2048 are allowed"),
        ("'" + "é" * 1024 + "' == ''", 1, 1, "bytes; 2048 are allowed"),
        ("'\ud800' == ''", 1, 1, "no Unicode text"),
        ("[[1]]" + ".map(a, a + a)" * 26 + ".size() == 1", 1, 122, "more than 8 of"),
        ("[1].all(a, [1].all(b,\n  [1].all(c, true)))", 2, 10, "nested more than 2 deep"),
        ("[1] . // a comment\n all (a, [1].map(b, [1].filter(c, true)) == [])", 2, 31, "nested more than 2"),
        ("1 in [" + "1," * MAX_LITERAL_ELEMENTS + "1]", 1, 6, "a literal of 65 elements; 64 are allowed"),
        ("{" + ",".join(f"{i}: {i}" for i in range(65)) + "}.size() > 0", 1, 1, "a literal of 65 elements"),
    ],
)
def test_an_expression_over_a_limit_is_refused_where_it_is(
    source: str, line: int, column: int, says: str
) -> None:
    (problem,) = limit_problems(source)
    assert (problem.line, problem.column) == (line, column)
    assert says in problem.message


@pytest.mark.parametrize(
    "source",
    [
        "true",
        "[1]" + ".map(a, a)" * MAX_LOOPS + " == [1]",
        "[1].all(a, [1].exists(b, b == a))",
        "1 in [" + "1," * (MAX_LITERAL_ELEMENTS - 1) + "1]",
        "'" + ".map(" * 30 + "' != ''",
        'r"\\" == "" || ' + "'''" + ".all(" * 30 + "''' == ''",
        "true // " + ".map(" * 30,
        "max(" + ",".join("1" * 100) + ") == 1",
        ")]}",
    ],
)
def test_an_expression_within_the_limits_is_taken(source: str) -> None:
    assert limit_problems(source) == ()


def test_names_are_those_outside_of_strings_and_comments() -> None:
    assert names_in('metrics["manifest"] > 1.0 // baseline\n && a.b(c)') == {"metrics", "a", "b", "c"}


@given(st.text(max_size=200))
def test_any_text_can_be_looked_at(source: str) -> None:
    limit_problems(source)
    names_in(source)
