"""The contract over other servers than those of the packages: the images of PostgreSQL 15 and of MinIO.

The databases there are in American English, whose order of texts is not that of their bytes.
"""

from __future__ import annotations

import contextlib
import secrets
import time
import urllib.request
from datetime import timedelta
from urllib.error import URLError

import pytest

from carnet.canonical import sha256_hex
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.objects.names import PART_BYTES
from carnet_server.blobs.opening import open_store
from tests.contract import test_registry_metadata as metadata
from tests.contract import test_values as values
from tests.support.docker_engine import docker_engine
from tests.support.storage import PostgresServer, storage_of

POSTGRES = "postgres:15"
AMERICAN = (
    "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
)
MINIO = "minio/minio:latest"

pytestmark = [
    pytest.mark.docker,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

registry, begun = metadata.registry, values.begun
globals().update(
    {
        name: test
        for each in (metadata, values)
        for name, test in vars(each).items()
        if name.startswith("test_")
    }
)


@pytest.fixture(scope="module")
def server():
    """A server of the image; skips with the reason where no engine has it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        with docker_engine(POSTGRES):
            from testcontainers.community.postgres import PostgresContainer

            container = PostgresContainer(POSTGRES, driver=None).with_command("-c fsync=off")
            with container:
                url = container.get_connection_url()
                server = PostgresServer(url, url, AMERICAN)
                yield server
                server.close()


@pytest.fixture
def storage(server, tmp_path, monkeypatch):
    with storage_of("postgresql-directory", tmp_path, monkeypatch, server) as storage:
        yield storage


def test_the_image_is_another_postgresql_and_orders_texts_otherwise(server, storage):
    with server.connect(storage.make_database()) as connection:
        row = connection.execute("""SELECT 'a_b' < 'a1', 'a_b' < 'a1' COLLATE "C" """).fetchone()
        assert connection.info.server_version // 10000 == 15
    assert row == (True, False)


@pytest.fixture
def minio(monkeypatch):
    """A bucket of a MinIO server; skips with the reason where no engine has its image."""
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    with docker_engine(MINIO):
        import obstore
        from obstore.store import S3Store
        from testcontainers.core.container import DockerContainer

        key, secret = secrets.token_hex(10), secrets.token_hex(20)
        container = DockerContainer(MINIO).with_command("server /data").with_exposed_ports(9000)
        with container.with_env("MINIO_ROOT_USER", key).with_env("MINIO_ROOT_PASSWORD", secret):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
            endpoint = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(9000)}"
            client = S3Store(
                "carnet", endpoint=endpoint, region="us-east-1", client_options={"allow_http": True}
            )
            end = time.monotonic() + 60
            while True:
                create = urllib.request.Request(
                    obstore.sign(client, "PUT", "", timedelta(seconds=60)), method="PUT"
                )
                with contextlib.suppress(URLError, ConnectionError):
                    urllib.request.urlopen(create, timeout=5).close()
                    break
                assert time.monotonic() < end, "MinIO does not answer"
                time.sleep(0.2)
            yield f"s3://carnet?endpoint={endpoint}&region=us-east-1&path_style=true"


@pytest.mark.parametrize("size", [5000, PART_BYTES + 5000])
def test_blobs_are_kept_by_minio(minio, size):
    data = secrets.token_bytes(size)
    blob = Blob(sha256_hex(data), size)
    with contextlib.closing(open_store(minio)) as store, contextlib.closing(open_store(minio)) as other:
        store.check()
        begun = store.open_upload("risk", blob)
        begun.append(data[: size - 1])
        begun.close()
        for each, namespace in ((store, "risk"), (other, "growth")):  # the second agrees with the first
            upload = each.open_upload(namespace, blob)
            upload.append(data[upload.offset :])
            upload.finish()
        assert other.read_small(blob) == data
        assert other.find_missing([blob]) == []
        assert store.remove(blob.digest)
        assert other.find_missing([blob]) == [blob]
