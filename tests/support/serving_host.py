"""A small HTTP server that serves the models of an alias as a rollout says; run as a process of its own.

``python serving_host.py FEDERATION ALIAS WORK`` pulls what gets traffic, loads it, prints its port as a line
of JSON, and serves until its stdin ends. It knows Carnet only by ``TrafficRouter`` and ``MetricsReporter``.

- ``POST /predict {"key", "row", "truth"}``: the answering version's decision.
- ``POST /degrade {"version", "how"}``: ``reversed`` features, answers that are ``late``, or ``null``.
- ``POST /flush {}``: what was observed is sent to the registry.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

import carnet
from carnet.errors import CarnetError
from carnet_server.demo.evaluation import ServedModel
from carnet_server.demo.training import THRESHOLD, load_rows

DELAY_SECONDS = 0.08
NAMES = load_rows(held_out=True).names


class Host:
    """The models that are loaded, and what is observed of them."""

    def __init__(self, folder: str, alias: str, work: Path) -> None:
        self._client = carnet.connect(folder, identity="monitor")
        self._model, self._work = alias.partition("@")[0], work
        self._loaded: dict[int, ServedModel] = {}
        self._loading = threading.Lock()
        self.degraded: dict[int, str | None] = {}
        self.router = carnet.TrafficRouter(self._client, alias, prepare=self._prepare)
        self.reporter = carnet.MetricsReporter(self._client, alias, interval=timedelta(milliseconds=250))

    def _prepare(self, traffic) -> None:
        with self._loading:
            for version in {each.version for each in (*traffic.answering, *traffic.mirrored)} - set(
                self._loaded
            ):
                pulled = self._client.pull(f"{self._model}@{version}", self._work / str(version))
                self._loaded[version] = ServedModel(pulled.path)

    def predict(self, key: str | None, row: list[float], truth: int) -> tuple[int, bool]:
        choice = self.router.route(key)
        for shadow in choice.mirrored:
            self._answer(shadow.version, row, truth)
        return choice.version, self._answer(choice.version, row, truth)

    def _answer(self, version: int, row: list[float], truth: int) -> bool:
        how, began = self.degraded.get(version), time.perf_counter()
        features = np.array([row[::-1] if how == "reversed" else row])
        positive = bool(self._loaded[version].predict(features, NAMES)[0] >= THRESHOLD)
        if how == "late":
            time.sleep(DELAY_SECONDS)
        seconds = time.perf_counter() - began
        self.reporter.observe(version, "error_rate", float(positive != bool(truth)), "lower_is_better")
        self.reporter.observe(version, "latency_ms", seconds * 1000, "lower_is_better")
        return positive

    def close(self) -> None:
        self.router.close()
        self.reporter.close()
        self._client.close()


class Handler(BaseHTTPRequestHandler):
    """Requests, one JSON object each."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host: Host

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self._answer(200, self._act(asked))
        except CarnetError as error:
            self._answer(503, {"reason": error.reason, "error": error.message})

    def _act(self, asked: dict) -> dict:
        match self.path:
            case "/predict":
                version, positive = self.host.predict(asked["key"], asked["row"], asked["truth"])
                return {"version": version, "positive": positive}
            case "/degrade":
                self.host.degraded[asked["version"]] = asked["how"]
            case "/flush":
                self.host.reporter.flush()
        return {"revision": self.host.router.traffic.revision, "dropped": self.host.reporter.dropped_count}

    def _answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing: what matters is in the answers."""


def main(folder: str, alias: str, work: str) -> None:
    """Serve until stdin ends."""
    Handler.host = Host(folder, alias, Path(work))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    sys.stdout.write(json.dumps({"port": server.server_port}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    server.shutdown()
    Handler.host.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
