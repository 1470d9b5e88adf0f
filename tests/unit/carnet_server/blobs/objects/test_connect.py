"""What a URL comes to in obstore's settings."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

from carnet.errors import InvalidInputError, UnavailableError
from carnet_server.blobs.objects.connect import connect
from carnet_server.blobs.objects.location import parse_location


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in (
        *("AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        *(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AWS_ENDPOINT_URL",
            "AWS_REGION",
        ),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A" * 20)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b" * 28)


def client_of(url: str):
    store = connect(parse_location(url))
    store.close()
    return store._bucket.client


@pytest.mark.parametrize(
    ("query", "config"),
    [
        ("", {}),
        ("?region=eu-west-1", {"region": "eu-west-1"}),
        ("?endpoint=http://host:1", {"endpoint": "http://host:1"}),
        ("?path_style=true", {"virtual_hosted_style_request": False}),
        ("?path_style=false", {"virtual_hosted_style_request": True}),
        ("?endpoint=https://host:1&path_style=false", {"endpoint": "https://bucket.host:1"}),
        ("?endpoint=https://host/base&path_style=true", {"endpoint": "https://host/base"}),
    ],
)
def test_parameters_of_s3_are_obstores(query, config):
    client = client_of(f"s3://bucket/some/prefix{query}")
    assert client.prefix == "some/prefix"
    assert client.config["bucket"] == "bucket"
    for name, value in config.items():
        assert str(client.config[name]).lower() == str(value).lower()


@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket", "az://container?account=abc"])
def test_every_store_is_waited_for_in_bounded_time(url):
    client = client_of(url)
    assert client.retry_config["max_retries"] == 5
    assert client.retry_config["retry_timeout"].total_seconds() == 30
    assert "allow_http" not in client.client_options
    options = {name: str(value) for name, value in client.client_options.items()}
    assert "5" in options["connect_timeout"]
    assert "60" in options["timeout"] or "1" in options["timeout"]


@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket", "az://container"])
def test_http_is_allowed_only_when_the_endpoint_says_so(url):
    query = "account=abc&" if url.startswith("az") else ""
    client = client_of(f"{url}?{query}endpoint=http://127.0.0.1:10000")
    assert str(client.client_options["allow_http"]).lower() == "true"
    assert "allow_http" not in client_of(f"{url}?{query}endpoint=https://127.0.0.1:10000").client_options


def test_azure_without_an_account_is_refused():
    with pytest.raises(InvalidInputError, match="blobs: az://container.*[Aa]ccount"):
        connect(parse_location("az://container"))


def test_certificates_are_read_from_their_file(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(InvalidInputError, match="blobs: "):
        connect(parse_location("s3://bucket?ca=ca.pem&endpoint=https://host", tmp_path))


@pytest.fixture
def profiles(monkeypatch):
    """boto3 as far as it is used here, and what was asked of it."""
    asked = []

    class Provider:
        config: ClassVar[dict] = {}

        def __init__(self, session):
            if session.profile == "unknown":
                raise LookupError("a secret")

        def __call__(self):
            return {"access_key_id": "x", "secret_access_key": "y", "token": None, "expires_at": None}

    def session(*, profile_name):
        asked.append(profile_name)
        return SimpleNamespace(profile=profile_name)

    boto3, provider = ModuleType("boto3"), ModuleType("obstore.auth.boto3")
    boto3.Session, provider.Boto3CredentialProvider = session, Provider
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    monkeypatch.setitem(sys.modules, "obstore.auth.boto3", provider)
    return asked


def test_a_profile_in_the_url_goes_before_the_environment(profiles):
    assert client_of("s3://bucket?profile=team").credential_provider is not None
    assert profiles == ["team"]


def test_a_profile_in_the_environment_is_used_where_no_key_is(profiles, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert client_of("s3://bucket").credential_provider is None
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert client_of("s3://bucket").credential_provider is not None
    assert profiles == ["team"]


def test_the_shared_file_of_credentials_is_read_where_nothing_else_says_who_we_are(
    profiles, monkeypatch, tmp_path
):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    client_of("s3://bucket")
    file.write_text("[other]\naws_access_key_id = x\n")
    client_of("s3://bucket")
    assert profiles == []
    file.write_text("[default]\naws_access_key_id = x\n")
    client_of("s3://bucket")
    assert profiles == ["default"]


def test_a_profile_that_is_not_there_is_named_and_its_error_is_not_shown(profiles):
    with pytest.raises(InvalidInputError, match="'unknown' gives no credentials") as caught:
        connect(parse_location("s3://bucket?profile=unknown"))
    assert "a secret" not in caught.value.message


def test_an_endpoint_from_the_environment_does_not_make_http_allowed(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    store = connect(parse_location("s3://bucket"))
    with pytest.raises(UnavailableError, match=r"only where \?endpoint= says so"):
        store.check()
    store.close()
