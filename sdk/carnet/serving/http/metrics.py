"""What a service tells of itself, in the form that Prometheus reads.

Responsible for ``GET /metrics``: the calls that were answered, under the names that metrics of gRPC servers
have everywhere; the process; and what the service gathers of its state when it is asked. Imported only where
metrics are wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from carnet.version import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    import grpc
    from prometheus_client import Metric

    from carnet.serving.call_scope import CallScope

_BUCKETS_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics(Collector):
    """The metrics of one service.

    Args:
        labels: What the build is labelled with beside its version, such as the environment.
        gather: Gathers the service's state; asked at each reading.
    """

    def __init__(self, labels: dict[str, str], gather: Callable[[], Awaitable[Sequence[Metric]]]) -> None:
        self._gather = gather
        self._gathered: Sequence[Metric] = ()
        self._build = InfoMetricFamily(
            "carnet_build", "The version that runs", {"version": __version__} | labels
        )
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        call = ("grpc_type", "grpc_service", "grpc_method")
        self._handled = Counter(
            "grpc_server_handled", "Calls that were answered", (*call, "grpc_code"), registry=self._registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "How long calls took, streams to their end",
            call,
            buckets=_BUCKETS_SECONDS,
            registry=self._registry,
        )
        self._registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return what was gathered last."""
        return (self._build, *self._gathered)

    def answered(self, kind: str, method: str, code: grpc.StatusCode, seconds: float) -> None:
        """Count a call; see ``CallScope.answered``."""
        _, service, name = method.split("/")
        self._handled.labels(kind, service, name, _camel(code.name)).inc()
        self._seconds.labels(kind, service, name).observe(seconds)

    def route(self, scopes: Iterable[CallScope]) -> web.RouteDef:
        """Count the calls of scopes from now on, and return the route ``/metrics``.

        Args:
            scopes: The interceptors that calls pass, before their servers start.
        """
        for scope in scopes:
            scope.answered = self.answered
        written = make_aiohttp_handler(self._registry)

        async def metrics(request: web.Request) -> web.StreamResponse:
            self._gathered = await self._gather()
            return await written(request)

        return web.get("/metrics", metrics)


def gauge(name: str, what: str, value: float) -> Metric:
    """Return a metric of one value."""
    return GaugeMetricFamily(name, what, value=value)


def gauge_by(
    name: str, what: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> Metric:
    """Return a metric with a value for each set of labels."""
    family = GaugeMetricFamily(name, what, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family


def _camel(name: str) -> str:
    """Return a status code as metrics spell it: ``NotFound``, but ``OK``."""
    return name if name == "OK" else name.title().replace("_", "")
