"""From facts to the protobuf message that expressions read.

Responsible for ``PolicyFacts``: what it holds is what ``metrics`` and the registry's verified facts say. A
manifest is converted only when an expression names it, because converting a large one takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import json_format

from carnet.errors import InvalidInputError
from carnet.registry.v1 import manifest_pb2, policy_pb2
from carnet_policies.metrics import trusted_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

    from carnet_policies.facts import Facts
    from carnet_policies.schema import PolicyDocument


def facts_message(document: PolicyDocument, facts: Facts, names: frozenset[str]) -> policy_pb2.PolicyFacts:
    """Return the variables of the expressions.

    Args:
        document: The policy, whose demands say whose metrics count.
        facts: The facts.
        names: The identifiers in the expressions.

    Raises:
        InvalidInputError: The facts do not fit the schema: an unknown field, another type, no UTF-8.
    """
    try:
        return _message(document, facts, names)
    except (json_format.ParseError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"the facts cannot be read by expressions: {error}") from error


def _message(document: PolicyDocument, facts: Facts, names: frozenset[str]) -> policy_pb2.PolicyFacts:
    message = policy_pb2.PolicyFacts(
        source=facts.source,
        target=facts.target,
        namespace=facts.namespace,
        alias=facts.alias,
        metrics=trusted_metrics(document, facts.evidence, facts.now),
        has_baseline=facts.baseline_manifest is not None,
        evidence=[
            policy_pb2.EvidenceFact(
                predicate_type=item.predicate_type,
                suite=item.suite,
                result=item.result,
                signer=item.signer_subject,
            )
            for item in facts.evidence
        ],
    )
    if "manifest" in names:
        json_format.ParseDict(dict(facts.manifest), message.manifest)
    if facts.baseline_manifest is not None:
        baseline = trusted_metrics(document, facts.baseline_evidence, facts.now, aged=False)
        message.baseline_metrics.update(baseline)
        if "baseline" in names:
            json_format.ParseDict(dict(facts.baseline_manifest), message.baseline)
    return message


def manifest_fields_at(path: Sequence[str]) -> tuple[str, ...] | None:
    """Say whether the manifest has a field.

    Args:
        path: The keys that lead to it; below a map or a free structure, anything goes.

    Returns:
        None when it has; otherwise the fields that there are at the point where the path leaves the schema.
    """
    descriptor: Descriptor | None = manifest_pb2.Manifest.DESCRIPTOR
    for part in path:
        if descriptor is None:
            return ()
        if descriptor.GetOptions().map_entry or descriptor.full_name == "google.protobuf.Struct":
            return None
        field: FieldDescriptor | None = descriptor.fields_by_name.get(part)
        if field is None:
            return tuple(sorted(descriptor.fields_by_name))
        descriptor = field.message_type
    return None
