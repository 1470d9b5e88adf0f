"""The peer: two container registries on loopback behind TLS, and ``skopeo`` that copies between them.

Responsible for starting and stopping them, and for images of one layer. Each registry is the distribution
project's ``registry`` (Debian's ``docker-registry``) on a folder of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from benchmarks.registries import BenchmarkFailedError
from benchmarks.sizes import MIB
from carnet_server.local.authority import Authority
from carnet_server.local.initialise import free_ports

if TYPE_CHECKING:
    from pathlib import Path

_START_SECONDS = 20.0
_COPY_SECONDS = 600.0
_HOST = "localhost"
_BASE_PORT = 18400  # below the ports that systems give to outgoing connections
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: "{root}"}}}}
http:
  addr: "127.0.0.1:{port}"
  tls: {{certificate: "{certificate}", key: "{key}"}}
"""


def _registry_program() -> str | None:
    return shutil.which("docker-registry") or shutil.which("registry")


def why_absent() -> str:
    """Say what is missing for this peer on this machine; empty where it can run."""
    missing = [
        name
        for name, found in (("skopeo", shutil.which("skopeo")), ("docker-registry", _registry_program()))
        if not found
    ]
    return f"not installed: {', '.join(missing)}" if missing else ""


class ImageRegistries:
    """A source and a target, each a process, for as long as a block lasts.

    Args:
        folder: Their folder; it is made, and removed at the end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports: list[int] = []

    def __enter__(self) -> Self:
        tls = self._folder / "tls"
        authority = Authority.create("benchmarks.internal")
        authority.save(self._folder / "ca")
        authority.issue(tls, spiffe_id="spiffe://benchmarks.internal/images", server_name=_HOST)
        trusted = self._folder / "trusted"
        trusted.mkdir()
        shutil.copy(self._folder / "ca" / "ca.pem", trusted / "ca.crt")
        self._ports = free_ports(2, _BASE_PORT)
        try:
            for number, port in enumerate(self._ports):
                self._start(number, port, tls)
            for process, port in zip(self._processes, self._ports, strict=True):
                self._wait(process, port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, number: int, port: int, tls: Path) -> None:
        config = self._folder / f"{number}.yml"
        config.write_text(
            _CONFIG.format(
                root=self._folder / f"storage-{number}",
                port=port,
                certificate=tls / "tls.pem",
                key=tls / "tls-key.pem",
            ),
            encoding="utf-8",
        )
        with (self._folder / f"{number}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [str(_registry_program()), "serve", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def _wait(self, process: subprocess.Popen[bytes], port: int) -> None:
        trust = ssl.create_default_context(cafile=str(self._folder / "ca" / "ca.pem"))
        end = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"https://{_HOST}:{port}/v2/", context=trust, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        number = self._ports.index(port)
        said = (self._folder / f"{number}.log").read_text(errors="replace")
        raise BenchmarkFailedError(f"the container registry does not answer:\n{said[-2000:]}")

    def put(self, layer: Path, digest: str) -> str:
        """Bring an image with one layer into the source.

        Args:
            layer: The layer's file.
            digest: Its SHA-256.

        Returns:
            The image's tag.
        """
        tag = digest[:12]
        image = _image_layout(self._folder / "image", layer, digest, tag)
        self._copy(f"oci:{image}:{tag}", self._address(0, tag), "--dest-cert-dir")
        shutil.rmtree(image)
        return tag

    def copy(self, tag: str) -> None:
        """Copy an image from the source to the target."""
        self._copy(self._address(0, tag), self._address(1, tag), "--src-cert-dir", "--dest-cert-dir")

    def _address(self, number: int, tag: str) -> str:
        return f"docker://{_HOST}:{self._ports[number]}/benchmarks/model:{tag}"

    def _copy(self, source: str, target: str, *certificates: str) -> None:
        trusted = [part for name in certificates for part in (name, str(self._folder / "trusted"))]
        options = ["--insecure-policy", "copy", "--quiet", "--preserve-digests", *trusted]
        done = subprocess.run(
            ["skopeo", *options, source, target],
            env=os.environ | {"XDG_RUNTIME_DIR": str(self._folder)},
            capture_output=True,
            text=True,
            timeout=_COPY_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise BenchmarkFailedError(f"skopeo copy: exit {done.returncode}\n{done.stderr[-2000:]}")


def _image_layout(folder: Path, layer: Path, layer_digest: str, tag: str) -> Path:
    """Make an OCI image layout of one layer; the layer's file is linked, not copied."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    os.link(layer, blobs / layer_digest)

    def add(document: dict[str, Any], media_type: str) -> dict[str, Any]:
        data = json.dumps(document).encode()
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": f"sha256:{layer_digest}",
                "size": layer.stat().st_size,
            }
        ],
    }
    entry = add(manifest, "application/vnd.oci.image.manifest.v1+json")
    index = {
        "schemaVersion": 2,
        "manifests": [{**entry, "annotations": {"org.opencontainers.image.ref.name": tag}}],
    }
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    return folder


def file_digest(path: Path) -> str:
    """The SHA-256 of a file."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(MIB):
            hasher.update(data)
    return hasher.hexdigest()
