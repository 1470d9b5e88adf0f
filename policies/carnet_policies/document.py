"""Policies as files: reading one and finding every mistake in it.

Responsible for ``load_policy``, which takes a policy's bytes and gives either a policy whose expressions
are type-checked, or an error that lists every problem with file, line, column and field. Invariant: a
``Policy`` in hand was checked. Its digest is that of the bytes as they were read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.canonical import sha256_hex
from carnet.documents import YamlSource, field_path, validate_document
from carnet.errors import DocumentInvalidError
from carnet_policies import scope, signature, sources
from carnet_policies.cel import Evaluator
from carnet_policies.checks import document_problems
from carnet_policies.positions import ScalarPositions
from carnet_policies.schema import PolicyDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet.documents import Location

MAX_POLICY_BYTES = 256 << 10
_PLACE = re.compile(r":(\d+):(\d+): ")


@dataclass(frozen=True, slots=True)
class Policy:
    """A checked policy.

    Attributes:
        document: What it says.
        bytes: The file's bytes.
        digest: Their SHA-256.
    """

    document: PolicyDocument
    bytes: bytes
    digest: str

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """The ids of the policy's rules, in the order of their results."""
        document = self.document
        ids = [sources.RULE]
        ids += [scope.RULE] if scope.is_scoped(document) else []
        ids += [signature.RULE] if document.signature.required else []
        ids += [demand.rule for _, _, demand in scope.demands(document)]
        return tuple(ids)

    @property
    def guardrail_ids(self) -> tuple[str, ...]:
        """The ids of the guardrails that rollouts are judged by, which have no results in a decision."""
        rollouts = self.document.rollouts
        return tuple(demand.rule for demand in rollouts.guardrails) if rollouts else ()


def load_policy(data: bytes, *, name: str = "policy.yaml") -> Policy:
    """Parse a policy, and check it with all of its expressions.

    Args:
        data: The file's bytes.
        name: The file's name, for messages.

    Returns:
        The policy.

    Raises:
        DocumentInvalidError: It is not a sound policy; the message has a line for each problem.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise DocumentInvalidError(f"{name}: {len(data)} bytes; a policy has at most {MAX_POLICY_BYTES}")
    source = YamlSource(data, name=name)
    lines = list(_expression_problems(source, data))
    try:
        document = validate_document(source, PolicyDocument)
    except DocumentInvalidError as error:
        lines += error.message.splitlines()
        raise DocumentInvalidError("\n".join(_in_order(lines)), metadata=error.metadata) from error
    lines += [
        f"{source.where(location)}: {field_path(location)}: {message}"
        for location, message in document_problems(document)
    ]
    if lines:
        raise DocumentInvalidError("\n".join(_in_order(lines)))
    return Policy(document, data, sha256_hex(data))


def _in_order(lines: list[str]) -> list[str]:
    def place(line: str) -> tuple[int, int]:
        match = _PLACE.search(line)
        return (int(match[1]), int(match[2])) if match else (0, 0)

    return sorted(lines, key=place)


def _expressions(value: object) -> Iterator[tuple[Location, str, bool]]:
    """Yield each expression of a parsed document, sound or not: where it is, its text, and if it decides."""
    rules = value.get("rules") if isinstance(value, dict) else None
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if not isinstance(rule, dict):
            continue
        if isinstance(rule.get("expression"), str):
            yield ("rules", index, "expression"), rule["expression"], True
        values = rule.get("values")
        for key, text in values.items() if isinstance(values, dict) else ():
            if isinstance(text, str):
                yield ("rules", index, "values", key), text, False


def _expression_problems(source: YamlSource, data: bytes) -> Iterator[str]:
    evaluator = Evaluator()
    positions: ScalarPositions | None = None
    for location, text, condition in _expressions(source.value):
        for problem in evaluator.check(text, condition=condition):
            positions = positions or ScalarPositions(data.decode("utf-8"))
            place = positions.locate(location, problem.line, problem.column)
            if place is not None:
                yield f"{source.name}:{place[0]}:{place[1]}: {field_path(location)}: {problem.message}"
            else:
                inside = f"line {problem.line}, column {problem.column} of the expression"
                yield f"{source.where(location)}: {field_path(location)}: {problem.message} ({inside})"
