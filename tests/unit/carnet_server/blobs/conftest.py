"""A store, in a folder and in a bucket, and blobs to put into it."""

from __future__ import annotations

import random

import pytest

from carnet.canonical import sha256_hex
from carnet.errors import PermissionDeniedError
from carnet.translog.keys import LogKey
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.service import BlobsService
from carnet_server.database.engine import Database
from carnet_server.log.writer import Writer
from tests.support.storage import Databases


@pytest.fixture
def store(bench):
    store = bench.open()
    yield store
    store.close()


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
        upload.append(data[upload.offset :])
        upload.finish()

    return put


@pytest.fixture
def overwrite(bench):
    return bench.damage


@pytest.fixture
def holds(store):
    """Whether a blob is there whole."""

    def holds(blob: Blob) -> bool:
        return not store.find_missing([blob])

    return holds


@pytest.fixture
def database(tmp_path):
    database = Database(Databases("sqlite", tmp_path).make())
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
