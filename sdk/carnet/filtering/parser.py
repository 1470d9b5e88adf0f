"""The grammar of filters.

Responsible for AIP-160's grammar: ``OR`` binds tighter than ``AND``, words side by side are a sequence, which
is one more ``AND``, ``NOT`` and ``-`` turn one term around. Functions are refused. What it reads is bounded,
so that it takes time in proportion to the text: see ``MAX_BYTES``, ``MAX_TERMS`` and ``MAX_DEPTH``.

Reference: AIP-160 and its EBNF; AIP-132 for orders.
"""

from __future__ import annotations

from carnet.filtering.lexer import Token, TokenKind, tokenize
from carnet.filtering.problems import problem
from carnet.filtering.syntax import And, Not, Or, Part, Restriction, Tree

MAX_TERMS = 100
MAX_DEPTH = 16

_KEYWORDS = frozenset({"AND", "OR", "NOT"})
_VALUES = frozenset({TokenKind.WORD, TokenKind.QUOTED})


def parse_filter(text: str) -> Tree[Restriction] | None:
    """Read a filter.

    Args:
        text: The filter; one of blanks only asks for nothing.

    Returns:
        What it says; None where it asks for nothing.

    Raises:
        InvalidInputError: It is not a filter, or over a limit; the message says where.
    """
    reader = Reader(text)
    if reader.token.ends:
        return None
    tree = reader.expression()
    if not reader.token.ends:
        raise reader.unexpected()
    return tree


class Reader:
    """Reads a text token by token.

    Args:
        text: The text.
        what: The request's field that it is, for messages.

    Attributes:
        token: The token that comes next.
    """

    def __init__(self, text: str, *, what: str = "filter") -> None:
        self._text = text
        self._what = what
        self._tokens = tokenize(text, what=what)
        self._at = 0
        self._terms = 0
        self._depth = 0
        self.token = self._tokens[0]

    def advance(self) -> Token:
        """Return the next token, and go behind it."""
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        self.token = self._tokens[self._at]
        return token

    def expression(self) -> Tree[Restriction]:
        """Read ``expression = sequence {AND sequence}``."""
        operands = list(self._sequence())
        while self.token.says("AND"):
            self.advance()
            operands.extend(self._sequence())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _sequence(self) -> list[Tree[Restriction]]:
        factors = [self._factor()]
        while not (self.token.ends or self.token.says("AND") or self.token.says(")")):
            factors.append(self._factor())
        return factors

    def _factor(self) -> Tree[Restriction]:
        terms = [self._term()]
        while self.token.says("OR"):
            self.advance()
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _term(self) -> Tree[Restriction]:
        if self.token.kind is TokenKind.MINUS or self.token.says("NOT"):
            self.advance()
            return Not(self._simple())
        return self._simple()

    def _simple(self) -> Tree[Restriction]:
        if not self.token.says("("):
            return self._restriction()
        opened = self.advance()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.problem(opened, f"parentheses more than {MAX_DEPTH} deep")
        tree = self.expression()
        if not self.token.says(")"):
            raise self.problem(opened, "this parenthesis is never closed")
        self.advance()
        self._depth -= 1
        return tree

    def _restriction(self) -> Restriction:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self.problem(self.token, f"more than {MAX_TERMS} terms: ask several times, for less each")
        path = self.member()
        if self.token.kind is not TokenKind.COMPARATOR:
            return Restriction(path)
        comparator = self.advance()
        if self.token.says("("):
            raise self.problem(
                self.token, "one value is wanted here: write the comparison once for each, with OR between"
            )
        if self.token.kind not in _VALUES or _is_keyword(self.token):
            raise self.problem(
                self.token,
                f"a value is wanted behind {comparator.text!r}; text with blanks or signs in quotes",
            )
        argument = self.advance()
        self._refuse_function(argument, argument)
        return Restriction(path, comparator.text, _part(argument), comparator.offset)

    def member(self) -> tuple[Part, ...]:
        """Read ``member = value {DOT field}``: the name of a field, or a text alone."""
        if self.token.kind is TokenKind.COMPARATOR:
            raise self.unexpected("a field is wanted before it; text that has such signs stands in quotes")
        if self.token.kind not in _VALUES or _is_keyword(self.token):
            raise self.unexpected("a comparison such as stage = approved is wanted here")
        parts = [self.advance()]
        while self.token.says("."):
            self.advance()
            if self.token.kind not in _VALUES:
                raise self.unexpected("the next part of the name is wanted behind '.'")
            parts.append(self.advance())
        self._refuse_function(parts[0], parts[-1])
        return tuple(_part(each) for each in parts)

    def _refuse_function(self, first: Token, last: Token) -> None:
        if self.token.says("(") and self.token.offset == last.end:
            raise self.problem(first, "there are no functions in filters: compare a field with a value")

    def unexpected(self, wanted: str = "a comparison, AND, OR or the end is wanted here") -> Exception:
        """Return the error of a token that has no place where it stands."""
        found = "the end comes too early" if self.token.ends else repr(self.token.text)
        return self.problem(self.token, f"{found}: {wanted}")

    def problem(self, token: Token, message: str) -> Exception:
        """Return an error at a token."""
        return problem(self._text, token.offset, message, what=self._what)


def _is_keyword(token: Token) -> bool:
    return token.kind is TokenKind.WORD and token.text in _KEYWORDS


def _part(token: Token) -> Part:
    return Part(token.text, token.pieces, token.kind is TokenKind.QUOTED, token.offset)
