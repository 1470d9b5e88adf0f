"""An S3 endpoint of one's own, on the loopback address, over a folder.

Responsible for the folder, one bucket a sub-folder, and for becoming the endpoint:
``python -m carnet_server.local.backends.object_storage --config FILE``, with the accepted key pair in
``RCLONE_AUTH_KEY``. Signatures of requests are checked. Buckets hold what is put there as plain files.
"""

from __future__ import annotations

import http.client
import os
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from carnet.errors import CarnetError, InvalidInputError, UnavailableError
from carnet_server.local.backends.configuration import HOST, configured
from carnet_server.local.backends.programs import rclone_program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from carnet_server.local.backends.configuration import BackendConfig

REGION = "us-east-1"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


def bucket_name(environment: str) -> str:
    """The bucket of an environment.

    Args:
        environment: Its name.

    Raises:
        InvalidInputError: No bucket can be called so.
    """
    name = f"carnet-{environment.replace('_', '-')}"
    if not _BUCKET.fullmatch(name):
        raise InvalidInputError(f"no bucket can be called {name!r}: give the environment a shorter name")
    return name


def bucket_url(port: int, bucket: str) -> str:
    """The URL of a bucket at an endpoint of one's own, as ``blobs:`` takes it.

    Args:
        port: The endpoint's port.
        bucket: The bucket.
    """
    where = {"endpoint": f"http://{HOST}:{port}", "region": REGION, "path_style": "true"}
    return f"s3://{bucket}?{urlencode(where, safe=':/')}"


def key_pair() -> tuple[str, str]:
    """Make up a key id and a secret of the lengths that S3 has: 20 and 40 characters."""
    return secrets.token_hex(10).upper(), secrets.token_hex(20)


def prepare(config: BackendConfig, buckets: Iterable[str]) -> None:
    """Make an endpoint's folder.

    Args:
        config: The endpoint; its folder must not be there.
        buckets: The buckets that it has from the beginning.

    Raises:
        InvalidInputError: rclone is not installed.
        UnavailableError: The folder cannot be made.
    """
    rclone_program()
    try:
        config.folder.mkdir(parents=True, mode=0o700)
        for bucket in buckets:
            (config.folder / bucket).mkdir()
    except OSError as error:
        raise UnavailableError(f"the folder of the object store cannot be made: {error}") from error


def server_variables(key_id: str, secret: str) -> dict[str, str]:
    """What the endpoint's environment must have to accept a key pair; kept off its command line.

    Args:
        key_id: The key's id.
        secret: Its secret.
    """
    return {"RCLONE_AUTH_KEY": f'"{key_id},{secret}"'}


def client_variables(key_id: str, secret: str) -> dict[str, str]:
    """What a client's environment must have to use a key pair.

    Args:
        key_id: The key's id.
        secret: Its secret.
    """
    return {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}


def server_command(program: Path, config: BackendConfig) -> list[str]:
    """The command that serves a folder.

    Args:
        program: rclone.
        config: The endpoint.
    """
    return [
        str(program),
        *("serve", "s3", "--addr", config.endpoint),
        *("--config", "", "--cache-dir", f"{config.folder}.cache"),
        str(config.folder),
    ]


def answers(config: BackendConfig, timeout_seconds: int) -> bool:
    """Whether the endpoint answers requests, if only with a refusal.

    Args:
        config: The endpoint.
        timeout_seconds: How long to wait for its answer.
    """
    connection = http.client.HTTPConnection(HOST, config.port, timeout=timeout_seconds)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def main() -> None:
    """Become the endpoint that ``--config`` describes."""
    try:
        command = server_command(rclone_program(), configured())
        if not os.environ.get("RCLONE_AUTH_KEY"):
            raise InvalidInputError("RCLONE_AUTH_KEY is not set: without it, anybody could write")
        os.execv(command[0], command)  # noqa: S606  a program of our own choice
    except (CarnetError, OSError) as error:
        raise SystemExit(f"the S3 endpoint cannot be started: {error}") from error


if __name__ == "__main__":
    main()
