"""Promotions at the target, between domain and proto."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from carnet.registry.v1 import admission_pb2, policy_pb2
from carnet_policies.evaluation import RuleStatus
from carnet_server.admission.domain import AdmissionInput
from carnet_server.admission.states import AdmissionState
from carnet_server.log.proto import receipt_from_proto, receipt_to_proto

if TYPE_CHECKING:
    from datetime import datetime

    from carnet_policies.evaluation import RuleResult
    from carnet_server.admission.domain import AdmissionView, HeldApproval
    from carnet_server.admission.replay import Replayed
    from carnet_server.admission.stored_evaluation import StoredEvaluation

_STATES = {
    AdmissionState.AWAITING: admission_pb2.ADMISSION_STATE_AWAITING,
    AdmissionState.READY: admission_pb2.ADMISSION_STATE_READY,
    AdmissionState.REFUSED: admission_pb2.ADMISSION_STATE_REFUSED,
    AdmissionState.ADMITTED: admission_pb2.ADMISSION_STATE_ADMITTED,
    AdmissionState.CANCELLED: admission_pb2.ADMISSION_STATE_CANCELLED,
}
_STATUSES = {
    RuleStatus.PASSED: policy_pb2.RULE_STATUS_PASSED,
    RuleStatus.FAILED: policy_pb2.RULE_STATUS_FAILED,
    RuleStatus.AWAITING: policy_pb2.RULE_STATUS_AWAITING,
}


def input_from_proto(message: admission_pb2.AdmissionInput) -> AdmissionInput:
    """Return what a promotion brings; nothing of it is verified."""
    return AdmissionInput(
        request=message.request,
        manifest=message.canonical_manifest,
        signature=message.signature,
        release=message.release,
        source_receipt=receipt_from_proto(message.source_receipt),
        evidence=tuple(message.evidence),
    )


def admission_to_proto(view: AdmissionView) -> admission_pb2.Admission:
    """Return a promotion as the message that carries it."""
    admission = view.admission
    return admission_pb2.Admission(
        name=f"admissions/{admission.promotion}",
        promotion=admission.promotion,
        state=_STATES[admission.state],
        source=admission.source,
        version=admission.version_name,
        alias=admission.alias,
        bundle_digest=admission.bundle_digest,
        requester=admission.requester,
        publisher=admission.publisher,
        evaluation=None if admission.evaluation is None else evaluation_to_proto(admission.evaluation),
        dossier=admission.dossier or b"",
        approvals=[approval_to_proto(each) for each in view.approvals],
        decision=admission.decision or b"",
        receipt=None if view.receipt is None else receipt_to_proto(view.receipt),
        request=admission.request,
        create_time=timestamp(admission.created_at),
        by_rollout=admission.by_rollout,
        decision_receipt=None if view.decision_receipt is None else receipt_to_proto(view.decision_receipt),
    )


def evaluation_to_proto(stored: StoredEvaluation) -> admission_pb2.Evaluation:
    """Return an evaluation as the message that carries it."""
    return admission_pb2.Evaluation(
        outcome=_STATUSES[stored.outcome],
        policy_digest=stored.evaluation.policy_digest,
        results=[rule_to_proto(result) for result in stored.evaluation.results],
        log_size=stored.log_size,
        evaluate_time=timestamp(stored.evaluated_at),
    )


def rule_to_proto(result: RuleResult) -> policy_pb2.RuleResult:
    """Return what became of a rule as the message that carries it."""
    return policy_pb2.RuleResult(
        rule=result.rule,
        status=_STATUSES[result.status],
        message=result.message,
        remedy=result.remedy,
        values=dict(result.values),
        awaits_people=result.awaits_people,
        awaits_clock=result.awaits_a_time,
        opens_at=None if result.opens_at is None else timestamp(result.opens_at),
    )


def replayed_to_proto(replayed: Replayed) -> admission_pb2.ReplayedDecision:
    """Return a past decision under another policy as the message that carries it."""
    past, decision, evaluation = replayed.past, replayed.decision, replayed.evaluation
    return admission_pb2.ReplayedDecision(
        version=str(past.version),
        bundle_digest=past.text("bundle_digest"),
        promotion=past.text("promotion"),
        alias=past.text("alias"),
        decide_time=timestamp(decision.time_verified if decision else past.decided_at),
        log_index=past.log_index,
        policy_digest=decision.policy.digest.sha256 if decision else "",
        decided=past.result,
        replayed=str(evaluation.outcome) if evaluation else "",
        rules=[rule_to_proto(result) for result in evaluation.results] if evaluation else [],
        problem=replayed.problem,
        by_rollout=decision.by_rollout if decision else False,
    )


def approval_to_proto(approval: HeldApproval) -> admission_pb2.Approval:
    """Return an approver's statement as the message that carries it."""
    return admission_pb2.Approval(
        digest=approval.digest,
        approver=approval.approver,
        person=approval.person or "",
        meaning=approval.meaning,
        reason=approval.reason,
        create_time=timestamp(approval.created_at),
        envelope=approval.envelope,
        erased=approval.is_erased,
    )


def timestamp(moment: datetime) -> Timestamp:
    """Return a moment as a timestamp."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message
