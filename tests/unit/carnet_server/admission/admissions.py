"""Promotions at the target as plain values, for tests of pure rules."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from carnet_policies.document import load_policy
from carnet_policies.evaluation import Evaluation, RuleResult, RuleStatus
from carnet_server.admission.domain import Admission, HeldApproval
from carnet_server.admission.states import AdmissionState
from tests.unit.carnet_server.admission.parties import manifest_of, subject

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = b"""schema: carnet.policy/v1
environment: staging
version: 1
sources: [dev]
dossier_valid_for: 2d
approvals: {rule: approvals, count: 1, independent_of: [publisher, requester]}
"""


def policy_of(data: bytes = POLICY):
    return load_policy(data)


def an_admission(**changes) -> Admission:
    manifest = manifest_of()
    values = {
        "promotion": "1" * 32,
        "state": AdmissionState.AWAITING,
        "epoch": 1,
        "home": "dev",
        "namespace": "risk",
        "model": "fraud",
        "version": 1,
        "alias": "champion",
        "source": "dev",
        "bundle_digest": manifest.digest,
        "publisher": subject("ci"),
        "publisher_person": "alice",
        "requester": subject("ci"),
        "requester_person": "alice",
        "request": b"request",
        "request_digest": "a" * 64,
        "manifest": manifest.to_bytes(),
        "signature": b"signature",
        "source_receipt": "receipt",
        "evaluation": None,
        "dossier": None,
        "dossier_digest": None,
        "dossier_expires_at": None,
        "decision": None,
        "decision_digest": None,
        "log_index": None,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Admission(**{**values, **changes})


def a_held_approval(**changes) -> HeldApproval:
    values = {
        "promotion": "1" * 32,
        "digest": uuid.uuid4().hex * 2,
        "approver": subject("bob"),
        "approver_key_id": "b" * 64,
        "person": "bob",
        "meaning": "approved",
        "reason": "Looked at it.",
        "dossier_digest": "d" * 64,
        "nonce": uuid.uuid4().hex,
        "signed_at": NOW,
        "expires_at": NOW + timedelta(days=1),
        "created_at": NOW,
        "log_index": 7,
        "envelope": b"envelope",
    }
    return HeldApproval(**{**values, **changes})


def an_evaluation(*statuses: RuleStatus, people: bool = False, policy_digest: str = "c" * 64) -> Evaluation:
    results = tuple(
        RuleResult(
            f"rule-{number}", status, "because", "do this", {"seen": "1"}, people and status == "AWAITING"
        )
        for number, status in enumerate(statuses)
    )
    return Evaluation(policy_digest, results)
