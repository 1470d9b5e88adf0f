"""What ``blobs:`` may say, and that nobody's secret is repeated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carnet.errors import CarnetError, InvalidInputError
from carnet_server.blobs.directory.store import DirectoryStore
from carnet_server.blobs.opening import open_store, resolve_blobs_url

FOLDER = Path("/etc/carnet")
SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("file:blobs", "file:/etc/carnet/blobs"),
        ("file:/var/blobs", "file:/var/blobs"),
        ("file:///var/blobs", "file:/var/blobs"),
        ("file:a b/c:d", "file:/etc/carnet/a b/c:d"),
        ("blobs", "file:/etc/carnet/blobs"),
        ("./blobs", "file:/etc/carnet/blobs"),
        ("/var/blobs", "file:/var/blobs"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        (
            "s3://bucket/a?region=eu-west-1&path_style=true&endpoint=http://127.0.0.1:9000/",
            "s3://bucket/a?endpoint=http://127.0.0.1:9000&path_style=true&region=eu-west-1",
        ),
        ("s3://bucket?endpoint=http%3A%2F%2Fhost", "s3://bucket?endpoint=http://host"),
        ("s3://bucket?endpoint=https://[::1]:9000", "s3://bucket?endpoint=https://%5B::1%5D:9000"),
        ("s3://bucket?ca=tls/ca.pem", "s3://bucket?ca=/etc/carnet/tls/ca.pem"),
        ("s3://bucket?profile=my team", "s3://bucket?profile=my%20team"),
        ("gs://bucket/models", "gs://bucket/models"),
        ("az://container?account=store1", "az://container?account=store1"),
    ],
)
def test_paths_become_absolute_and_urls_get_one_form(url, resolved):
    assert resolve_blobs_url(url, FOLDER) == resolved
    assert resolve_blobs_url(resolved, Path("/elsewhere")) == resolved


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no folder"),
        ("file:", "no folder"),
        ("file: ", "no folder"),
        ("file:a\0b", "no folder"),
        ("file://host/blobs", "another machine"),
        ("http://bucket", "scheme 'http'"),
        ("S3://bucket", "scheme 'S3'"),
        ("s3:bucket", "two slashes"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("az://", "names no container"),
        ("s3://x", "not the name of a bucket"),
        ("s3://bucket:9000", "not the name of a bucket"),
        ("s3://buck et", "not the name of a bucket"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/../b", "prefix"),
        ("s3://bucket/ä", "prefix"),
        ("s3://bucket#x", "'#'"),
        ("s3://[bucket", "cannot be read"),
        ("s3://bucket?region", "cannot be read"),
        ("s3://bucket?region=", "no value"),
        ("s3://bucket?region=a&region=b", "twice"),
        ("s3://bucket?region=EU West", "region"),
        ("s3://bucket?path_style=yes", "true or false"),
        ("s3://bucket?account=abc", "no parameter 'account'"),
        ("gs://bucket?region=x", "no parameter 'region'"),
        ("az://container?account=A!", "account"),
        ("s3://bucket?endpoint=ftp://host", "endpoint"),
        ("s3://bucket?endpoint=host:9000", "endpoint"),
        ("s3://bucket?endpoint=http://", "endpoint"),
        ("s3://bucket?endpoint=http://host:0", "endpoint"),
        ("s3://bucket?endpoint=http://host:99999", "endpoint"),
        ("s3://bucket?endpoint=http://300.1.1.1", "endpoint"),
        ("s3://bucket?endpoint=http://[zz]", "endpoint"),
        ("s3://bucket?endpoint=http://a..b", "endpoint"),
        ("s3://bucket?endpoint=http://host/%3Fa=b", "endpoint"),
        ("s3://bucket?endpoint=http://127.0.0.1&path_style=false", "address"),
        (f"s3://AKIA:{SECRET}@bucket", "user or a password"),
        (f"s3://{SECRET}@bucket", "user or a password"),
        (f"s3://bucket?endpoint=http://me:{SECRET}@host", "user or a password"),
        (f"s3://bucket?secret_access_key={SECRET}", "AWS_SECRET_ACCESS_KEY"),
        (f"s3://bucket?{SECRET}=x", "no parameter"),
        (f"az://container?sas_key={SECRET}", "AZURE_STORAGE_ACCOUNT_KEY"),
        (f"s3://bucket?region=eu/{SECRET}", "region"),
        (f"s3://bucket?path_style={SECRET}", "true or false"),
    ],
)
def test_what_cannot_be_used_is_refused_naming_the_key_and_no_secret(url, words):
    with pytest.raises(InvalidInputError, match=words) as caught:
        resolve_blobs_url(url, FOLDER)
    assert caught.value.message.startswith("blobs: ")
    assert caught.value.metadata == {"field": "blobs"}
    assert SECRET not in caught.value.message
    assert SECRET not in str(caught.value.__cause__)
    with pytest.raises(InvalidInputError, match=words):
        open_store(url)


@given(
    st.sampled_from(["", "file:", "s3:", "s3://", "s3://bucket?", "s3://bucket?endpoint=", "az://"]),
    st.text(max_size=40),
)
def test_no_text_makes_it_fail_otherwise(beginning, rest):
    try:
        resolved = resolve_blobs_url(beginning + rest, FOLDER)
    except CarnetError:
        return
    assert resolve_blobs_url(resolved, FOLDER) == resolved


def test_a_relative_certificate_file_is_no_matter_for_opening():
    with pytest.raises(InvalidInputError, match="absolute"):
        open_store("s3://bucket?ca=ca.pem")


def test_a_folder_is_opened_without_obstore(tmp_path):
    program = (
        "import sys\n"
        "from carnet_server.blobs.opening import open_store, resolve_blobs_url\n"
        "open_store(sys.argv[1]).check()\n"
        "resolve_blobs_url('s3://bucket?region=eu-west-1', __import__('pathlib').Path('/'))\n"
        "assert 'obstore' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, f"file:{tmp_path}/blobs"], check=True, timeout=60)
    assert isinstance(open_store(f"file:{tmp_path}/blobs"), DirectoryStore)


def test_without_obstore_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "carnet_server.blobs.objects.connect", None)
    with pytest.raises(InvalidInputError, match="pip install 'carnet.server.'"):
        open_store("s3://bucket")
