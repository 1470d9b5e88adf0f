"""A second registry process of dev, over the same PostgreSQL database."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from carnet.client.channel import TlsIdentity
from carnet.client.connection import RegistryConnection
from carnet.client.federation import Federation
from carnet_server.local.files import read_variables
from carnet_server.local.initialise import free_ports
from carnet_server.local.stores import variables_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.federation import LocalFederation


def own_environment(federation: LocalFederation, name: str) -> dict[str, str]:
    """The variables of a process of the federation: its secrets are there."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return variables | read_variables(variables_file(federation.folder, name))


@contextlib.contextmanager
def second_process(federation: LocalFederation) -> Iterator[int]:
    """Run another process of dev within a block; gives its port."""
    port = free_ports(1, 29_200)[0]
    folder = federation.folder / "environments" / "dev"
    config = folder / "second.yaml"
    document = yaml.safe_load((folder / "environment.yaml").read_text())
    config.write_text(yaml.safe_dump(document | {"listen": f"127.0.0.1:{port}"}))
    process = subprocess.Popen(
        [sys.executable, "-m", "carnet_server", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=own_environment(federation, "dev"),
    )
    try:
        for line in process.stderr or ():
            if line.startswith("listening"):
                break
        else:
            pytest.fail("the second process does not serve")
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=30)
        config.unlink()


def connect_to(federation: LocalFederation, identity: str, port: int) -> RegistryConnection:
    """A bare connection to a process of dev, as whoever has the certificate in a folder of the federation."""
    folder = federation.folder / identity
    known = Federation.load(federation.folder)
    tls = TlsIdentity.load(folder / "tls.pem", folder / "tls-key.pem", known.ca)
    name = known.environment("dev").server_name
    return RegistryConnection(f"127.0.0.1:{port}", server_name=name, identity=tls, environment="dev")
