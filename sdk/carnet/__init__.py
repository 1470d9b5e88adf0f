"""Carnet: model registries per environment, and signed, gated, audited promotion between them.

What most programs need is here: ``connect`` and the client that it gives. Names are loaded when they are
first used, so that importing ``carnet``, or one of its packages that verify, loads no gRPC.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from carnet.version import __version__

if TYPE_CHECKING:
    from carnet.client.async_client import AsyncClient, connect_async
    from carnet.client.client import Client, connect
    from carnet.client.federation import Federation
    from carnet.client.results import (
        Admission,
        Alias,
        Evidence,
        Promotion,
        PromotionState,
        PulledBundle,
        PushResult,
        ResolvedVersion,
        VerifiedBundle,
    )
    from carnet.errors import CarnetError
    from carnet.hosting.metrics_reporter import MetricsReporter
    from carnet.hosting.traffic_router import TrafficRouter
    from carnet.references import Reference, parse_reference

__all__ = [
    "Admission",
    "Alias",
    "AsyncClient",
    "CarnetError",
    "Client",
    "Evidence",
    "Federation",
    "MetricsReporter",
    "Promotion",
    "PromotionState",
    "PulledBundle",
    "PushResult",
    "Reference",
    "ResolvedVersion",
    "TrafficRouter",
    "VerifiedBundle",
    "__version__",
    "connect",
    "connect_async",
    "parse_reference",
]

_RESULTS = "carnet.client.results"
_HOMES = {
    "Admission": _RESULTS,
    "Alias": _RESULTS,
    "AsyncClient": "carnet.client.async_client",
    "CarnetError": "carnet.errors",
    "Client": "carnet.client.client",
    "Evidence": _RESULTS,
    "Federation": "carnet.client.federation",
    "MetricsReporter": "carnet.hosting.metrics_reporter",
    "Promotion": _RESULTS,
    "PromotionState": _RESULTS,
    "PulledBundle": _RESULTS,
    "PushResult": _RESULTS,
    "Reference": "carnet.references",
    "ResolvedVersion": _RESULTS,
    "TrafficRouter": "carnet.hosting.traffic_router",
    "VerifiedBundle": _RESULTS,
    "connect": "carnet.client.client",
    "connect_async": "carnet.client.async_client",
    "parse_reference": "carnet.references",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'carnet' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
