"""A whole federation of real processes on loopback, for tests."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import types
import warnings
from pathlib import Path
from unittest import mock

import psutil
import yaml
from sqlalchemy import URL, make_url

import carnet
from carnet.client.channel import TlsIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet.translog.witness_policy import parse_witness_policy
from carnet_server.config import load_config
from carnet_server.local import processes
from carnet_server.local.document_signing import sign_documents
from carnet_server.local.files import read_variables
from carnet_server.local.health import start_all
from carnet_server.local.initialise import initialise
from carnet_server.local.plan import DEFAULT_PLAN
from carnet_server.local.processes import processes_of, stop_all
from carnet_server.local.stores import Stores, variables_file
from carnet_sync.config import load_config as load_sync_config
from tests.support import forks
from tests.support.bundles import make_bundle_directory
from tests.support.storage import migrated_file

CARNET = forks.CARNET
# What `processes` starts them by.
_STARTING = types.SimpleNamespace(Popen=forks.start_service, DEVNULL=subprocess.DEVNULL)
GOOD_METRICS = [
    {"name": "roc_auc", "value": 0.99, "direction": "higher_is_better"},
    {"name": "recall", "value": 0.97, "direction": "higher_is_better"},
]


NO_QUORUM = "quorum none\n"

# Waits for a word that all is in order; where none comes, whoever would have said it is gone.
_WATCHMAN = """
import sys
if not sys.stdin.buffer.read():
    from pathlib import Path
    from carnet_server.local.processes import processes_of, stop_all
    stop_all(processes_of(Path(sys.argv[1])))
"""


class LocalFederation:
    """dev, staging, prod and the promotion service in a folder, each a process; with their stores, if any."""

    def __init__(self, folder: Path, *, plan=DEFAULT_PLAN, database="sqlite", blobs="file"):
        self.folder = folder
        if not folder.exists():
            # Below the ports that systems give to outgoing connections, which would be taken by the time of starting.
            base_port = random.SystemRandom().randrange(11000, 29000, 10)
            initialise(folder, base_port=base_port, plan=plan, stores=Stores(database, blobs, durable=False))
            if database == "sqlite":
                self._migrate(plan)
        self._watchman: int | None = None
        self.processes = {process.name: process for process in processes_of(folder)}

    def _migrate(self, plan) -> None:
        """Give each process a database that has its tables: making them is most of a first start."""
        for name in (*plan.environments, "sync"):
            path = self.database(name)
            path.parent.mkdir(mode=0o700)
            shutil.copy(migrated_file("sync" if name == "sync" else "registry"), path)

    def start(self, *names: str) -> None:
        """Start some processes; all where none is named.

        Where only some are started at first, logs for which they are no quorum ask nobody to witness them.
        """
        if names and self._watchman is None:
            self._excuse_absent_witnesses(frozenset(names))
        chosen = [self.processes[name] for name in names or self.processes]
        with warnings.catch_warnings(), mock.patch.object(processes, "subprocess", _STARTING):
            # They outlive whoever starts them, which Python warns of.
            warnings.simplefilter("ignore", ResourceWarning)
            self._watch()
            start_all(chosen)

    def _excuse_absent_witnesses(self, present: frozenset[str]) -> None:
        path = self.folder / "federation.yaml"
        document = yaml.safe_load(path.read_text())
        for name in present & document["environments"].keys():
            pinned = document["environments"][name]
            policy = parse_witness_policy(pinned["witnesses"].encode(), name="witnesses")
            if not policy.is_met_by(present):
                pinned["witnesses"] = NO_QUORUM
                (self.folder / "environments" / name / "witnesses.policy").write_text(NO_QUORUM)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    def _watch(self) -> None:
        """See to it that nothing runs on when the tests are killed."""
        if self._watchman is not None:
            return
        listening, self._watchman = os.pipe()
        command = [sys.executable, "-c", _WATCHMAN, str(self.folder)]
        watchman = subprocess.Popen(
            command,
            stdin=listening,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        watchman.returncode = 0
        os.close(listening)

    def stop(self) -> None:
        stop_all(list(self.processes.values()))
        if self._watchman is not None:
            os.write(self._watchman, b"in order")
            os.close(self._watchman)
            self._watchman = None

    def kill(self, name: str) -> None:
        """kill -9, and collect it."""
        process = self.processes[name]
        pid = process.pid()
        assert pid is not None, f"{name} does not run"
        found = psutil.Process(pid)
        found.kill()
        found.wait(30)

    @contextlib.contextmanager
    def frozen(self, name: str):
        """Hold a process still within a block; one that is killed meanwhile stays so."""
        process = self.processes[name]
        assert process.signal(signal.SIGSTOP), f"{name} does not run"
        try:
            yield
        finally:
            process.signal(signal.SIGCONT)

    # --- what the processes keep on the disk ------------------------------------------------------------------

    def database_url(self, name: str) -> str:
        """The URL of the database of an environment, or of ``sync``, with its password."""
        if name == "sync":
            url = make_url(load_sync_config(self.folder / "sync" / "sync.yaml").database)
        else:
            url = make_url(load_config(self.folder / "environments" / name / "environment.yaml").database_url)
        password = read_variables(variables_file(self.folder, name)).get("PGPASSWORD")
        return (url.set(password=password) if password else url).render_as_string(hide_password=False)

    def database(self, name: str) -> Path:
        """The SQLite file of an environment, or of ``sync``."""
        if name == "sync":
            return self.folder / "sync" / "data" / "sync.db"
        return self.folder / "environments" / name / "data" / "registry.db"

    def query(self, name: str, statement: str, *parameters) -> list[tuple]:
        """Read a process's database from beside it; each parameter's place is a question mark."""
        url = make_url(self.database_url(name))
        if url.get_backend_name() == "postgresql":
            return _query_postgres(url, statement.replace("%", "%%").replace("?", "%s"), parameters)
        uri = f"file:{self.database(name)}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def changes(self, environment: str) -> int:
        """How many entries tell of a change; what comes at a time of its own is left out.

        That are counts of refused calls, anchors, and the end of what hosts ran.
        """
        rows = self.query(environment, "SELECT entry FROM log_entries")
        quiet = (b'"type":"access.refused"', b'"type":"anchor.recorded"', b'"change":{"old":"running"}')
        return sum(1 for (entry,) in rows if not any(each in bytes(entry) for each in quiet))

    def blob_file(self, environment: str, digest: str) -> Path:
        """Where an environment keeps a whole blob as a file."""
        blobs = self.folder / "environments" / environment / "data" / "blobs"
        return blobs / "blobs" / "sha256" / digest[:2] / digest[2:]

    def sign_documents(self, environment: str) -> None:
        """Have enough people sign an environment's documents as they are now, where that is demanded."""
        sign_documents(self.folder, environment)

    def part_file(self, environment: str, namespace: str, digest: str) -> Path:
        """Where an environment keeps a blob that is on its way in, as a file."""
        blobs = self.folder / "environments" / environment / "data" / "blobs"
        return blobs / "uploads" / namespace / f"{digest}.part"

    # --- whoever acts -----------------------------------------------------------------------------------------

    def connection(self, environment: str, certificates: str) -> RegistryConnection:
        """A bare connection to a registry, as whoever has the certificate in a folder of the federation."""
        federation = Federation.load(self.folder)
        pinned = federation.environment(environment)
        folder = self.folder / certificates
        identity = TlsIdentity.load(folder / "tls.pem", folder / "tls-key.pem", federation.ca)
        return RegistryConnection(
            pinned.endpoint, server_name=pinned.server_name, identity=identity, environment=environment
        )

    def client(self, identity: str) -> carnet.Client:
        return carnet.connect(self.folder, identity=identity)

    def cli(self, *arguments: str, identity: str = "ci", check: int | None = 0):
        """Run the real `carnet` command; returns the completed process."""
        own = {"CARNET_DIR": str(self.folder), "CARNET_IDENTITY": identity, "NO_COLOR": "1"}
        done = forks.run_program("carnet", *arguments, environment=os.environ | own)
        if check is not None:
            assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def cli_json(self, *arguments: str, identity: str = "ci", check: int | None = 0):
        return json.loads(self.cli(*arguments, "-o", "json", identity=identity, check=check).stdout)

    # --- the steps of a version's life, for tests that begin in the middle -----------------------------------

    def publish(self, tmp_path: Path, model: str = "risk/fraud", **bundle) -> carnet.Reference:
        folder = make_bundle_directory(tmp_path, **bundle)
        with self.client("ci") as ci:
            return ci.push(f"dev/{model}", folder).reference

    def evaluate(self, reference, metrics=GOOD_METRICS, result="PASSED") -> None:
        with self.client("evaluator") as evaluator:
            evaluator.attest(str(reference), {"suite": "evaluation", "result": result, "metrics": metrics})

    def test_integration(self, reference, result="PASSED") -> None:
        with self.client("integration-tester") as tester:
            tester.attest(str(reference), {"suite": "integration", "result": result})

    def smoke_test(self, reference, result="PASSED") -> None:
        with self.client("integration-tester") as tester:
            tester.attest(str(reference), {"suite": "smoke-test", "result": result})

    def to_staging(self, reference, *, alias: str = ""):
        self.evaluate(reference)
        with self.client("ci") as ci:
            return ci.wait(ci.promote(str(reference), "staging", alias=alias).id, timeout=60)

    def approve(self, promotion: str, *names: str) -> None:
        for name in names:
            with self.client(name) as approver:
                approver.approve(promotion, "in order", target="prod")

    def wait_for_dossier(self, client, promotion: str):
        for update in client.watch_promotion(promotion):
            if update.promotion.awaits_dossier or update.promotion.state.ended:
                return update.promotion
        return client.promotion(promotion)


def _query_postgres(url: URL, statement: str, parameters: tuple) -> list[tuple]:
    import psycopg

    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, options="-c default_transaction_read_only=on") as connection:
        return connection.execute(statement, parameters).fetchall()
