"""Limits on the source of a CEL expression, and what it names.

Responsible for refusing, before anything is compiled, expressions that are long, that loop within loops or
in long chains, or that spell out large lists. These caps keep honest mistakes cheap; what they let through
is still bounded by the worker's memory, the deadline, and CEL's own budget of iterations. Does not parse
CEL: it reads tokens, and whatever it misreads meets those bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_SOURCE_BYTES = 2048
MAX_LOOPS = 8
MAX_LOOP_NESTING = 2
MAX_LITERAL_ELEMENTS = 64

_LOOPS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_PAIRS = {")": "(", "]": "[", "}": "{"}
_TOKEN = re.compile(
    r"""
      (?P<skip>\s+|//[^\n]*)
    | (?P<string>[bB]?(?:
          [rR](?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|"[^"\n]*"|'[^'\n]*')
        | \"\"\"(?:[^\\]|\\[\s\S])*?\"\"\" | '''(?:[^\\]|\\[\s\S])*?'''
        | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'))
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<other>[0-9][0-9A-Za-z_.]*|[\s\S])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """What is wrong with an expression, and where in it: line and column count from 1."""

    line: int
    column: int
    message: str


@dataclass(slots=True)
class _Bracket:
    opening: str
    offset: int
    is_loop: bool
    commas: int = 0


@lru_cache(maxsize=4096)
def names_in(source: str) -> frozenset[str]:
    """Return every identifier in an expression, fields and functions too; strings and comments aside."""
    return frozenset(match[0] for match in _TOKEN.finditer(source) if match.lastgroup == "word")


def limit_problems(source: str) -> tuple[ExpressionProblem, ...]:
    """Check an expression's source against the limits.

    Args:
        source: The expression.

    Returns:
        A problem for each limit that it is over; empty when it is within all.
    """
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        return (ExpressionProblem(1, 1, "the expression has characters that are no Unicode text"),)
    if size > MAX_SOURCE_BYTES:
        message = (
            f"the expression has {size} bytes; {MAX_SOURCE_BYTES} are allowed: split it into several rules"
        )
        return (ExpressionProblem(1, 1, message),)
    return tuple(_token_problems(source))


def _token_problems(source: str) -> list[ExpressionProblem]:
    problems: list[ExpressionProblem] = []
    open_brackets: list[_Bracket] = []
    before: tuple[str, str] = ("", "")
    loops = 0
    for match in _TOKEN.finditer(source):
        if match.lastgroup in ("skip", "string"):
            before = before if match.lastgroup == "skip" else ("", "")
            continue
        symbol = match[0]
        if symbol in ("(", "[", "{"):
            is_loop = symbol == "(" and before[0] == "." and before[1] in _LOOPS
            open_brackets.append(_Bracket(symbol, match.start(), is_loop))
            loops += is_loop
            nesting = sum(bracket.is_loop for bracket in open_brackets)
            if is_loop and loops == MAX_LOOPS + 1:
                message = f"more than {MAX_LOOPS} of {', '.join(sorted(_LOOPS))} in one expression"
                problems.append(_problem(source, match.start(), message))
            if is_loop and nesting == MAX_LOOP_NESTING + 1:
                message = f"{', '.join(sorted(_LOOPS))} nested more than {MAX_LOOP_NESTING} deep"
                problems.append(_problem(source, match.start(), message))
        elif symbol == "," and open_brackets:
            open_brackets[-1].commas += 1
        elif symbol in _PAIRS and open_brackets and open_brackets[-1].opening == _PAIRS[symbol]:
            closed = open_brackets.pop()
            if closed.opening != "(" and closed.commas >= MAX_LITERAL_ELEMENTS:
                message = f"a literal of {closed.commas + 1} elements; {MAX_LITERAL_ELEMENTS} are allowed"
                problems.append(_problem(source, closed.offset, message))
        before = (before[1], symbol)
    return problems


def _problem(source: str, offset: int, message: str) -> ExpressionProblem:
    line_start = source.rfind("\n", 0, offset) + 1
    return ExpressionProblem(source.count("\n", 0, offset) + 1, offset - line_start + 1, message)
