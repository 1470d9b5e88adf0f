"""An S3 endpoint of one's own: buckets by environment, nobody without the key, and no secret in sight."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request

import obstore
import psutil
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from carnet.errors import InvalidInputError, UnavailableError
from carnet_server.local.backends import object_storage
from carnet_server.local.backends.configuration import BackendConfig
from tests.support.backends import free_port


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """The endpoint, serving, as `carnet up` starts it; its description and its key."""
    folder = tmp_path_factory.mktemp("s3")
    config = BackendConfig(free_port(), folder / "s3")
    object_storage.prepare(config, ["carnet-dev", "carnet-prod"])
    config.save(folder / "s3.yaml", comment="An endpoint.")
    key = object_storage.key_pair()
    module = "carnet_server.local.backends.object_storage"
    with subprocess.Popen(
        [sys.executable, "-m", module, "--config", str(folder / "s3.yaml")],
        env=os.environ | object_storage.server_variables(*key),
        stderr=subprocess.DEVNULL,
    ) as server:
        while not object_storage.answers(config, 1):
            assert server.poll() is None
        yield config, key, server.pid
        server.terminate()


def store(config, bucket, key):
    return S3Store(
        bucket,
        endpoint=f"http://{config.endpoint}",
        region=object_storage.REGION,
        access_key_id=key[0],
        secret_access_key=key[1],
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def test_objects_are_kept_as_files_in_their_bucket(endpoint):
    config, key, _ = endpoint
    obstore.put(store(config, "carnet-dev", key), "blobs/a", b"bytes")
    assert bytes(obstore.get(store(config, "carnet-dev", key), "blobs/a").bytes()) == b"bytes"
    assert (config.folder / "carnet-dev" / "blobs" / "a").read_bytes() == b"bytes"
    assert not list((config.folder / "carnet-prod").iterdir())


def test_a_bucket_that_was_not_made_is_not_there(endpoint):
    config, key, _ = endpoint
    with pytest.raises(FileNotFoundError):
        obstore.put(store(config, "carnet-other", key), "a", b"bytes")


@pytest.mark.parametrize("wrong", [0, 1])
def test_another_key_is_refused(endpoint, wrong):
    config, key, _ = endpoint
    other = list(key)
    other[wrong] = object_storage.key_pair()[wrong]
    with pytest.raises(BaseError):
        obstore.put(store(config, "carnet-dev", other), "forged", b"bytes")
    assert not (config.folder / "carnet-dev" / "forged").exists()


def test_whoever_has_no_key_is_refused(endpoint):
    config, _, _ = endpoint
    request = urllib.request.Request(f"http://{config.endpoint}/carnet-dev/x", data=b"bytes", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5)
    refused.value.close()
    assert not (config.folder / "carnet-dev" / "x").exists()


def test_the_secret_is_not_on_its_command_line_and_it_listens_only_on_loopback(endpoint):
    config, key, pid = endpoint
    process = psutil.Process(pid)
    assert "serve" in process.cmdline()
    assert not [argument for argument in process.cmdline() if key[1] in argument]
    listening = [each for each in process.net_connections() if each.status == psutil.CONN_LISTEN]
    assert [tuple(each.laddr) for each in listening] == [("127.0.0.1", config.port)]


def test_it_is_not_started_without_a_key(tmp_path):
    BackendConfig(1, tmp_path / "s3").save(tmp_path / "s3.yaml", comment="An endpoint.")
    module = "carnet_server.local.backends.object_storage"
    command = [sys.executable, "-m", module, "--config", str(tmp_path / "s3.yaml")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "RCLONE_AUTH_KEY is not set" in done.stderr


def test_nothing_answers_where_nothing_listens(tmp_path):
    assert not object_storage.answers(BackendConfig(free_port(), tmp_path), 1)


def test_a_url_says_all_but_the_secret():
    assert object_storage.bucket_url(7405, "carnet-dev") == (
        "s3://carnet-dev?endpoint=http://127.0.0.1:7405&region=us-east-1&path_style=true"
    )


@pytest.mark.parametrize(("name", "bucket"), [("dev", "carnet-dev"), ("prod_eu", "carnet-prod-eu")])
def test_an_environments_bucket(name, bucket):
    assert object_storage.bucket_name(name) == bucket


@pytest.mark.parametrize("name", ["a" * 57, "Dev", "a/b", "a-", ""])
def test_a_name_that_no_bucket_can_have_is_refused(name):
    with pytest.raises(InvalidInputError, match="no bucket can be called"):
        object_storage.bucket_name(name)


def test_a_folder_that_is_there_is_kept(tmp_path):
    (tmp_path / "s3").mkdir()
    with pytest.raises(UnavailableError, match="the folder of the object store cannot be made"):
        object_storage.prepare(BackendConfig(1, tmp_path / "s3"), ["carnet-dev"])


def test_no_two_key_pairs_are_alike():
    pairs = [object_storage.key_pair() for _ in range(10)]
    assert len({text for pair in pairs for text in pair}) == 20
    assert {(len(key_id), len(secret)) for key_id, secret in pairs} == {(20, 40)}
