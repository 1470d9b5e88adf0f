"""What evidence says, of what decisions look at, whatever its predicate type.

Responsible for reading a suite, a result, a time and figures out of the predicate types that are known here,
and for which types are no evidence at all. Does not know who signed, nor whether that counts. A type that is
unknown here is taken as it is, and says nothing that is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from carnet.errors import StatementInvalidError
from carnet.signing.approval import Approval
from carnet.signing.attribute_report import AttributeReport
from carnet.signing.cancellation import Cancellation
from carnet.signing.capability import Capability
from carnet.signing.decision import Decision
from carnet.signing.dossier import Dossier
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.provenance import Provenance
from carnet.signing.release import Release
from carnet.signing.stamp_list import StampList
from carnet.signing.test_result import TestResult
from carnet.signing.verification_result import VerificationResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from carnet.signing.statement import Statement
    from carnet.signing.test_result import MeasuredMetric

# Statements of a promotion: each is handed over in its own way, and none tells of a bundle's quality.
_OF_PROMOTIONS = frozenset(
    kind.PREDICATE_TYPE
    for kind in (PromotionRequest, Release, Dossier, Approval, Cancellation, Capability, StampList)
)


@dataclass(frozen=True, slots=True)
class EvidenceContent:
    """What an attestation says, of what decisions look at.

    Attributes:
        suite: What was looked at, such as ``evaluation``; empty where that is not said.
        result: ``PASSED``, ``WARNED``, ``FAILED``, or empty where the type has none.
        time: When the attested work was finished, where that is said.
        metrics: What was measured.
    """

    suite: str = ""
    result: str = ""
    time: datetime | None = None
    metrics: tuple[MeasuredMetric, ...] = ()


def content_of(statement: Statement) -> EvidenceContent:
    """Read what an attestation says.

    Args:
        statement: The statement.

    Raises:
        StatementInvalidError: Its predicate breaks the schema of its type; ``metadata["field"]`` names the
            field.
    """
    read = _READERS.get(statement.predicate_type)
    return EvidenceContent() if read is None else read(statement)


def require_evidence(predicate_type: str) -> None:
    """Insist that statements of a type can be evidence.

    Raises:
        StatementInvalidError: They are part of a promotion: requests, releases, dossiers, approvals and such.
    """
    if predicate_type in _OF_PROMOTIONS:
        raise StatementInvalidError(
            f"a statement of the type {predicate_type!r} is no evidence about a bundle: it is part of a "
            "promotion, and handed over there",
            metadata={"field": "predicateType"},
        )


def _of_test(statement: Statement) -> EvidenceContent:
    said = TestResult.parse(statement)
    return EvidenceContent(said.suite, said.result, said.finished_at, said.metrics)


def _of_verification(statement: Statement) -> EvidenceContent:
    said = VerificationResult.parse(statement)
    return EvidenceContent(said.suite, said.result, said.time_created, said.metrics)


def _of_attributes(statement: Statement) -> EvidenceContent:
    said = AttributeReport.parse(statement)
    return EvidenceContent(said.suite, said.result, said.finished_at)


def _of_provenance(statement: Statement) -> EvidenceContent:
    metadata = Provenance.parse(statement).run_details.metadata
    return EvidenceContent(time=metadata.finished_on if metadata else None)


def _of_decision(statement: Statement) -> EvidenceContent:
    said = Decision.parse(statement)
    return EvidenceContent(result=said.verification_result, time=said.time_verified)


_READERS: Mapping[str, Callable[[Statement], EvidenceContent]] = {
    TestResult.PREDICATE_TYPE: _of_test,
    VerificationResult.PREDICATE_TYPE: _of_verification,
    AttributeReport.PREDICATE_TYPE: _of_attributes,
    Provenance.PREDICATE_TYPE: _of_provenance,
    Decision.PREDICATE_TYPE: _of_decision,
}
