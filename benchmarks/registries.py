"""Two registries and the promotion service, each a process on loopback, for as long as a block lasts."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

import carnet
from carnet_server.config import load_config
from carnet_server.local.health import wait_until_serving
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import DEFAULT_PLAN
from carnet_server.local.processes import processes_of
from carnet_server.local.stores import Stores

if TYPE_CHECKING:
    from pathlib import Path

    from carnet_server.local.processes import Process

Transfer = Literal["pull", "relay"]
MODEL = "dev/benchmarks/model"
WAIT_SECONDS = 600.0
_BASE_PORT = 17400  # below the ports that systems give to outgoing connections
_ENVIRONMENTS = ("dev", "staging")
_EVALUATION = {
    "suite": "evaluation",
    "result": "PASSED",
    "metrics": [
        {"name": "roc_auc", "value": 0.99, "direction": "higher_is_better"},
        {"name": "recall", "value": 0.97, "direction": "higher_is_better"},
    ],
}


class BenchmarkFailedError(Exception):
    """Something that had to work before it could be measured did not."""


class Registries:
    """dev, staging, and the promotion service between them, under the shipped policies.

    Args:
        folder: Their folder; it is made, and removed at the end.
        transfer: How blobs travel.
        stores: What metadata and blobs are kept in.
    """

    def __init__(self, folder: Path, transfer: Transfer, *, stores: Stores | None = None) -> None:
        self.folder = folder
        self._transfer = transfer
        self._stores = stores or Stores()
        self.processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        plan = replace(DEFAULT_PLAN, environments=_ENVIRONMENTS, routes=((*_ENVIRONMENTS, self._transfer),))
        initialise(self.folder, base_port=_BASE_PORT, plan=plan, stores=self._stores)
        self.processes = {process.name: process for process in processes_of(self.folder)}
        try:
            for process in self.processes.values():
                process.start()
            wait_until_serving(list(self.processes.values()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes.values()):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self) -> dict[str, int]:
        """The process ids that are running, by name.

        Raises:
            BenchmarkFailedError: One has ended.
        """
        found = {name: process.pid() for name, process in self.processes.items()}
        for name, pid in found.items():
            if pid is None:
                raise BenchmarkFailedError(f"{name} has ended:\n{self.processes[name].log_tail()}")
        return {name: pid for name, pid in found.items() if pid is not None}

    def client(self, identity: str = "ci") -> carnet.Client:
        """A client as one of the federation's identities; the caller closes it."""
        return carnet.connect(self.folder, identity=identity)

    def push(self, folder: Path) -> str:
        """Publish a folder in dev; returns the version's reference."""
        with self.client() as ci:
            return str(ci.push(MODEL, folder).reference)

    def evaluate(self, reference: str) -> None:
        """Attest a passed evaluation by the trusted evaluator, as staging's policy demands."""
        with self.client("evaluator") as evaluator:
            evaluator.attest(reference, _EVALUATION)

    def blobs_url(self, environment: str) -> str:
        """Where an environment's blobs are."""
        return load_config(self.folder / "environments" / environment / "environment.yaml").blobs_url

    def stored(self, environment: str) -> dict[str, int]:
        """The size of every blob in an environment's store, by digest."""
        root = self.folder / "environments" / environment / "data" / "blobs" / "blobs"
        return {
            path.parent.name + path.name: path.stat().st_size for path in root.rglob("*") if path.is_file()
        }


def promote(client: carnet.Client, reference: str) -> carnet.Promotion:
    """Promote a version to staging and wait until it is admitted.

    Raises:
        BenchmarkFailedError: It was not.
        CarnetError: A call failed.
    """
    ended = client.wait(client.promote(reference, "staging").id, timeout=WAIT_SECONDS)
    if str(ended.state) != "SUCCEEDED":
        rules = "; ".join(rule.message for rule in ended.rules if rule.message)
        raise BenchmarkFailedError(f"{reference} was not admitted: {ended.state}: {ended.message}: {rules}")
    return ended
