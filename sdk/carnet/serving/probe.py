"""Whether the service of a configuration file serves: ``python -m carnet.serving.probe --config FILE``.

Responsible for one question to the gRPC health service at the address that the file says it listens at. It
shows the service's own certificate, so that a container or a unit that runs the service can look after it
with no further identity. Reads ``listen`` and ``tls`` of a registry's configuration or of the promotion
service's, and checks nothing else of them. Starts nothing and stops nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import grpc
import grpc.aio
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import BaseModel, ConfigDict, Field

from carnet.client.channel import TlsIdentity, open_channel
from carnet.documents import read_document
from carnet.errors import CarnetError, DocumentInvalidError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_TIMEOUT_SECONDS = 3.0
EXIT_NOT_SERVING = 1
# What listens everywhere is asked on loopback.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "::": "[::1]", "*": "127.0.0.1"}  # noqa: S104


class _Tls(BaseModel):
    model_config = ConfigDict(strict=True)

    certificate: str
    key: str
    ca: str


class _ServiceDocument(BaseModel):
    """What ``environment.yaml`` and ``sync.yaml`` have in common, as far as it is needed here."""

    model_config = ConfigDict(strict=True)

    listen: Annotated[str, Field(pattern=r"^.+:[0-9]{1,5}$")]
    tls: _Tls


def _local_endpoint(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    return f"{_EVERYWHERE.get(host, host)}:{port}"


def _server_name(certificate: bytes) -> str:
    try:
        names = (
            x509.load_pem_x509_certificate(certificate)
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value.get_values_for_type(x509.DNSName)
        )
    except (ValueError, x509.ExtensionNotFound) as error:
        raise DocumentInvalidError(
            f"tls.certificate: not a server's certificate in PEM form: {error}"
        ) from error
    if not names:
        raise DocumentInvalidError(
            "tls.certificate: the certificate has no DNS name, which a server's needs: issue it with one"
        )
    return names[0]


async def _check(endpoint: str, server_name: str, identity: TlsIdentity, timeout_seconds: float) -> None:
    async with open_channel(endpoint, server_name=server_name, identity=identity) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=timeout_seconds
            )
        except grpc.aio.AioRpcError as error:
            raise UnavailableError(f"{endpoint}: {error.code().name}: {error.details()}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise UnavailableError(f"{endpoint} answers {status}")


def probe(config: Path, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> str:
    """Ask the service of a configuration file whether it serves (grpc.health.v1.Health/Check).

    Args:
        config: Its ``environment.yaml`` or ``sync.yaml``.
        timeout_seconds: How long to wait for the answer.

    Returns:
        The address that answered, ``host:port``.

    Raises:
        FileUnreadableError: The configuration, certificate or key cannot be read.
        DocumentInvalidError: The configuration or the certificate is malformed.
        CertificateExpiredError: The service's certificate is not valid now.
        UnavailableError: It does not answer, or does not serve.
    """
    document = read_document(config, _ServiceDocument, what="the service's configuration")
    folder = config.resolve().parent
    identity = TlsIdentity.load(
        folder / document.tls.certificate, folder / document.tls.key, folder / document.tls.ca
    )
    endpoint = _local_endpoint(document.listen)
    asyncio.run(_check(endpoint, _server_name(identity.certificate), identity, timeout_seconds))
    return endpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe once, and say on standard output what came out.

    Args:
        arguments: The command line without the program's name; None for the process's.

    Returns:
        0 where it serves, 1 where it does not or cannot be asked.
    """
    parser = argparse.ArgumentParser(
        prog="python -m carnet.serving.probe", description="Ask a service whether it serves."
    )
    parser.add_argument("--config", type=Path, required=True, help="its environment.yaml or sync.yaml")
    parser.add_argument(
        "--timeout", type=float, default=DEFAULT_TIMEOUT_SECONDS, metavar="SECONDS", help="for the answer"
    )
    options = parser.parse_args(arguments)
    try:
        endpoint = probe(options.config, timeout_seconds=options.timeout)
    except CarnetError as error:
        print(f"not serving: {error.message}")  # noqa: T201  kept by whoever asks, such as a container engine
        return EXIT_NOT_SERVING
    print(f"serving at {endpoint}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
