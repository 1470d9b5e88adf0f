"""What the client's calls answer with: frozen values, not messages of the wire.

Responsible for the vocabulary of answers, a module for each topic. A value here was checked against pinned
keys wherever its docstring says so; everything else is what a registry states. Does not know gRPC or
protobuf.
"""

from carnet.client.results.admissions import Admission, Approval, ApprovalResult
from carnet.client.results.bundles import PulledBundle, PushResult, VerifiedBundle
from carnet.client.results.environments import (
    Alarm,
    Environment,
    ExportResult,
    RefusedDocument,
    WitnessStanding,
)
from carnet.client.results.evidence import AttestResult, Evidence, Metric
from carnet.client.results.importing import ImportedAlias, ImportedVersion, ImportReport
from carnet.client.results.key_uses import KeyUse
from carnet.client.results.models import (
    Alias,
    AliasChange,
    AliasMove,
    ArchivedVersion,
    CompatibleVersion,
    MarkChange,
    Model,
    ResolvedVersion,
    RevokeResult,
    StageResult,
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
from carnet.client.results.retention import (
    ErasureResult,
    Hold,
    HoldResult,
    Hygiene,
    HygieneFinding,
    NamespaceStorage,
    PurgedVersion,
)
from carnet.client.results.rollouts import (
    GuardrailResult,
    MetricComparison,
    MetricPoint,
    MetricsReport,
    MetricSummary,
    Rollout,
    RolloutChange,
    RolloutStep,
    Traffic,
    TrafficTarget,
)
from carnet.client.results.search import FoundVersion
from carnet.client.results.serving import (
    Drill,
    PassedOver,
    RollbackCheck,
    ServedRevision,
    Serving,
    ServingReport,
    StaleAlias,
    WarmVersion,
)

__all__ = [
    "Admission",
    "Alarm",
    "Alias",
    "AliasChange",
    "AliasMove",
    "Approval",
    "ApprovalResult",
    "ArchivedVersion",
    "AttestResult",
    "CompatibleVersion",
    "Drill",
    "Environment",
    "ErasureResult",
    "Evidence",
    "ExportResult",
    "FoundVersion",
    "GuardrailResult",
    "Hold",
    "HoldResult",
    "Hygiene",
    "HygieneFinding",
    "ImportReport",
    "ImportedAlias",
    "ImportedVersion",
    "KeyUse",
    "MarkChange",
    "Metric",
    "MetricComparison",
    "MetricPoint",
    "MetricSummary",
    "MetricsReport",
    "Model",
    "NamespaceStorage",
    "PassedOver",
    "Promotion",
    "PromotionEvent",
    "PromotionState",
    "PromotionUpdate",
    "PulledBundle",
    "PurgedVersion",
    "PushResult",
    "RefusedDocument",
    "ReplayedDecision",
    "ResolvedVersion",
    "RevokeResult",
    "RollbackCheck",
    "Rollout",
    "RolloutChange",
    "RolloutStep",
    "RuleResult",
    "ServedRevision",
    "Serving",
    "ServingReport",
    "StageResult",
    "StaleAlias",
    "Traffic",
    "TrafficTarget",
    "VerifiedBundle",
    "VerifiedReceipt",
    "Version",
    "WarmVersion",
    "WitnessStanding",
]
