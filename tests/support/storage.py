"""What a test keeps its data in: databases and stores of blobs, of whichever kinds it runs over.

A combination is a database and a store, such as ``postgresql-s3``. Databases are copies of one that was
migrated once a process. A store comes with a bench that reaches below its interface: it damages and loses
blobs by the real means of that kind.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import obstore
import psycopg
import pytest
from sqlalchemy import make_url

import carnet_server.database.migrate
import carnet_sync.migrations
from carnet.serving.engine import resolve_database_url
from carnet_server.blobs.objects.index import parse_index
from carnet_server.blobs.objects.names import PART_BYTES, index_path, single_path
from carnet_server.blobs.opening import open_store
from carnet_server.local.backends import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from carnet_server.blobs.directory.store import DirectoryStore
    from carnet_server.blobs.objects.store import ObjectStore
    from carnet_server.blobs.port import BlobStore

DATABASES = ("sqlite", "postgresql")
STORES = ("directory", "s3")
COMBINATIONS = tuple(f"{database}-{store}" for database in DATABASES for store in STORES)
IN_A_DIRECTORY = pytest.mark.parametrize("bench", ["directory"], indirect=True)
ALL_FOUR = pytest.mark.parametrize("storage", COMBINATIONS, indirect=True)
# The tables, and whether they have so many pages that they are emptied at once rather than row by row.
_TABLES = """
    SELECT relname, pg_relation_size(oid) > 1 << 17 FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
"""
_RESTART = """
    SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
"""
_MIGRATIONS = {"registry": carnet_server.database.migrate.upgrade, "sync": carnet_sync.migrations.upgrade}


# --- databases ------------------------------------------------------------------------------------------------


class PostgresServer:
    """A PostgreSQL server on which we make databases.

    Args:
        administrator: The URL of a database, as who may make others.
        owner: The same, as who owns those that are made.
        options: How those are made.
    """

    def __init__(self, administrator: str, owner: str, options: str = "") -> None:
        self._options = options
        self._administrator = make_url(administrator)
        self._owner = make_url(owner)
        self._connection = psycopg.connect(administrator, autocommit=True)
        self._templates: dict[str, str] = {}
        self._emptied: dict[str, list[str]] = {schema: [] for schema in _MIGRATIONS}
        atexit.register(self._connection.close)

    def execute(self, statement: str, *parameters: object) -> list[tuple]:
        """Run a statement as the administrator, in no transaction."""
        done = self._connection.execute(cast("psycopg.sql.SQL", statement), parameters or None)
        return done.fetchall() if done.description else []

    def create(self, options: str = "") -> str:
        """Make a database, and return its URL as it stands in a configuration."""
        name = f"carnet_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} OWNER {self._owner.username} {options}")
        return self._owner.set(database=name).render_as_string(hide_password=False)

    def create_migrated(self, schema: str) -> str:
        """Make a database that has the tables of ``registry`` or ``sync``, all of them empty."""
        if self._emptied[schema]:
            return self._emptied[schema].pop()
        if schema not in self._templates:
            url = self.create(self._options)
            _MIGRATIONS[schema](resolve_database_url(url, Path("/")))
            self._templates[schema] = str(make_url(url).database)
        return self.create(f"TEMPLATE {self._templates[schema]} STRATEGY wal_log")

    def recycle(self, url: str, schema: str) -> None:
        """Empty the tables of a database that `create_migrated` made, for the next one who asks.

        That is quicker than another database; one that somebody still works with is dropped. So is emptying
        row by row, without looking at references, where a test left little: `TRUNCATE` makes files anew.
        """
        try:
            with self.connect(url) as connection:
                tables = connection.execute(_TABLES).fetchall()
                names = ", ".join(f'"{name}"' for name, _ in tables)
                large = ", ".join(f'"{name}"' for name, is_large in tables if is_large)
                statements = [
                    "SET LOCAL lock_timeout = 100",
                    "SET LOCAL session_replication_role = replica",
                    f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE",
                    *([f"TRUNCATE {large} CASCADE"] if large else []),
                    *(f'DELETE FROM "{name}"' for name, is_large in tables if not is_large),
                    _RESTART,
                ]
                connection.execute(cast("psycopg.sql.SQL", ";".join(statements)))
        except psycopg.Error:
            self.drop(url)
        else:
            self._emptied[schema].append(url)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def connect(self, url: str) -> psycopg.Connection:
        """Connect to a database as the administrator."""
        own = self._administrator.set(database=make_url(url).database)
        return psycopg.connect(own.render_as_string(hide_password=False))

    def close(self) -> None:
        """Let go of the server."""
        self._connection.close()

    def connections(self, url: str) -> int:
        """How many connections a database has."""
        ((count,),) = self.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", make_url(url).database
        )
        return count


@functools.cache
def postgres_server() -> PostgresServer:
    """The server of this process's tests."""
    from tests.support import backends  # starts a server

    running = backends._postgres()
    server = PostgresServer(running._url(postgres.ADMINISTRATOR, "postgres"), backends.postgres_url())
    # Every test makes a dozen connections, and this is most of what one costs.
    server.execute("SET scram_iterations = 1")
    server.execute(f"ALTER ROLE {backends._ROLE} PASSWORD '{backends._PASSWORD}'")
    return server


@functools.cache
def migrated_file(schema: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="carnet-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _MIGRATIONS[schema](f"sqlite:///{folder / schema}")
    return folder / schema


class Databases:
    """The databases of one test.

    Args:
        kind: ``sqlite`` or ``postgresql``.
        folder: Where files go.
        server: Another server than the process's own.
    """

    def __init__(self, kind: str, folder: Path, server: PostgresServer | None = None) -> None:
        self.kind = kind
        self._folder = folder
        self._server = server
        self._migrated: list[tuple[str, str]] = []
        self._others: list[str] = []

    @property
    def server(self) -> PostgresServer:
        return self._server or postgres_server()

    def make(self, schema: str = "registry") -> str:
        """A fresh database with its tables; returns its URL, resolved."""
        if self.kind == "sqlite":
            path = self._folder / f"{schema}-{uuid.uuid4().hex}.db"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(migrated_file(schema), path)
            return f"sqlite:///{path}"
        url = self.server.create_migrated(schema)
        self._migrated.append((url, schema))
        return resolve_database_url(url, Path("/"))

    def make_empty(self, options: str = "") -> str:
        """A database without tables; returns its URL, resolved."""
        if self.kind == "sqlite":
            return f"sqlite:///{self._folder / uuid.uuid4().hex}.db"
        self._others.append(self.server.create(options))
        return resolve_database_url(self._others[-1], Path("/"))

    def drop(self) -> None:
        """Clear away what was made."""
        for url, schema in self._migrated:
            self.server.recycle(url, schema)
        for url in self._others:
            self.server.drop(url)


# --- stores of blobs ------------------------------------------------------------------------------------------


class DirectoryBench:
    """A folder, and what a test does to it behind the store's back.

    Attributes:
        url: What ``blobs:`` says.
    """

    kind = "directory"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"file:{folder}"

    def open(self) -> BlobStore:
        return open_store(self.url)

    def kept(self, written: int) -> int:
        """How many bytes of those that were written an upload is gone on with."""
        return written

    def _path(self, digest: str) -> Path:
        return cast("DirectoryStore", self.open()).path_of(digest)

    def damage(self, digest: str, data: bytes) -> None:
        """Put other bytes in the place of a stored blob's."""
        path = self._path(digest)
        path.chmod(0o600)
        path.write_bytes(data)

    def lose(self, digest: str) -> None:
        """Take a stored blob away."""
        self._path(digest).unlink()

    def leftovers(self) -> list[str]:
        """Everything that is kept."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


class S3Bench:
    """What is below a prefix of a bucket, and what a test does to it behind the store's back.

    Attributes:
        url: What ``blobs:`` says.
    """

    kind = "s3"

    def __init__(self, url: str) -> None:
        self.url = url

    @functools.cached_property
    def _client(self) -> obstore.store.ObjectStore:
        return cast("ObjectStore", self.open())._bucket.client

    def open(self) -> BlobStore:
        return open_store(self.url)

    def kept(self, written: int) -> int:
        """How many bytes of those that were written an upload is gone on with: whole parts."""
        return written - written % PART_BYTES

    def damage(self, digest: str, data: bytes) -> None:
        """Put other bytes in the place of a stored blob's."""
        try:
            found = bytes(obstore.get(self._client, index_path(digest)).bytes())
        except FileNotFoundError:
            obstore.head(self._client, single_path(digest))
            obstore.put(self._client, single_path(digest), data)
            return
        index = parse_index(found, digest)
        for number in range(len(index.parts)):
            last = number == len(index.parts) - 1
            part = data[number * PART_BYTES :][: None if last else PART_BYTES]
            obstore.put(self._client, index.path_of(number), part, use_multipart=False)

    def lose(self, digest: str) -> None:
        """Take a stored blob away."""
        there = [path for path in (index_path(digest), single_path(digest)) if path in set(self.leftovers())]
        assert there
        obstore.delete(self._client, there)

    def leftovers(self) -> list[str]:
        """Everything that is kept."""
        return sorted(each["path"] for page in obstore.list(self._client) for each in page)


Bench = DirectoryBench | S3Bench


@functools.cache
def _bucket() -> str:
    from tests.support.backends import bucket_url  # starts a server

    return bucket_url()


def make_bench(kind: str, folder: Path) -> Bench:
    """A place for blobs in which nothing is.

    Args:
        kind: ``directory`` or ``s3``.
        folder: Where a directory goes.
    """
    if kind == "directory":
        return DirectoryBench(folder)
    bucket, _, options = _bucket().partition("?")
    return S3Bench(f"{bucket}/{uuid.uuid4().hex}?{options}")


# --- both -----------------------------------------------------------------------------------------------------


class Storage:
    """The databases and stores of one test.

    Args:
        combination: One of `COMBINATIONS`.
        folder: Where files go.
        server: Another PostgreSQL server than the process's own.
    """

    def __init__(self, combination: str, folder: Path, server: PostgresServer | None = None) -> None:
        database, _, self._store = combination.partition("-")
        self._folder = folder
        self.databases = Databases(database, folder / "databases", server)

    @property
    def has_parts(self) -> bool:
        """Whether the store keeps large blobs in parts."""
        return self._store != "directory"

    def make_database(self) -> str:
        """A registry's database with its tables; returns its URL, resolved."""
        return self.databases.make()

    def make_bench(self) -> Bench:
        """A place for blobs in which nothing is."""
        return make_bench(self._store, self._folder / f"blobs-{uuid.uuid4().hex}")


def give_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process into the tests' buckets, by the variables that S3's clients read."""
    from tests.support.backends import s3_environment  # starts a server

    for name, value in s3_environment().items():
        monkeypatch.setenv(name, value)


@contextmanager
def storage_of(
    combination: str, folder: Path, monkeypatch: pytest.MonkeyPatch, server: PostgresServer | None = None
) -> Iterator[Storage]:
    """Give a test its storage, and clear it away.

    Args:
        combination: One of `COMBINATIONS`.
        folder: Where files go.
        monkeypatch: The test's.
        server: Another PostgreSQL server than the process's own.
    """
    if combination.endswith("s3"):
        give_credentials(monkeypatch)
    storage = Storage(combination, folder, server)
    try:
        yield storage
    finally:
        storage.databases.drop()
