"""The kinds of evidence that policies name in words.

Responsible for which attestations a word such as ``fairness`` stands for: predicate types, and the suite that
says what was looked at. A type that is none of these words is a predicate type, as it is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from carnet_policies.facts import TEST_RESULT

if TYPE_CHECKING:
    from collections.abc import Mapping

VERIFICATION_RESULT: Final = "https://in-toto.io/attestation/svr/v0.2"
ATTRIBUTE_REPORT: Final = "https://in-toto.io/attestation/scai/v0.3"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
DECISION: Final = "https://slsa.dev/verification_summary/v1"
# Types whose attestations state a result: one without is no yes.
WITH_RESULT: Final = frozenset({TEST_RESULT, VERIFICATION_RESULT, DECISION})


# The predicate types that a word stands for.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "evaluation": (TEST_RESULT,),
    "tests": (TEST_RESULT,),
    "fairness": (VERIFICATION_RESULT, TEST_RESULT),
    "security-scan": (VERIFICATION_RESULT, TEST_RESULT, ATTRIBUTE_REPORT),
    "pii-review": (VERIFICATION_RESULT, TEST_RESULT),
    "smoke-test": (VERIFICATION_RESULT, TEST_RESULT),
    "skew": (TEST_RESULT, VERIFICATION_RESULT),
    "provenance": (PROVENANCE,),
}
# Words that leave the suite open: any, but for those that are other words.
_ANY_SUITE: Final = frozenset({"tests", "provenance"})
SUITES: Final = frozenset(KINDS) - _ANY_SUITE
# How `carnet attest --type` calls what brings each of them.
_ATTESTED_AS: Final[Mapping[str, str]] = {
    "evaluation": "test-result",
    "tests": "junit",
    "security-scan": "sarif",
    "provenance": "envelope",
    TEST_RESULT: "test-result",
}


def is_of_kind(kind: str, predicate_type: str, suite: str) -> bool:
    """Return whether an attestation is of the type that a demand names.

    Args:
        kind: A word of ``KINDS``, or a predicate type.
        predicate_type: The attestation's type.
        suite: What it looked at; empty where that is not said.
    """
    if kind not in KINDS:
        return predicate_type == kind
    if predicate_type not in KINDS[kind]:
        return False
    return suite == kind if kind in SUITES else suite not in SUITES


def attested_as(kind: str) -> str:
    """Return what a demand's type is called by ``carnet attest --type``."""
    return _ATTESTED_AS.get(kind, kind)
