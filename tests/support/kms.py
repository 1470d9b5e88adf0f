"""A small AWS KMS on loopback: its JSON protocol, with real ECDSA keys inside.

It speaks `GetPublicKey` and `Sign`, and refuses requests that are not signed. boto3 finds it by
`AWS_ENDPOINT_URL_KMS`.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

ALGORITHMS = {
    "secp256r1": ("ECDSA_SHA_256", hashes.SHA256()),
    "secp384r1": ("ECDSA_SHA_384", hashes.SHA384()),
}
CONTENT_TYPE = "application/x-amz-json-1.1"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Say nothing of whoever did not wait for the answer."""


class FakeKms:
    """A KMS that runs in a thread of the test.

    Attributes:
        url: Its URL.
        keys: The private keys, by key id or alias.
        asked: What was asked for: the operation and the key.
        refuse_with: The code of the error that `Sign` answers with; empty to sign.
        delay_seconds: How long `Sign` takes.
    """

    def __init__(self):
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.asked: list[tuple[str, str]] = []
        self.refuse_with = ""
        self.delay_seconds = 0.0
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that bring boto3 here."""
        return {
            "AWS_ENDPOINT_URL_KMS": self.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "NO_PROXY": "127.0.0.1",
        }

    def add(self, name: str, pem: bytes | None = None, *, curve: Any = ec.SECP256R1) -> str:
        """Keep a key, a new one if none is given; returns its public key in PEM."""
        key = serialization.load_pem_private_key(pem, None) if pem else ec.generate_private_key(curve())
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.keys[name] = key
        return (
            key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def _handler(kms):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].removeprefix("TrentService.")
                kms.asked.append((operation, body["KeyId"]))
                signed = self.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 ")
                status, answer = (
                    kms.answer(operation, body) if signed else _refusal("MissingAuthenticationToken")
                )
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler

    def answer(self, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        key = self.keys.get(body["KeyId"])
        if key is None:
            return _refusal("NotFoundException")
        algorithm, hashed = ALGORITHMS[key.curve.name]
        if operation == "GetPublicKey":
            der = key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return 200, {"PublicKey": base64.b64encode(der).decode(), "SigningAlgorithms": [algorithm]}
        time.sleep(self.delay_seconds)
        if self.refuse_with:
            return _refusal(self.refuse_with)
        if (body["MessageType"], body["SigningAlgorithm"]) != ("DIGEST", algorithm):
            return _refusal("InvalidKeyUsageException")
        signature = key.sign(base64.b64decode(body["Message"]), ec.ECDSA(Prehashed(hashed)))
        return 200, {
            "KeyId": body["KeyId"],
            "Signature": base64.b64encode(signature).decode(),
            "SigningAlgorithm": algorithm,
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _refusal(code: str) -> tuple[int, dict[str, Any]]:
    return 400, {"__type": code, "message": f"{code} it is"}
