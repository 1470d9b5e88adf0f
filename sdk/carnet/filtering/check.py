"""A filter checked against the fields that there are.

Responsible for the types: whether a field exists, which comparators it takes, and whether the value is one of
its kind. What comes out can be evaluated without looking at text again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.filtering import values
from carnet.filtering.conditions import Comparator, Comparison, Mention, Pattern
from carnet.filtering.fields import FIELDS, Field, Kind, Shape, metric_key
from carnet.filtering.parser import parse_filter
from carnet.filtering.problems import problem, suggestion
from carnet.filtering.syntax import And, Not, Or

if TYPE_CHECKING:
    from carnet.errors import InvalidInputError
    from carnet.filtering.conditions import Condition, Conditions, Value
    from carnet.filtering.syntax import Part, Restriction, Tree

_ORDERED = frozenset({Kind.TEXT, Kind.NUMBER, Kind.TIME, Kind.AGE, Kind.SETTING})
_ORDERING = frozenset({Comparator.LESS, Comparator.AT_MOST, Comparator.GREATER, Comparator.AT_LEAST})
_KEYWORDS_IN_LOWER_CASE = frozenset({"and", "or", "not"})
_MAPS = frozenset(name for name, field in FIELDS.items() if field.shape is Shape.MAP)
_GROUPS = frozenset(name[:at] for name in FIELDS for at, each in enumerate(name) if each == ".")


def read_filter(text: str) -> Conditions | None:
    """Read a filter and check it.

    Args:
        text: The filter, as people write it.

    Returns:
        What it asks of a version; None where it asks for nothing.

    Raises:
        InvalidInputError: It is no filter, or one of fields that there are not, or over a limit; the message
            says where, with a caret, and the metadata has ``line``, ``column`` and ``offset``.
    """
    tree = parse_filter(text)
    return None if tree is None else _Check(text).tree(tree)


def find_field(text: str, path: tuple[Part, ...], *, what: str = "filter") -> tuple[Field, str]:
    """Find the field that a name means, and the key behind a map's name.

    Args:
        text: The whole text, for messages.
        path: The parts of the name.
        what: The request's field that the text is.

    Returns:
        The field, and the key; empty where none stands behind the field's name.

    Raises:
        InvalidInputError: There is no such field, or a wildcard stands in its name.
    """
    for part in path:
        if len(part.pieces) > 1:
            raise problem(
                text, part.offset, "a wildcard has no place in a name: it stands in values", what=what
            )
    name = ".".join(part.text for part in path)
    if path[0].text in _MAPS and not path[0].quoted:
        key = ".".join(part.text for part in path[1:])
        return FIELDS[path[0].text], metric_key(key) if path[0].text == "metrics" else key
    if name in FIELDS:
        return FIELDS[name], ""
    known = sorted(FIELDS)
    if name in _GROUPS:
        inner = ", ".join(each for each in known if each.startswith(f"{name}."))
        raise problem(text, path[0].offset, f"{name!r} has fields of its own: {inner}", what=what)
    raise problem(
        text,
        path[0].offset,
        f"there is no field {name[:80]!r}{suggestion(name, known)}; there are {', '.join(known)}",
        what=what,
    )


class _Check:
    """Checks one filter; ``tree`` is its one operation."""

    def __init__(self, text: str) -> None:
        self._text = text

    def tree(self, tree: Tree[Restriction]) -> Conditions:
        if isinstance(tree, And):
            return And(tuple(self.tree(each) for each in tree.operands))
        if isinstance(tree, Or):
            return Or(tuple(self.tree(each) for each in tree.operands))
        if isinstance(tree, Not):
            return Not(self.tree(tree.operand))
        return self._restriction(tree)

    def _restriction(self, found: Restriction) -> Condition:
        if found.argument is None:
            return self._mention(found)
        field, key = find_field(self._text, found.path)
        comparator = Comparator(found.comparator)
        if field.shape is Shape.MAP and not key:
            return self._key_of(field, comparator, found)
        self._check_comparator(field, comparator, found)
        argument = found.argument
        if comparator is Comparator.HAS and argument.pieces == ("", "") and field.kind is not Kind.AGE:
            return Comparison(field, key, comparator, None)
        return Comparison(field, key, comparator, self._value(field, comparator, argument))

    def _mention(self, found: Restriction) -> Mention:
        first = found.path[0]
        name = ".".join(part.text for part in found.path)
        if not first.quoted and name in _KEYWORDS_IN_LOWER_CASE:
            raise self._problem(first, f"write {name.upper()} in capital letters, or {name!r} in quotes")
        if not first.quoted and (name in FIELDS or first.text in _MAPS or name in _GROUPS):
            raise self._problem(
                first, f"{name!r} is compared with nothing: write {_example(name)}, or text in quotes"
            )
        if not name:
            raise self._problem(first, "an empty text says nothing")
        pieces = first.pieces
        for part in found.path[1:]:
            pieces = (*pieces[:-1], f"{pieces[-1]}.{part.pieces[0]}", *part.pieces[1:])
        return Mention(Pattern(pieces))

    def _key_of(self, field: Field, comparator: Comparator, found: Restriction) -> Comparison:
        argument = found.argument
        assert argument is not None
        if comparator is not Comparator.HAS:
            raise self._problem(
                found.path[0], f"{field.name} has values under keys: name one, as in {_example(field.name)}"
            )
        if argument.pieces == ("", ""):
            return Comparison(field, "", comparator, None)
        if len(argument.pieces) > 1 or not argument.text:
            raise self._problem(argument, f"a key is wanted, or * for any: {field.name}:KEY")
        key = metric_key(argument.text) if field.name == "metrics" else argument.text
        return Comparison(field, key, comparator, None)

    def _check_comparator(self, field: Field, comparator: Comparator, found: Restriction) -> None:
        many = field.shape is Shape.MANY or field.repeats
        allowed = {Comparator.EQUAL, Comparator.HAS}
        if field.kind in _ORDERED and field.ordered and not (many and field.kind is Kind.TEXT):
            allowed |= _ORDERING
        if not many:
            allowed |= {Comparator.UNEQUAL}
        if field.kind is Kind.AGE:
            allowed = set(_ORDERING)
        if comparator in allowed:
            return
        hint = ""
        if many and comparator is Comparator.UNEQUAL:
            hint = f"; for those that have none, write NOT {field.name}:VALUE"
        takes = ", ".join(each.value for each in Comparator if each in allowed)
        raise problem(
            self._text, found.comparator_offset, f"{field.name} takes {takes}, and not {comparator}{hint}"
        )

    def _value(self, field: Field, comparator: Comparator, argument: Part) -> Value:
        kind = field.kind
        if kind is Kind.SETTING:
            figure = None if argument.quoted else values.number(argument.text)
            kind = Kind.TEXT if figure is None else Kind.NUMBER
        if kind is Kind.TEXT:
            return self._pattern(field, comparator, argument)
        if kind is Kind.WORD:
            return self._word(field, argument)
        value: Value | None
        if kind is Kind.NUMBER:
            value = None if argument.quoted else values.number(argument.text)
            wanted = "a number, without quotes, such as 0.95"
        elif kind is Kind.FLAG:
            value = None if argument.quoted else values.FLAGS.get(argument.text)
            wanted = "true or false, without quotes"
        elif kind is Kind.TIME:
            value = values.moment(argument.text)
            wanted = "a date or an RFC 3339 time, such as 2026-03-01 or 2026-03-01T12:30:00Z"
        else:
            value = values.duration(argument.text)
            wanted = "a duration of 100 years at most, such as 7d, 12h or 1h30m"
        if value is None:
            raise self._problem(argument, f"{argument.text[:80]!r}: {field.name} is compared with {wanted}")
        return value

    def _pattern(self, field: Field, comparator: Comparator, argument: Part) -> Pattern:
        if comparator in _ORDERING and len(argument.pieces) > 1:
            raise self._problem(argument, f"no wildcard behind {comparator}: put \\* in quotes for the sign")
        if not argument.text:
            raise self._problem(
                argument, f"empty text is compared with nothing: write {field.name}:* for those that have one"
            )
        return Pattern(argument.pieces)

    def _word(self, field: Field, argument: Part) -> Pattern:
        if argument.text not in field.words:
            raise self._problem(
                argument,
                f"{argument.text[:80]!r} is no value of {field.name}"
                f"{suggestion(argument.text, field.words)}; there are {', '.join(field.words)}",
            )
        return Pattern((argument.text,))

    def _problem(self, part: Part, message: str) -> InvalidInputError:
        return problem(self._text, part.offset, message)


def _example(name: str) -> str:
    examples = {
        "labels": 'labels.region = "eu"',
        "metrics": "metrics.roc_auc > 0.95",
        "hyperparameters": "hyperparameters.trees > 100",
        "results": "results.fairness = PASSED",
        "revoked": "revoked = true",
        "age": "age < 7d",
    }
    return examples.get(name, f"{name}:*")
