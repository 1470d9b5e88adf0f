"""The latest smoke test of a bundle: what shows that it loads, since the registry never loads a model itself.

Of the attestations whose signers the trust document in force grants it, those of the kind that policies call
``smoke-test`` (``carnet_policies.evidence_kinds``). The latest counts; of two at the same moment the failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet.serving.columns import EPOCH
from carnet_policies.evidence_kinds import is_of_kind
from carnet_server.evidence.believed import trusted_attestations

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from carnet_server.environment.state import EnvironmentState

SMOKE_TEST = "smoke-test"
FAILED = "FAILED"


def latest_smoke_test(
    connection: Connection, namespace: str, bundle_digest: str, state: EnvironmentState
) -> str:
    """Return the result of a bundle's latest smoke test; empty where none is held that counts.

    Args:
        connection: Where to read.
        namespace: The bundle's namespace.
        bundle_digest: The bundle.
        state: The environment's trust document and key.

    Returns:
        ``PASSED``, ``WARNED``, ``FAILED`` or an empty text.

    Raises:
        DataLossError: A stored envelope is damaged.
    """
    held = trusted_attestations(
        connection,
        namespace,
        bundle_digest,
        trust=state.trust.current,
        own_key=state.signing_key.verification_key,
    )
    tests = [each for each in held if is_of_kind(SMOKE_TEST, each.predicate_type, each.suite) and each.result]
    if not tests:
        return ""
    return max(tests, key=lambda each: (each.time or EPOCH, each.result == FAILED)).result
