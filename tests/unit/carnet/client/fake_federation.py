"""A federation of fake registries and a fake promotion service, with its folder, keys and certificates."""

# ruff: noqa: N802  the contract's names

from __future__ import annotations

import functools
import threading
from concurrent import futures
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carnet.bundle.build import build_manifest
from carnet.bundle.document import read_document
from carnet.bundle.paths import MANIFEST_NAME
from carnet.client.status import STATUS_DETAILS_KEY, code_of, status_of
from carnet.errors import CarnetError, NotFoundError, UnavailableError
from carnet.registry.v1 import policy_pb2
from carnet.signing.dsse import parse_envelope
from carnet.signing.keys import SigningKey
from carnet.signing.model_signature import sign_model
from carnet.signing.promotion_request import PromotionRequest
from carnet.signing.statement import parse_statement
from carnet.sync.v1 import (
    environments_pb2,
    environments_pb2_grpc,
    promotions_pb2,
    promotions_pb2_grpc,
)
from tests.support.bundles import make_bundle_directory
from tests.unit.carnet.client.fake_environment import FakeEnvironment, add_services

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from carnet.bundle.manifest import Manifest
    from carnet.translog.keys import LogKey

NAMES = ("dev", "staging", "prod")
SUBJECTS = {
    "ci": "service/ci",
    "evaluator": "service/evaluator",
    "bob": "person/bob",
    "reader": "person/reader",
}


@functools.cache
def _authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("authority", "authority", key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    return builder.sign(key, hashes.SHA256()), key


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (subject, issuer)]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


@functools.cache
def issue(name: str, *, ends_in_hours: int = 1) -> tuple[bytes, bytes]:
    """Issue a certificate, DNS name and SPIFFE id at once, and return it with its key, both PEM."""
    authority, authority_key = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, "authority", key).add_extension(
        x509.SubjectAlternativeName(
            [
                x509.DNSName(f"{name}.carnet.internal"),
                x509.UniformResourceIdentifier(f"spiffe://carnet.internal/{SUBJECTS.get(name, name)}"),
            ]
        ),
        critical=False,
    )
    if ends_in_hours < 0:
        builder._not_valid_before = datetime(2020, 1, 1)
        builder._not_valid_after = datetime(2020, 1, 2)
    certificate = builder.sign(authority_key, hashes.SHA256())
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


@functools.cache
def signing_key(name: str) -> SigningKey:
    return SigningKey.generate()


class _Answers(grpc.ServerInterceptor):
    """Counts calls, lets tests change answers, and turns Carnet's errors into rich statuses."""

    def __init__(self, lies: dict[str, Callable[[Any], None]], calls: list[str]) -> None:
        self._lies = lies
        self._calls = calls

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        name = details.method.rsplit("/", 1)[-1]
        if handler is None:
            # A service that this registry is too old for: gRPC answers UNIMPLEMENTED.
            return None
        self._calls.append(name)
        if handler.response_streaming:
            return handler._replace(unary_stream=self._stream(name, handler.unary_stream))
        if handler.request_streaming:
            return handler._replace(stream_unary=self._unary(name, handler.stream_unary))
        return handler._replace(unary_unary=self._unary(name, handler.unary_unary))

    def _unary(self, name, behaviour):
        def answer(request, context):
            try:
                response = behaviour(request, context)
                copy = type(response)()
                copy.CopyFrom(response)
                self._lies.get(name, lambda _: None)(copy)
            except CarnetError as error:
                _abort(context, error)
            return copy

        return answer

    def _stream(self, name, behaviour):
        def answer(request, context):
            try:
                for response in behaviour(request, context):
                    copy = type(response)()
                    copy.CopyFrom(response)
                    self._lies.get(name, lambda _: None)(copy)
                    yield copy
            except CarnetError as error:
                _abort(context, error)

        return answer


def _abort(context: Any, error: CarnetError) -> None:
    context.set_trailing_metadata(((STATUS_DETAILS_KEY, status_of(error).SerializeToString()),))
    context.abort(code_of(error), error.message)


class FakeSync(promotions_pb2_grpc.PromotionServiceServicer):
    """A promotion service that takes a promotion through the states that a test plans for it."""

    def __init__(self, environments: dict[str, FakeEnvironment]) -> None:
        self.environments = environments
        self.lies: dict[str, Callable[[Any], None]] = {}
        self.calls: list[str] = []
        self.plan: list[tuple[str, str]] = [("PENDING", "taken in"), ("CHECKING", "asking the target")]
        self.rules: list[policy_pb2.RuleResult] = []
        self.promotions: dict[str, promotions_pb2.Promotion] = {}
        self.events: dict[str, list[promotions_pb2.PromotionEvent]] = {}
        self.requests: list[bytes] = []
        self.error_reason = ""
        self.watches_to_break = 0
        self.stopped = threading.Event()

    def CreatePromotion(self, request, context):
        self.requests.append(request.request)
        statement = parse_statement(parse_envelope(request.request))
        asked = PromotionRequest.parse(statement)
        promotion = promotions_pb2.Promotion(
            name=f"promotions/{asked.promotion}",
            source=asked.source,
            target=asked.target,
            version=f"namespaces/{asked.namespace}/models/{asked.model}/versions/{asked.version}",
            alias=asked.alias,
            by_rollout=asked.by_rollout,
            bundle_digest=statement.subject_digest,
            requester="spiffe://carnet.internal/service/ci",
        )
        promotion.admission.evaluation.results.extend(self.rules)
        self.events[promotion.name] = []
        for state, message in self.plan:
            self.advance(promotion, state, message)
        if not request.validate_only:
            self.promotions[promotion.name] = promotion
        return promotions_pb2.CreatePromotionResponse(promotion=promotion)

    def advance(self, promotion: promotions_pb2.Promotion, state: str, message: str) -> None:
        promotion.state = promotions_pb2.PromotionState.Value(f"PROMOTION_STATE_{state}")
        promotion.message = message
        promotion.sequence += 1
        if state == "FAILED":
            promotion.error_reason = self.error_reason
        if state == "SUCCEEDED":
            number = int(promotion.version.rsplit("/", 1)[-1])
            source = self.environments[promotion.source]
            manifest = next(v.manifest for k, v in source.versions.items() if k[2] == number)
            admission = self.environments[promotion.target].admit(
                promotion.name.removeprefix("promotions/"),
                manifest,
                alias=promotion.alias,
                by_rollout=promotion.by_rollout,
            )
            promotion.admission.decision = admission.decision
            promotion.admission.receipt.CopyFrom(admission.receipt)
        event = promotions_pb2.PromotionEvent(
            sequence=promotion.sequence, state=promotion.state, message=message
        )
        event.create_time.FromDatetime(datetime.now(UTC))
        self.events[promotion.name].append(event)

    def _of(self, name: str) -> promotions_pb2.Promotion:
        if name not in self.promotions:
            raise NotFoundError(f"there is no promotion {name}")
        return self.promotions[name]

    def GetPromotion(self, request, context):
        return promotions_pb2.GetPromotionResponse(
            promotion=self._of(request.name), events=self.events[request.name]
        )

    def ListPromotions(self, request, context):
        return promotions_pb2.ListPromotionsResponse(promotions=reversed(self.promotions.values()))

    def WatchPromotion(self, request, context):
        promotion = self._of(request.name)
        for event in self.events[request.name]:
            if event.sequence > request.after_sequence:
                yield promotions_pb2.WatchPromotionResponse(promotion=promotion, event=event)
                if self.watches_to_break:
                    self.watches_to_break -= 1
                    raise UnavailableError("going down")
        while promotion.state < promotions_pb2.PROMOTION_STATE_SUCCEEDED and context.is_active():
            if context.time_remaining() is not None and context.time_remaining() < 0:
                return
            self.stopped.wait(0.02)
            if self.stopped.is_set():
                return

    def CancelPromotion(self, request, context):
        promotion = self._of(request.name)
        self.cancelled_with = parse_statement(parse_envelope(request.envelope))
        self.advance(promotion, "CANCELLED", "cancelled")
        return promotions_pb2.CancelPromotionResponse(promotion=promotion)

    def RetryPromotion(self, request, context):
        promotion = self._of(request.name)
        self.advance(promotion, "CHECKING", "tried again")
        return promotions_pb2.RetryPromotionResponse(promotion=promotion)


class _FakeRoutes(environments_pb2_grpc.EnvironmentServiceServicer):
    def ListEnvironments(self, request, context):
        return environments_pb2.ListEnvironmentsResponse(
            environments=[environments_pb2.Environment(name="dev", targets=["staging"])]
        )


class FakeFederation:
    """Everything of it: ``dev``, ``staging`` and ``prod`` by name, ``sync``, and the folder of its client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environments = {name: FakeEnvironment(name) for name in NAMES}
        self.sync = FakeSync(self.environments)
        self.servers: dict[str, grpc.Server] = {}
        ports = {}
        for name, environment in self.environments.items():
            server, ports[name] = self._server(name, environment.lies, environment.calls)
            add_services(environment, server)
            server.start()
        server, ports["sync"] = self._server("sync", self.sync.lies, self.sync.calls)
        promotions_pb2_grpc.add_PromotionServiceServicer_to_server(self.sync, server)
        environments_pb2_grpc.add_EnvironmentServiceServicer_to_server(_FakeRoutes(), server)
        server.start()
        self.ports = ports
        self.write_folder()

    @property
    def dev(self) -> FakeEnvironment:
        return self.environments["dev"]

    @property
    def staging(self) -> FakeEnvironment:
        return self.environments["staging"]

    @property
    def prod(self) -> FakeEnvironment:
        return self.environments["prod"]

    def _server(self, name: str, lies: dict[str, Any], calls: list[str]) -> tuple[grpc.Server, int]:
        server = grpc.server(
            futures.ThreadPoolExecutor(8),
            interceptors=[_Answers(lies, calls)],
            options=[("grpc.so_reuseport", 0)],
        )
        certificate, key = issue(name)
        credentials = grpc.ssl_server_credentials(
            [(key, certificate)],
            root_certificates=_authority()[0].public_bytes(serialization.Encoding.PEM),
            require_client_auth=True,
        )
        self.servers[name] = server
        return server, server.add_secure_port("127.0.0.1:0", credentials)

    def write_folder(self, **overrides: Any) -> None:
        """Write the client's folder; ``overrides`` replace top-level fields of ``federation.yaml``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "ca.pem").write_bytes(_authority()[0].public_bytes(serialization.Encoding.PEM))
        for name in SUBJECTS:
            place = self.folder / "identities" / name
            place.mkdir(parents=True, exist_ok=True)
            certificate, key = issue(name)
            (place / "tls.pem").write_bytes(certificate)
            (place / "tls-key.pem").write_bytes(key)
            if name != "reader":
                (place / "signing-key.pem").write_bytes(signing_key(name).to_pem())
        document = {
            "schema": "carnet.federation/v1",
            "ca": "ca.pem",
            "environments": {
                name: {
                    "endpoint": f"127.0.0.1:{self.ports[name]}",
                    "server_name": f"{name}.carnet.internal",
                    "log_key": environment.log.key.verifier.vkey,
                    "signing_key": environment.signing_key.verification_key.pem,
                }
                for name, environment in self.environments.items()
            },
            "sync": {"endpoint": f"127.0.0.1:{self.ports['sync']}", "server_name": "sync.carnet.internal"},
            "identity": "ci",
            "identities": {name: f"identities/{name}" for name in SUBJECTS},
            "people": {
                "alice": {"subjects": ["spiffe://carnet.internal/service/ci"], "keys": []},
                "bob": {
                    "subjects": ["spiffe://carnet.internal/person/bob"],
                    "keys": [signing_key("bob").verification_key.pem],
                },
            },
            "signers": {
                f"spiffe://carnet.internal/{SUBJECTS[name]}": signing_key(name).verification_key.pem
                for name in ("ci", "evaluator", "bob")
            },
        }
        (self.folder / "federation.yaml").write_text(yaml.safe_dump(document | overrides, sort_keys=False))

    def pin_witnesses(self, name: str, witnesses: dict[str, LogKey]) -> None:
        """Have the client want an environment's log witnessed by all of some."""
        lines = [
            f"log {self.environments[name].log.key.verifier.vkey}",
            *(f"witness {witness} {key.verifier.vkey}" for witness, key in witnesses.items()),
            f"group everybody all {' '.join(witnesses)}",
            "quorum everybody",
        ]
        path = self.folder / "federation.yaml"
        document = yaml.safe_load(path.read_text())
        document["environments"][name]["witnesses"] = "\n".join(lines) + "\n"
        path.write_text(yaml.safe_dump(document))

    def publish(
        self, folder: Path, *, seed: int = 0, version: int = 1, signer: str = "ci", **overrides: Any
    ) -> Manifest:
        """Put ``dev/risk/fraud@version`` into dev, as if it had been pushed."""
        folder = make_bundle_directory(folder, seed=seed, **overrides)
        document = read_document(folder / "carnet.yaml")
        manifest = build_manifest(
            document, folder, home="dev", namespace="risk", model="fraud", version=version
        )
        files = [(file.path, file.digest) for file in manifest.files]
        signature = sign_model("fraud", [*files, (MANIFEST_NAME, manifest.digest)], signing_key(signer))
        for file in manifest.files:
            data = (folder / file.path).read_bytes()
            self.dev.blobs["namespaces/risk", file.digest] = data
        self.dev.publish(manifest, signature)
        return manifest

    def stop(self) -> None:
        self.sync.stopped.set()
        for server in self.servers.values():
            server.stop(None).wait()
