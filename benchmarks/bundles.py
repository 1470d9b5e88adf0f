"""Bundles of a chosen size, ready to be pushed.

The bytes are random, so that nothing between disk and wire can make them fewer, and written in pieces, so
that the benchmark's own memory stays flat.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

from benchmarks.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class _Random(io.RawIOBase):
    """Random bytes without end, to be read."""

    def read(self, size: int = -1, /) -> bytes:
        return os.urandom(size)


def write_random(path: Path, size_bytes: int) -> None:
    """Write a new file of random bytes."""
    with path.open("xb") as file:
        for _ in range(size_bytes // MIB):
            file.write(os.urandom(MIB))
        file.write(os.urandom(size_bytes % MIB))


def write_layer(path: Path, size_bytes: int) -> None:
    """Write a new file that is a container image's layer: a stored gzip of a tar of random bytes.

    It is a model's file to a registry of models and a layer to a registry of images: the same bytes for both,
    and compressed already, so that nobody compresses them on the way.

    Args:
        path: The file.
        size_bytes: How many random bytes are in it; the frame adds less than one in a thousand.
    """
    member = tarfile.TarInfo("model.bin")
    member.size = size_bytes
    with (
        gzip.open(path, "xb", compresslevel=0) as stored,
        tarfile.open(fileobj=stored, mode="w|", bufsize=MIB) as tar,
    ):
        tar.addfile(member, _Random())


def describe(folder: Path, paths: Iterable[str]) -> None:
    """Write the ``carnet.yaml`` of a folder's files, with what the shipped policies ask of every version."""
    document = {
        "description": "Random bytes that stand for a model.",
        "owner": "benchmarks",
        "files": [{"path": path, "role": "model"} for path in paths],
        "lineage": {
            "code": {"repository": "https://example.org/benchmarks", "commit": "0" * 40},
            "datasets": [{"name": "random", "uri": "file:///dev/urandom"}],
        },
        "environment": {"python": "3.11", "framework": {"name": "none", "version": "0"}},
        "feature_schema": {
            "inputs": [{"name": "amount", "type": "float64"}],
            "outputs": [{"name": "score", "type": "float64"}],
        },
    }
    (folder / "carnet.yaml").write_text(json.dumps(document, indent=2), encoding="utf-8")


def make_bundle(folder: Path, sizes: dict[str, int]) -> Path:
    """Make a folder of random files with their ``carnet.yaml``.

    Args:
        folder: The folder, which is not there yet.
        sizes: The size of each file, by its path.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    for path, size_bytes in sizes.items():
        write_random(folder / path, size_bytes)
    describe(folder, sizes)
    return folder
