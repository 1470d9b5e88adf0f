"""The words of a filter.

Responsible for cutting a text into tokens in one pass. What stands behind a comparator is one word up to the
next blank or parenthesis, so that ``0.95``, ``1.6.1`` and ``2026-03-01T12:30:00Z`` need no quotes. A ``*`` is
a wildcard unless a backslash stands before it in quotes.

Reference: AIP-160, the grammar's TEXT and STRING.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from carnet.filtering.problems import problem

MAX_BYTES = 2048

_BLANKS = " \t\r\n"
_COMPARATOR = re.compile(r"!=|<=|>=|[=<>:]")
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})?(?![^\s(),])", re.ASCII
)
_ARGUMENT = re.compile(r"""[^\s(),"'=<>!:]+""")
_WORD = re.compile(r"""[^\s(),.\"'=<>!:]+""")
_SYMBOLS = {"(", ")", ",", "."}
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "*": "*", "n": "\n", "t": "\t"}


class TokenKind(StrEnum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted"
    COMPARATOR = "comparator"
    SYMBOL = "symbol"
    MINUS = "minus"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: What it is.
        text: What it says, without quotes and escapes.
        offset: Where it begins.
        end: Where it ends.
        pieces: The text between its wildcards; one piece where it has none.
    """

    kind: TokenKind
    text: str
    offset: int
    end: int
    pieces: tuple[str, ...] = ()

    @property
    def ends(self) -> bool:
        """Whether it is the end of the text."""
        return self.kind is TokenKind.END

    def says(self, text: str) -> bool:
        """Tell whether it is this symbol or, unquoted, this word."""
        return self.text == text and self.kind in {TokenKind.WORD, TokenKind.SYMBOL}


def tokenize(text: str, *, what: str = "filter") -> list[Token]:
    """Cut a filter into tokens; the last one is its end.

    Args:
        text: The filter, ``MAX_BYTES`` of UTF-8 at most.
        what: The request's field that it is, for messages.

    Raises:
        InvalidInputError: It is too long, or a character or an open quote has no place in it.
    """
    _check_text(text, what)
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        if text[at] in _BLANKS:
            at += 1
            continue
        behind_comparator = bool(tokens) and tokens[-1].kind is TokenKind.COMPARATOR
        token = _next(text, at, behind_comparator=behind_comparator, what=what)
        tokens.append(token)
        at = token.end
    tokens.append(Token(TokenKind.END, "", len(text), len(text)))
    return tokens


def _check_text(text: str, what: str) -> None:
    size = len(text.encode("utf-8", errors="surrogatepass"))
    if size > MAX_BYTES:
        raise problem(
            text, 0, f"{size} bytes; {MAX_BYTES} are the limit: ask several times, for less each", what=what
        )
    for offset, each in enumerate(text):
        if each not in _BLANKS and unicodedata.category(each) in {"Cc", "Cs"}:
            raise problem(text, offset, f"U+{ord(each):04X} is no character of a {what}", what=what)


def _next(text: str, at: int, *, behind_comparator: bool, what: str) -> Token:
    each = text[at]
    if each in "\"'":
        return _quoted(text, at, what)
    if each in _SYMBOLS and not (behind_comparator and each == "."):
        return Token(TokenKind.SYMBOL, each, at, at + 1)
    comparator = _COMPARATOR.match(text, at)
    if comparator:
        return Token(TokenKind.COMPARATOR, comparator.group(), at, comparator.end())
    if behind_comparator:
        word = _MOMENT.match(text, at) or _ARGUMENT.match(text, at)
    elif each == "-":
        return Token(TokenKind.MINUS, each, at, at + 1)
    else:
        word = _WORD.match(text, at)
    if word is None:
        raise problem(text, at, f"{each!r} has no meaning here: write text that has it in quotes", what=what)
    found = word.group()
    return Token(TokenKind.WORD, found, at, word.end(), tuple(found.split("*")))


def _quoted(text: str, at: int, what: str) -> Token:
    quote = text[at]
    pieces: list[str] = []
    piece: list[str] = []
    position = at + 1
    while position < len(text):
        each = text[position]
        if each == quote:
            pieces.append("".join(piece))
            return Token(TokenKind.QUOTED, "*".join(pieces), at, position + 1, tuple(pieces))
        if each == "\\":
            position += 1
            escaped = _ESCAPED.get(text[position : position + 1])
            if escaped is None:
                raise problem(text, position - 1, "behind a backslash stands one of \" ' \\ * n t", what=what)
            piece.append(escaped)
        elif each == "*":
            pieces.append("".join(piece))
            piece = []
        else:
            piece.append(each)
        position += 1
    raise problem(text, at, f"this {quote} is never closed", what=what)
