"""A store in a folder, and blobs to put into it."""

from __future__ import annotations

import random

import pytest
from sqlmodel import SQLModel

from carnet.canonical import sha256_hex
from carnet.errors import PermissionDeniedError
from carnet.translog.keys import LogKey
from carnet_server.blobs.directory.store import DirectoryStore
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.service import BlobsService
from carnet_server.database.engine import Database
from carnet_server.log.writer import Writer


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def make_blob():
    def make(size_bytes: int, seed: int = 0) -> tuple[Blob, bytes]:
        data = random.Random(seed).randbytes(size_bytes)
        return Blob(sha256_hex(data), size_bytes), data

    return make


@pytest.fixture
def put(store):
    def put(blob: Blob, data: bytes) -> None:
        upload = store.open_upload("risk", blob)
        upload.append(data)
        upload.finish()

    return put


@pytest.fixture
def overwrite(store):
    def overwrite(digest: str, data: bytes) -> None:
        path = store.path_of(digest)
        path.chmod(0o600)
        path.write_bytes(data)

    return overwrite


@pytest.fixture
def database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}")
    SQLModel.metadata.create_all(database.writer_engine)
    yield database
    database.close()


@pytest.fixture
def writer(database):
    writer = Writer(database, environment="dev", key=LogKey.generate("carnet.test/dev"))
    yield writer
    writer.stop()


@pytest.fixture
def named():
    """The places, (namespace, digest), that some version names."""
    return set()


class Granted:
    """A check of capabilities that lets the right one pass, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, capability, namespace, digests, caller):
        self.asked.append((capability, namespace, tuple(digests), caller.subject))
        if capability != b"right":
            raise PermissionDeniedError("not this one")


@pytest.fixture
def granted():
    return Granted()


@pytest.fixture
def service(store, database, writer, named, granted):
    def is_named(_connection, namespace, digest):
        return (namespace, digest) in named

    service = BlobsService(
        store, database, writer, readable=is_named, is_named=is_named, capability_check=granted
    )
    yield service
    service.close()
