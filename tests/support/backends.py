"""A real PostgreSQL server and a real S3 endpoint for whatever test asks: fresh databases and buckets.

Each is started at the first use, once in each test process, without waiting for the disk, and is gone when the
process is, however that ends.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from carnet_server.local.backends import object_storage, postgres
from carnet_server.local.backends.configuration import HOST, BackendConfig
from carnet_server.local.initialise import free_ports

GUARD = Path(__file__).with_name("guard.py")
START_SECONDS = 30.0
# A database takes 8 MB; the oldest ones that nobody is connected to make room.
KEPT_DATABASES = 32
_PASSWORD = "f00dfeedf00dfeed"
_ROLE = "tests"


def free_port() -> int:
    """A port below those that systems give to outgoing connections, which would be taken by the time of starting."""
    return free_ports(1, random.SystemRandom().randrange(11000, 29000, 10))[0]


class _Server:
    """A server that runs as long as this process, with a folder of its own."""

    def __init__(self, module, prepare, number: signal.Signals, variables: dict[str, str]):
        self._folder = Path(tempfile.mkdtemp(prefix="carnet-tests-"))
        self.config = BackendConfig(free_port(), self._folder / "server", durable=False)
        self._log = self._folder / "log"
        try:
            prepare(self.config)
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        description = self._folder / "server.yaml"
        self.config.save(description, comment="A server for tests.")
        server = [sys.executable, "-m", module.__name__, "--config", str(description)]
        with self._log.open("wb") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", str(GUARD), str(self._folder), str(int(number)), *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | variables,
            )
        atexit.register(self.stop)
        end = time.monotonic() + START_SECONDS
        while not module.answers(self.config, 2):
            if self._guard.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{module.__name__} does not serve: {self.log()}")
            time.sleep(0.01)

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else "its log is gone"

    def stop(self) -> None:
        self._guard.stdin.close()
        self._guard.wait()


class _Postgres(_Server):
    def __init__(self):
        super().__init__(
            postgres, lambda config: postgres.prepare(config, _PASSWORD), signal.SIGINT, variables={}
        )
        import psycopg

        self._numbers = itertools.count(1)
        self._names: deque[str] = deque()
        self._errors = psycopg.Error
        self._connection = psycopg.connect(self._url(postgres.ADMINISTRATOR, "postgres"), autocommit=True)
        self._connection.execute(f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{_PASSWORD}'")

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{_PASSWORD}@{HOST}:{self.config.port}/{database}"

    def create(self) -> str:
        while len(self._names) >= KEPT_DATABASES and self._drop(self._names[0], forced=False):
            pass
        name = f"test_{next(self._numbers)}"
        self._connection.execute(f"CREATE DATABASE {name} OWNER {_ROLE}")
        self._names.append(name)
        return self._url(_ROLE, name)

    def drop(self, url: str) -> None:
        self._drop(urlsplit(url).path[1:], forced=True)

    def _drop(self, name: str, *, forced: bool) -> bool:
        try:
            self._connection.execute(f"DROP DATABASE IF EXISTS {name}{' WITH (FORCE)' if forced else ''}")
        except self._errors:  # somebody is connected
            return False
        self._names.remove(name)
        return True

    def stop(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()
        super().stop()


class _ObjectStorage(_Server):
    def __init__(self):
        self.key_id, self.secret = object_storage.key_pair()
        self._numbers = itertools.count(1)
        super().__init__(
            object_storage,
            lambda config: object_storage.prepare(config, []),
            signal.SIGTERM,
            variables=object_storage.server_variables(self.key_id, self.secret),
        )

    def create(self) -> str:
        import obstore
        from obstore.store import S3Store

        bucket = f"test-{next(self._numbers)}"
        store = S3Store(
            bucket,
            endpoint=f"http://{self.config.endpoint}",
            region=object_storage.REGION,
            access_key_id=self.key_id,
            secret_access_key=self.secret,
            client_options={"allow_http": True},
        )
        # obstore makes no buckets, but signs the request that does: CreateBucket is a PUT of the bucket's root.
        create = urllib.request.Request(obstore.sign(store, "PUT", "", timedelta(seconds=60)), method="PUT")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(create, timeout=10).close()
        return object_storage.bucket_url(self.config.port, bucket)

    def folder(self, url: str) -> Path:
        parts = urlsplit(url)
        return self.config.folder / parts.netloc / parts.path.lstrip("/")


@functools.cache
def _postgres() -> _Postgres:
    return _Postgres()


@functools.cache
def _object_storage() -> _ObjectStorage:
    return _ObjectStorage()


def postgres_url() -> str:
    """The URL of a fresh, empty database, with its password; its role owns it and nothing else.

    The oldest of many may go when nobody is connected; `drop_database` removes one at once.
    """
    return _postgres().create()


def drop_database(url: str) -> None:
    """Remove a database that `postgres_url` gave, and whoever is connected to it."""
    _postgres().drop(url)


def bucket_url(**parameters: str) -> str:
    """The URL of a fresh, empty bucket; `parameters` are added to its query. See `s3_environment`."""
    url = _object_storage().create()
    return f"{url}&{urlencode(parameters)}" if parameters else url


def bucket_folder(url: str) -> Path:
    """Where the endpoint keeps a bucket's objects, each a file.

    Bytes that are changed here in place are served; files that come, go or change their size may be noticed late.
    """
    return _object_storage().folder(url)


def s3_environment() -> dict[str, str]:
    """The environment variables that let a client into the buckets."""
    endpoint = _object_storage()
    return object_storage.client_variables(endpoint.key_id, endpoint.secret)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path):
    """A fresh, empty metadata database, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/database/registry.db"
        return
    url = postgres_url()
    yield url
    drop_database(url)


@pytest.fixture(params=["directory", "s3"])
def blobs_url(request, tmp_path, monkeypatch):
    """A fresh, empty place for blobs, of each kind; credentials are in the environment."""
    if request.param == "directory":
        yield f"file:{tmp_path}/blobs"
        return
    for name, value in s3_environment().items():
        monkeypatch.setenv(name, value)
    url = bucket_url()
    yield url
    shutil.rmtree(bucket_folder(url), ignore_errors=True)
