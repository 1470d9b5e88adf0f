"""What the client's calls answer with: frozen values, not messages of the wire.

Responsible for the vocabulary of answers, a module for each topic. A value here was checked against pinned
keys wherever its docstring says so; everything else is what a registry states. Does not know gRPC or
protobuf.
"""

from carnet.client.results.admissions import Admission, Approval, ApprovalResult
from carnet.client.results.bundles import PulledBundle, PushResult, VerifiedBundle
from carnet.client.results.environments import Environment, ExportResult, RefusedDocument
from carnet.client.results.evidence import AttestResult, Evidence, Metric
from carnet.client.results.key_uses import KeyUse
from carnet.client.results.models import (
    Alias,
    AliasChange,
    AliasMove,
    Model,
    ResolvedVersion,
    RevokeResult,
    Version,
)
from carnet.client.results.promotions import (
    Promotion,
    PromotionEvent,
    PromotionState,
    PromotionUpdate,
    RuleResult,
)
from carnet.client.results.receipts import VerifiedReceipt
from carnet.client.results.replays import ReplayedDecision

__all__ = [
    "Admission",
    "Alias",
    "AliasChange",
    "AliasMove",
    "Approval",
    "ApprovalResult",
    "AttestResult",
    "Environment",
    "Evidence",
    "ExportResult",
    "KeyUse",
    "Metric",
    "Model",
    "Promotion",
    "PromotionEvent",
    "PromotionState",
    "PromotionUpdate",
    "PulledBundle",
    "PushResult",
    "RefusedDocument",
    "ReplayedDecision",
    "ResolvedVersion",
    "RevokeResult",
    "RuleResult",
    "VerifiedBundle",
    "VerifiedReceipt",
    "Version",
]
