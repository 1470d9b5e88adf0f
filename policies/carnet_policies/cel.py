"""The one place that knows ``cel_expr_python``.

Responsible for compiling CEL expressions against the fields of ``PolicyFacts``, each a variable of its
name, and for evaluating them so that an error cannot be taken for an answer. Invariants: ``Outcome.kind``
is ``boolean`` only when CEL's own type of the value is BOOL; no exception leaves ``check`` or ``evaluate``
for anything that an expression does. Does not bound memory or time: the worker does.

The library returns errors as values of type ERROR whose string is truthy, answers ERROR silently for
containers that are not plain dicts and lists, and raises RuntimeError past its budget of 10,000 iterations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from carnet.registry.v1 import policy_pb2
from carnet_policies.source_limits import ExpressionProblem, limit_problems

MAX_CACHED = 2048
MAX_TEXT = 200
_COMPILE_ERROR = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_NOISE = re.compile(r"^[A-Z_]+: |\s*\[[A-Z_]+\]$| \(in container ''\)")
_SCALARS = frozenset({"BOOL", "INT", "UINT", "DOUBLE", "STRING", "DYN"})
_SHOWN = frozenset({"BOOL", "INT", "UINT", "DOUBLE", "STRING"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an expression gave.

    Attributes:
        kind: ``boolean``, ``value`` (of another type), ``error``, or ``memory`` (it ran out).
        value: The boolean; False for every other kind.
        text: The value or the error as text, cut to what people read.
    """

    kind: str
    value: bool
    text: str


class Evaluator:
    """Compiles and evaluates expressions over ``PolicyFacts``; not thread-safe."""

    def __init__(self) -> None:
        self._environment = cel.NewEnv(variables=_variables())
        self._compiled: dict[str, Any] = {}

    def check(self, source: str, *, condition: bool) -> tuple[ExpressionProblem, ...]:
        """Check an expression against the limits, and compile it with its types.

        Args:
            source: The expression.
            condition: Whether it must be boolean; otherwise any scalar will do.

        Returns:
            Its problems, with line and column in it; empty when it is sound.
        """
        problems = limit_problems(source)
        if problems:
            return problems
        try:
            kind = self._compile(source).return_type().name()
        except RuntimeError as error:
            return _compile_problems(str(error))
        wanted = frozenset({"BOOL"}) if condition else _SCALARS
        if kind in wanted:
            return ()
        article = "true or false" if condition else "a number, a text or a boolean"
        return (ExpressionProblem(1, 1, f"the expression must give {article}, and gives {kind}"),)

    def bind(self, facts: policy_pb2.PolicyFacts) -> Any:
        """Return the variables' values, for ``evaluate``."""
        return self._environment.Activation(
            {field_variable(field): _value(facts, field) for field in _FIELDS}
        )

    def evaluate(self, source: str, activation: Any) -> Outcome:
        """Evaluate an expression.

        Args:
            source: The expression.
            activation: The variables' values, from ``bind``.

        Returns:
            What it gave, errors included.
        """
        try:
            value = self._compile(source).eval(activation)
            kind = value.type()
            if kind == cel.Type.BOOL:
                answer = value.value()
                return Outcome("boolean", answer is True, "true" if answer is True else "false")
            if kind == cel.Type.ERROR:
                return Outcome("error", value=False, text=_readable(str(value.value())))
            name = kind.name()
            return Outcome("value", value=False, text=_text(value.value()) if name in _SHOWN else name)
        except MemoryError:
            return Outcome("memory", value=False, text="out of memory")
        except Exception as error:  # noqa: BLE001 - whatever the library raises must fail the rule, not the worker
            return Outcome("error", value=False, text=_readable(str(error)))

    def _compile(self, source: str) -> Any:
        compiled = self._compiled.get(source)
        if compiled is None:
            if len(self._compiled) >= MAX_CACHED:
                self._compiled.clear()
            compiled = self._compiled[source] = self._environment.compile(source)
        return compiled


def _is_map(field: FieldDescriptor) -> bool:
    message: Descriptor | None = field.message_type
    return message is not None and message.GetOptions().map_entry


_FIELDS = policy_pb2.PolicyFacts.DESCRIPTOR.fields
_RENAMED = {"namespace": "target_namespace"}


def field_variable(field: FieldDescriptor) -> str:
    """Return the variable that a field of the facts is: its name, unless CEL reserves that word."""
    return _RENAMED.get(field.name, field.name)


def _value(facts: policy_pb2.PolicyFacts, field: FieldDescriptor) -> Any:
    value = getattr(facts, field.name)
    if _is_map(field):
        return dict(value)
    return list(value) if field.is_repeated else value


def _element_type(field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return cel.Type(field.message_type.full_name)
    return {
        FieldDescriptor.TYPE_STRING: cel.Type.STRING,
        FieldDescriptor.TYPE_BOOL: cel.Type.BOOL,
        FieldDescriptor.TYPE_DOUBLE: cel.Type.DOUBLE,
        FieldDescriptor.TYPE_INT32: cel.Type.INT,
        FieldDescriptor.TYPE_INT64: cel.Type.INT,
    }[field.type]


VARIABLES = tuple(field_variable(field) for field in _FIELDS)


def _variables() -> dict[str, Any]:
    variables = {}
    for field in _FIELDS:
        if field.message_type is not None and _is_map(field):
            entry = field.message_type.fields_by_name
            variables[field_variable(field)] = cel.Type.Map(
                _element_type(entry["key"]), _element_type(entry["value"])
            )
        elif field.is_repeated:
            variables[field_variable(field)] = cel.Type.List(_element_type(field))
        else:
            variables[field_variable(field)] = _element_type(field)
    return variables


def _compile_problems(text: str) -> tuple[ExpressionProblem, ...]:
    problems = []
    for line, column, message in _COMPILE_ERROR.findall(text):
        explained = _readable(message)
        if "(double, int)" in explained or "(int, double)" in explained:
            explained += "; write a number that is compared with a double with a decimal point, such as 1.0"
        problem = ExpressionProblem(max(int(line), 1), max(int(column), 1), explained)
        if problem not in problems:
            problems.append(problem)
    return tuple(problems) or (ExpressionProblem(1, 1, _readable(text)),)


def _readable(text: str) -> str:
    return _cut(_NOISE.sub("", text))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _cut(value if isinstance(value, str) else repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
