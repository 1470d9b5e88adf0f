"""The health probe, against a server that asks for certificates."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from carnet.errors import (
    CarnetError,
    CertificateExpiredError,
    DocumentInvalidError,
    FileUnreadableError,
    UnavailableError,
)
from carnet.serving.probe import main, probe
from carnet_server.local.authority import LEAF_VALID_FOR, Authority

TLS = {"certificate": "tls.pem", "key": "tls-key.pem", "ca": "ca/ca.pem"}
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Service:
    """A folder as a service has it, and a server on its certificate."""

    def __init__(self, folder, authority: Authority) -> None:
        authority.save(folder / "ca")
        authority.issue(folder, spiffe_id="spiffe://carnet.test/registry/dev", server_name="dev.carnet.test")
        self.folder = folder
        self.health = health.HealthServicer(experimental_non_blocking=False)
        self.server = grpc.server(ThreadPoolExecutor(2))
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.server)
        pair = (folder / "tls-key.pem").read_bytes(), (folder / "tls.pem").read_bytes()
        credentials = grpc.ssl_server_credentials([pair], (folder / "ca" / "ca.pem").read_bytes(), True)
        self.port = self.server.add_secure_port("0.0.0.0:0", credentials)
        self.server.start()

    def write(self, *, listen: str = "", file: str = "environment.yaml", **changes):
        document = {
            "listen": listen or f"127.0.0.1:{self.port}",
            "tls": TLS,
            "database": "anything",
            **changes,
        }
        path = self.folder / file
        path.write_text(yaml.safe_dump(document))
        return path


@pytest.fixture(scope="module")
def authority():
    return Authority.create("carnet.test")


@pytest.fixture
def service(tmp_path, authority):
    made = Service(tmp_path, authority)
    yield made
    made.server.stop(0).wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_service_that_serves_is_found_where_it_listens(service, host, capsys):
    config = service.write(listen=f"{host}:{service.port}")
    assert main(["--config", str(config)]) == 0
    assert capsys.readouterr().out.startswith("serving at ")


def test_what_listens_on_every_interface_is_asked_on_loopback(service):
    assert probe(service.write(listen=f"0.0.0.0:{service.port}")) == f"127.0.0.1:{service.port}"


def test_both_services_documents_are_read(service):
    for file, more in (
        ("environment.yaml", {"schema": "carnet.environment/v1", "name": "dev", "blobs": "file:data"}),
        ("sync.yaml", {"schema": "carnet.sync/v1", "routes": [], "callers": []}),
    ):
        assert probe(service.write(file=file, **more))


def test_a_service_that_says_no_does_not_serve(service, capsys):
    service.health.set("", NOT_SERVING)
    assert main(["--config", str(service.write())]) == 1
    assert "answers NOT_SERVING" in capsys.readouterr().out
    service.health.set("", SERVING)
    assert main(["--config", str(service.write())]) == 0


def test_nobody_listening_is_not_serving(service, capsys):
    config = service.write()
    service.server.stop(0).wait()
    assert main(["--config", str(config), "--timeout", "1"]) == 1
    assert "UNAVAILABLE" in capsys.readouterr().out


def test_a_service_that_takes_the_connection_and_says_nothing_is_not_serving(service):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = service.write(listen=f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(UnavailableError):
            probe(config, timeout_seconds=0.5)


def test_somebody_else_at_the_address_is_not_it(service, tmp_path):
    other = tmp_path / "other"
    Authority.create("carnet.test").save(other / "ca")
    config = service.write(tls=TLS | {"ca": "other/ca/ca.pem"})
    with pytest.raises(UnavailableError):
        probe(config)


def no_file(service):
    return service.folder / "missing.yaml"


def no_tls(service):
    return service.write(tls={"certificate": "tls.pem"})


def no_port(service):
    return service.write(listen="127.0.0.1")


def no_key(service):
    return service.write(tls=TLS | {"key": "gone.pem"})


def no_certificate(service):
    (service.folder / "tls.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    return service.write()


def a_clients_certificate(service):
    Authority.load(service.folder / "ca").issue(service.folder / "client", spiffe_id="spiffe://carnet.test/x")
    return service.write(tls=TLS | {"certificate": "client/tls.pem", "key": "client/tls-key.pem"})


def an_old_certificate(service):
    issuer = Authority.load(service.folder / "ca")
    issuer.issue(
        service.folder / "old",
        spiffe_id="spiffe://carnet.test/registry/dev",
        server_name="dev.carnet.test",
        now=issuer.certificate.not_valid_before_utc - 2 * LEAF_VALID_FOR,
    )
    return service.write(tls=TLS | {"certificate": "old/tls.pem", "key": "old/tls-key.pem"})


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (no_file, FileUnreadableError),
        (no_tls, DocumentInvalidError),
        (no_port, DocumentInvalidError),
        (no_key, FileUnreadableError),
        (no_certificate, DocumentInvalidError),
        (a_clients_certificate, DocumentInvalidError),
        (an_old_certificate, CertificateExpiredError),
    ],
)
def test_what_cannot_be_asked_is_a_typed_error_and_exit_code_1(service, spoil, error, capsys):
    config = spoil(service)
    with pytest.raises(CarnetError) as raised:
        probe(config)
    assert type(raised.value) is error
    assert main(["--config", str(config)]) == 1
    assert capsys.readouterr().out.startswith("not serving: ")
