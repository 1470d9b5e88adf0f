"""Connecting to an object store.

Responsible for obstore's settings, each set here because somebody waits: a request and its repetitions end
within about a minute, so that an upload fails rather than hangs and the caller's own patience takes over.

Credentials are never in the URL: obstore takes them from the environment, a web identity, or the metadata of
the container or machine; shared profiles are read by boto3, where that is installed.
"""

from __future__ import annotations

import importlib
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from carnet_server.blobs.objects.bucket import Bucket
from carnet_server.blobs.objects.errors import OBSTORE_ERRORS
from carnet_server.blobs.objects.location import refuse
from carnet_server.blobs.objects.store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import (
        AzureConfig,
        ClientConfig,
        GCSConfig,
        RetryConfig,
        S3Config,
        S3CredentialProvider,
    )
    from obstore.store import ObjectStore as Client

    from carnet_server.blobs.objects.location import ObjectLocation

CONNECT_TIMEOUT = timedelta(seconds=5)
REQUEST_TIMEOUT = timedelta(seconds=60)
RETRIES: RetryConfig = {
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}
_DEFAULT_PROFILE = "default"
_BEFORE_PROFILES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def connect(location: ObjectLocation) -> ObjectStore:
    """Return the store at a location; nothing is sent to it.

    Args:
        location: Where.

    Returns:
        The store.

    Raises:
        InvalidInputError: A file or package that it needs is not there, or obstore refuses a setting.
    """
    options: ClientConfig = {"connect_timeout": CONNECT_TIMEOUT, "timeout": REQUEST_TIMEOUT}
    if location.endpoint.startswith("http://"):
        options["allow_http"] = True
    if location.ca:
        options["root_certificate"] = _read_ca(location.ca)
    try:
        client = _client(location, options)
    except OBSTORE_ERRORS as error:
        raise refuse(f"{location.name} cannot be used: {str(error).partition(chr(10))[0][:200]}") from None
    return ObjectStore(Bucket(client, location.name), credentials=location.credentials)


def _read_ca(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise refuse(f"the file of certificates {path} cannot be read: {error.strerror}") from error


def _client(location: ObjectLocation, options: ClientConfig) -> Client:
    prefix = location.prefix or None
    if location.scheme == "gs":
        gcs: GCSConfig = {"base_url": location.endpoint} if location.endpoint else {}
        return GCSStore(
            location.bucket, prefix=prefix, config=gcs, client_options=options, retry_config=RETRIES
        )
    if location.scheme == "az":
        azure: AzureConfig = {"account_name": location.account} if location.account else {}
        if location.endpoint:
            azure["endpoint"] = location.endpoint
        return AzureStore(
            location.bucket, prefix=prefix, config=azure, client_options=options, retry_config=RETRIES
        )
    config: S3Config = {"endpoint": location.endpoint} if location.endpoint else {}
    if location.region:
        config["region"] = location.region
    if location.path_style is not None:
        config["virtual_hosted_style_request"] = not location.path_style
        if location.endpoint and not location.path_style:
            config["endpoint"] = _with_bucket(location)
    return S3Store(
        location.bucket,
        prefix=prefix,
        config=config,
        client_options=options,
        retry_config=RETRIES,
        credential_provider=_shared_profile(location, os.environ),
    )


def _with_bucket(location: ObjectLocation) -> str:
    """Put the bucket into the endpoint's host, where obstore expects it for this style."""
    parts = urlsplit(location.endpoint)
    return parts._replace(netloc=f"{location.bucket}.{parts.netloc}").geturl()


def _default_profile(environment: Mapping[str, str]) -> str:
    """Return the profile that a machine's shared file of credentials has; empty where it has none."""
    file = environment.get("AWS_SHARED_CREDENTIALS_FILE", "") or "~/.aws/credentials"
    try:
        return _DEFAULT_PROFILE if f"[{_DEFAULT_PROFILE}]" in Path(file).expanduser().read_text() else ""
    except (OSError, ValueError, RuntimeError):
        return ""


def _shared_profile(location: ObjectLocation, environment: Mapping[str, str]) -> S3CredentialProvider | None:
    """Return what reads the credentials of a shared profile; None where one is not asked for."""
    profile = location.profile
    if not profile:
        if any(environment.get(name) for name in _BEFORE_PROFILES):
            return None
        profile = environment.get("AWS_PROFILE", "") or _default_profile(environment)
        if not profile:
            return None
    try:
        boto3 = importlib.import_module("boto3")
        provider = importlib.import_module("obstore.auth.boto3").Boto3CredentialProvider
    except ImportError:
        raise refuse(
            f"the credentials of the shared profile {profile!r} are read by boto3, which is not "
            "installed: pip install boto3"
        ) from None
    try:
        found: S3CredentialProvider = provider(boto3.Session(profile_name=profile))
    except Exception as error:  # noqa: BLE001  boto3's errors have no class in common with anything here
        raise refuse(
            f"the shared profile {profile!r} gives no credentials ({type(error).__name__})"
        ) from None
    return found
