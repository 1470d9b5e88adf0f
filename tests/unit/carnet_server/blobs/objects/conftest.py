"""Object stores to try: in a real endpoint, behind a proxy that fails, and in memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from obstore.store import MemoryStore

from carnet.canonical import sha256_hex
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.objects import connect as connect_module
from carnet_server.blobs.objects.bucket import Bucket
from carnet_server.blobs.objects.index import Index, parse_index
from carnet_server.blobs.objects.names import PART_BYTES, index_path
from carnet_server.blobs.objects.store import ObjectStore
from carnet_server.blobs.opening import open_store
from tests.support import backends
from tests.support.s3_faults import Faults, FaultyProxy

# A part's bytes are one byte over and over, so that making and comparing them takes no time.
_MADE: dict[tuple[int, int], tuple[Blob, bytes]] = {}


@pytest.fixture
def make_blob():
    def make(size_bytes: int, seed: int = 0) -> tuple[Blob, bytes]:
        if (size_bytes, seed) not in _MADE:
            pieces = [
                bytes([seed, number]) * (PART_BYTES // 2) for number in range(-(-size_bytes // PART_BYTES))
            ]
            data = b"".join(pieces)[:size_bytes]
            _MADE[size_bytes, seed] = Blob(sha256_hex(data), size_bytes), data
        return _MADE[size_bytes, seed]

    return make


@pytest.fixture
def put():
    def put(store: ObjectStore, blob: Blob, data: bytes, namespace: str = "risk") -> None:
        with contextlib.closing(store.open_upload(namespace, blob)) as upload:
            for start in range(upload.offset, len(data), 1 << 20):
                upload.append(memoryview(data)[start : start + (1 << 20)])
            upload.finish()

    return put


@pytest.fixture
def read():
    def read(store: ObjectStore, blob: Blob, offset: int = 0, length: int = 0) -> bytes:
        with contextlib.closing(store.open_blob(blob, offset, length)) as reading:
            return b"".join(piece.data for piece in iter(reading.next_piece, None))

    return read


@dataclass
class Place:
    """A store, and what is in its bucket."""

    store: ObjectStore
    bucket: Bucket
    url: str = ""
    faults: Faults | None = None

    def paths(self, prefix: str = "") -> list[str]:
        return sorted(each.path for each in self.bucket.objects_below(prefix))

    def index(self, blob: Blob) -> Index:
        return parse_index(self.bucket.get(index_path(blob.digest), at_most=1 << 20), blob.digest)

    def reopen(self) -> ObjectStore:
        """Another store over the same bucket: another process's."""
        return ObjectStore(self.bucket)


@pytest.fixture
def memory():
    """A store in memory, which enforces conditions."""
    bucket = Bucket(MemoryStore(), "memory")
    store = ObjectStore(bucket)
    yield Place(store, bucket)
    store.close()


@pytest.fixture
def s3(monkeypatch):
    """A store at a real endpoint, which checks signatures and ignores conditions."""
    for name, value in backends.s3_environment().items():
        monkeypatch.setenv(name, value)
    url = backends.bucket_url()
    store = open_store(url)
    yield Place(store, store._bucket, url)
    store.close()


@pytest.fixture
def faulty(s3, monkeypatch):
    """The same endpoint behind a proxy that fails as it is told; the bucket itself is reached without it."""
    parts = urlsplit(s3.url)
    folder = backends.bucket_folder("s3://none").parent
    upstream = urlsplit(next(each for each in parts.query.split("&") if each.startswith("endpoint="))[9:])
    proxy = FaultyProxy(
        (upstream.hostname, upstream.port), exists=lambda path: Path(f"{folder}{unquote(path)}").is_file()
    )
    monkeypatch.setattr(connect_module, "RETRIES", {**connect_module.RETRIES, "backoff": _QUICK})
    endpoint = "http://{}:{}".format(*proxy.address)
    url = f"s3://{parts.netloc}?endpoint={endpoint}&region=us-east-1&path_style=true"
    store = open_store(url)
    yield Place(store, s3.bucket, url, proxy.faults)
    proxy.stop()
    store.close()


_QUICK = {
    "init_backoff": connect_module.RETRIES["backoff"]["init_backoff"] / 10,
    "max_backoff": connect_module.RETRIES["backoff"]["max_backoff"] / 10,
    "base": 2,
}
