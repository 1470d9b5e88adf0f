"""A Docker engine for the tests that need one; where none answers, they are skipped with the reason."""

from __future__ import annotations

import contextlib
import gc
import warnings
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def _connect(docker: Any) -> tuple[Any, str]:
    """Return a client and nothing, or nothing and the reason."""
    with warnings.catch_warnings():
        # An attempt that fails leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        client = None
        try:
            client = docker.from_env(timeout=60)
            client.ping()
        except docker.errors.DockerException as error:
            reason = f"no Docker engine answers: {error}"
        else:
            return client, ""
        if client is not None:
            client.close()
        gc.collect()
        return None, reason


@contextlib.contextmanager
def docker_engine(*images: str) -> Iterator[Any]:
    """Give a client whose engine answers and has some images; skips with the reason where there is none."""
    docker = pytest.importorskip("docker")
    client, reason = _connect(docker)
    if client is None:
        pytest.skip(reason)
    with contextlib.closing(client):
        for image in images:
            try:
                client.images.get(image)
            except docker.errors.ImageNotFound:
                pytest.skip(f"the image {image} is not on this machine")
        yield client
