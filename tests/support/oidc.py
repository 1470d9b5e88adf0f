"""A small OIDC issuer: discovery and key set over HTTP on loopback, and tokens signed with keys that rotate."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

CONFIGURATION = "/.well-known/openid-configuration"
KEY_SET = "/jwks"


class Key:
    """A key of the issuer."""

    def __init__(self, algorithm: str = "RS256", *, bits: int = 2048):
        self.algorithm = algorithm
        self.id = uuid.uuid4().hex
        self.private: Any = (
            rsa.generate_private_key(65537, bits)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )

    @property
    def jwk(self) -> dict[str, Any]:
        kind = jwt.algorithms.RSAAlgorithm if self.algorithm == "RS256" else jwt.algorithms.ECAlgorithm
        public = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {**public, "kid": self.id, "alg": self.algorithm, "use": "sig"}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Say nothing of whoever did not wait for the answer."""


class Issuer:
    """An issuer that runs in a thread of the test.

    Attributes:
        url: Its URL.
        keys: The keys that it publishes; the first one signs.
        asked: The paths that it was asked for.
        answers: What is answered instead, by path: a status and bytes.
        delay_seconds: How long each answer takes.
    """

    def __init__(self, *, algorithm: str = "RS256"):
        self.keys = [Key(algorithm)]
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.delay_seconds = 0.0
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _handler(issuer):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                time.sleep(issuer.delay_seconds)
                status, body = issuer.answers.get(self.path) or (
                    200,
                    json.dumps(issuer.answer(self.path)).encode(),
                )
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", body.decode())
                    body = b""
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, path: str) -> dict[str, Any]:
        if path == CONFIGURATION:
            return {"issuer": self.url, "jwks_uri": self.url + KEY_SET}
        return {"keys": [key.jwk for key in self.keys]}

    def rotate(self, algorithm: str = "RS256") -> None:
        """Sign with a new key from now on, and publish no other."""
        self.keys = [Key(algorithm)]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(
        self, claims: dict[str, Any], *, key: Key | None = None, headers: dict[str, Any] | None = None
    ) -> str:
        """A token with the claims; times and issuer are put in where they are not there. None takes one out."""
        now = int(time.time())
        key = key or self.keys[0]
        whole = {"iss": self.url, "iat": now, "nbf": now, "exp": now + 300, "jti": uuid.uuid4().hex} | claims
        payload = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(payload, key.private, key.algorithm, headers={"kid": key.id} | (headers or {}))

    def unsigned_token(self, claims: dict[str, Any]) -> str:
        """A token with the algorithm ``none``."""
        token = self.token(claims)
        return ".".join([_encoded({"alg": "none", "kid": self.keys[0].id}), token.split(".")[1], ""])

    def token_signed_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """A token whose HMAC is made with the issuer's public key, for who takes the algorithm from it."""
        from cryptography.hazmat.primitives import serialization

        public = (
            self.keys[0]
            .private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        header = _encoded({"alg": "HS256", "kid": self.keys[0].id})
        body = f"{header}.{self.token(claims).split('.')[1]}"
        signature = hmac.new(public, body.encode(), hashlib.sha256).digest()
        return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def github_claims(**fields: Any) -> dict[str, Any]:
    """The claims that GitHub Actions gives a job."""
    return {
        "aud": "carnet-dev",
        "sub": "repo:acme/fraud:environment:prod",
        "ref": "refs/heads/main",
        "sha": "2f4e8c1b0a9d7e6f5c4b3a29180706f5e4d3c2b1",
        "repository": "acme/fraud",
        "repository_owner": "acme",
        "repository_id": "712001122",
        "repository_owner_id": "6501",
        "repository_visibility": "private",
        "run_id": "17820443311",
        "run_number": "412",
        "run_attempt": "1",
        "actor": "alice-acme",
        "actor_id": "99012",
        "workflow": "train",
        "workflow_ref": "acme/fraud/.github/workflows/train.yml@refs/heads/main",
        "job_workflow_ref": "acme/fraud/.github/workflows/train.yml@refs/heads/main",
        "head_ref": "",
        "base_ref": "",
        "event_name": "push",
        "ref_type": "branch",
        "ref_protected": "true",
        "environment": "prod",
        "runner_environment": "github-hosted",
    } | fields


def gitlab_claims(**fields: Any) -> dict[str, Any]:
    """The claims that GitLab CI gives a job in an ID token."""
    return {
        "aud": "carnet-dev",
        "sub": "project_path:acme/fraud:ref_type:branch:ref:main",
        "namespace_id": "72",
        "namespace_path": "acme",
        "project_id": "20",
        "project_path": "acme/fraud",
        "user_id": "1",
        "user_login": "alice-acme",
        "user_email": "alice@acme.example",
        "user_access_level": "developer",
        "user_identities": [{"provider": "saml", "extern_uid": "a-1"}],
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "environment": "prod",
        "environment_protected": "true",
        "deployment_tier": "production",
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": "2f4e8c1b0a9d7e6f5c4b3a29180706f5e4d3c2b1",
        "project_visibility": "private",
        "ci_config_ref_uri": "gitlab.acme.example/acme/fraud//.gitlab-ci.yml@refs/heads/main",
    } | fields
