"""A serving host in the demo's own process: it routes, answers, and reports as a real one does.

Everything that it knows of rollouts it has from ``TrafficRouter`` and ``MetricsReporter``. Requests are rows
that no training saw, so that it is known what would have been right; they are answered a batch at a time.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from carnet.hosting.metrics_reporter import MetricsReporter
from carnet.hosting.traffic_router import TrafficRouter
from carnet_server.demo.evaluation import ServedModel
from carnet_server.demo.scene import MODEL
from carnet_server.demo.training import THRESHOLD, load_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from carnet.client.client import Client
    from carnet.client.results import Traffic

_BATCH = 100


class ServingHost:
    """Serves an alias of prod; a context manager.

    Args:
        client: Acts as the monitor.
        alias: The alias that it serves.
        work: Where pulled versions go.

    Attributes:
        reversed_columns: The versions that get their columns in the wrong order, by a mistake on the host.
    """

    def __init__(self, client: Client, alias: str, work: Path) -> None:
        self._client = client
        self._work = work
        self._rows = load_rows(held_out=True)
        self._dice = np.random.default_rng(7)
        self._models: dict[int, ServedModel] = {}
        self.reversed_columns: set[int] = set()
        self.router = TrafficRouter(client, alias, prepare=self._load)
        self.reporter = MetricsReporter(client, alias)

    def _load(self, traffic: Traffic) -> None:
        for target in (*traffic.answering, *traffic.mirrored):
            if target.version not in self._models:
                place = self._work / f"served-{target.version}"
                pulled = self._client.pull(f"prod/{MODEL}@{target.version}", place)
                self._models[target.version] = ServedModel(pulled.path)

    def serve(self, count: int) -> Mapping[int, int]:
        """Answer requests, report what was observed, and return how many each version answered."""
        answered: Counter[int] = Counter()
        for start in range(0, count, _BATCH):
            answered += self._serve_batch(min(_BATCH, count - start))
        self.reporter.flush()
        return answered

    def _serve_batch(self, count: int) -> Counter[int]:
        chosen = self._dice.integers(0, len(self._rows.malignant), count)
        choices = [self.router.route(f"patient-{self._dice.integers(10**6)}") for _ in range(count)]
        for version in sorted(self._models):
            answers = [choice.version == version for choice in choices]
            mirrored = [version in {each.version for each in choice.mirrored} for choice in choices]
            for asked in (answers, mirrored):
                if any(asked):
                    self._answer(version, chosen[np.array(asked)])
        return Counter(choice.version for choice in choices)

    def _answer(self, version: int, chosen: np.ndarray[Any, Any]) -> None:
        features = self._rows.features[chosen]
        if version in self.reversed_columns:
            features = features[:, ::-1]
        began = time.perf_counter()
        malignant = self._models[version].predict(features, self._rows.names) >= THRESHOLD
        milliseconds = (time.perf_counter() - began) * 1000 / len(chosen)
        for wrong in malignant != self._rows.malignant[chosen]:
            self.reporter.observe(version, "error_rate", float(wrong), "lower_is_better")
            self.reporter.observe(version, "latency_ms", milliseconds, "lower_is_better")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.router.close()
        self.reporter.close()
