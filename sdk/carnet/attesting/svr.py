"""Making a verification result out of what a report says.

Responsible for what every such result has: who looked (the converter, by kind and version, since the signer
is known by the key), when, the digest of the report, and a property that says that all was well. Does not
read reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carnet.signing.verification_result import ResultVerifier, VerificationResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from carnet.attesting.report import Report
    from carnet.signing.predicate import ResourceDescriptor
    from carnet.signing.verification_result import Result

CONVERTER_VERSION = 1


def make_result(
    report: Report,
    *,
    media_type: str,
    kind: str,
    suite: str,
    result: Result,
    properties: Sequence[str],
    ended: datetime,
    policies: Sequence[ResourceDescriptor] = (),
    **more: Any,
) -> VerificationResult:
    """Make a verification result.

    Args:
        report: The report's file.
        media_type: Its media type.
        kind: What it is a report of, as ``carnet attest --type`` names it.
        suite: What was looked at.
        result: How it ended.
        properties: What was found to hold.
        ended: When.
        policies: The policies that were applied.
        **more: Further fields of ``VerificationResult``.

    Raises:
        InvalidInputError: A field breaks its rule.
    """
    whole = [property_name(suite, "passed")] if result == "PASSED" else []
    return VerificationResult(
        verifier=ResultVerifier(
            id=f"urn:carnet:attest:{kind}:v{CONVERTER_VERSION}", policies=tuple(policies)
        ),
        time_created=ended,
        properties=(*properties, *whole),
        suite=suite,
        stated_result=result,
        report=report.descriptor(media_type),
        **more,
    )


def property_name(suite: str, name: str) -> str:
    """Return a property in the form that the predicate's specification recommends, scoped to Carnet."""
    return f"CARNET_{suite}_{name}".upper().replace("-", "_")
