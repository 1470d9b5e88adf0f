"""The demo in a stock Python container: no root, no network, nothing writable but a small /tmp."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.docker_engine import docker_engine

IMAGE = "python:3.11-slim-bookworm"
ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("sdk", "server", "sync", "policies")


@pytest.fixture
def engine(monkeypatch):
    """A Docker client whose engine answers and has the image; skips with the reason where none does."""
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    with docker_engine(IMAGE) as client:
        yield client


@pytest.mark.docker
@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the installed packages must fit the image's Python"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_demo_needs_neither_root_nor_network(engine):
    from testcontainers.core.container import DockerContainer

    container = (
        DockerContainer(IMAGE)
        .with_volume_mapping(str(ROOT), "/carnet", "ro")
        .with_volume_mapping(sysconfig.get_path("purelib"), "/packages", "ro")
        .with_env("PYTHONPATH", ":".join([*(f"/carnet/{each}" for each in SOURCES), "/packages"]))
        .with_env("HOME", "/tmp")
        .with_kwargs(network_mode="none", user="65534:65534", read_only=True)
        .with_tmpfs_mount("/tmp", "size=512m")
        .with_command("python3 -m carnet.cli.main demo --dir /tmp/federation")
    )
    with container:
        wrapped = container.get_wrapped_container()
        outcome = wrapped.wait(timeout=100)
        output = wrapped.logs().decode()
    assert outcome["StatusCode"] == 0, output
    assert "champion in prod is version 1 again" in output
    assert "detected at entry" in output
