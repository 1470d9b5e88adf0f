"""What a blob's way into and out of S3 costs against a bare transfer, and whether memory stays flat.

The same file, the same endpoint (``rclone serve s3``, signatures checked), each transfer in a process of its
own: through Carnet's store of blobs, which hashes every byte twice on the way in and once on the way out and
can go on after a crash, and through obstore alone with its own defaults. They take turns; a ratio is of one
round's speeds, and the median of the rounds is told. Beside that, ``carnet push`` and ``carnet pull`` of the
same file with a registry in between, whose memory is looked at too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.bundles import make_bundle
from benchmarks.image_registries import file_digest
from benchmarks.peaks import family, peak_bytes, peak_of_command, reset_peak, resident_bytes
from benchmarks.registries import MODEL, BenchmarkFailedError, Registries
from benchmarks.report import Report, Row
from benchmarks.sizes import GIB, KIB, MIB, in_words
from carnet_server.local.files import read_variables
from carnet_server.local.stores import Stores, variables_file

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_BYTES = 64 * MIB
FILE_BYTES = GIB
QUICK_FILE_BYTES = 64 * MIB
ROUNDS = 5
QUICK_ROUNDS = 2
SPEED = 0.7
_KINDS = ("bare-in", "store-in", "bare-out", "store-out")
_TIMEOUT_SECONDS = 900


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder with room for six times the file."""
    size_bytes = QUICK_FILE_BYTES if quick else FILE_BYTES
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with Registries(work / "s3", "pull", stores=Stores(blobs="s3")) as registries:
        whole = _whole_way(registries, work, size_bytes)
        found = [_round(registries, work / f"round-{number}", size_bytes) for number in range(rounds)]
    rows = []
    for direction, words in (("in", "into S3"), ("out", "out of S3")):
        bare = [each[f"bare-{direction}"]["seconds"] for each in found]
        ours = [each[f"store-{direction}"]["seconds"] for each in found]
        ratio = median(theirs / mine for theirs, mine in zip(bare, ours, strict=True))
        growth = max(each[f"store-{direction}"]["growth_bytes"] for each in found)
        rows.append(
            Row(
                f"{words}: speed of the store, against obstore alone",
                _speed(size_bytes, median(ours)),
                _speed(size_bytes, median(bare)),
                ratio,
                held=None if quick else ratio >= SPEED,
            )
        )
        rows.append(
            Row(
                f"{words}: memory that the store's process grew by",
                in_words(growth),
                in_words(LIMIT_BYTES),
                growth / LIMIT_BYTES,
                held=growth <= LIMIT_BYTES,
            )
        )
    for step, direction in (("push", "in"), ("pull", "out")):
        bare_seconds = median(each[f"bare-{direction}"]["seconds"] for each in found)
        seconds, growth = whole[step]["seconds"], whole[step]["growth_bytes"]
        rows.append(
            Row(
                f"carnet {step}, over TLS and through a registry: speed, against obstore alone",
                _speed(size_bytes, seconds),
                _speed(size_bytes, bare_seconds),
                bare_seconds / seconds,
            )
        )
        rows.append(
            Row(
                f"carnet {step}: memory that the registry grew by",
                in_words(growth),
                in_words(LIMIT_BYTES),
                growth / LIMIT_BYTES,
                held=growth <= LIMIT_BYTES,
            )
        )
    return Report(
        name="object_storage",
        question=f"{in_words(size_bytes)} into and out of S3",
        rows=rows,
        figures={"file_bytes": size_bytes, "limit_bytes": LIMIT_BYTES, "rounds": found, "whole_way": whole},
        notes=[f"medians of {rounds} rounds; push and pull were made once, after a small version"],
    )


def _speed(size_bytes: int, seconds: float) -> str:
    return f"{in_words(size_bytes / seconds)}/s"


def _round(registries: Registries, work: Path, size_bytes: int) -> dict[str, dict[str, float]]:
    file = make_bundle(work, {"model.bin": size_bytes}) / "model.bin"
    digest = file_digest(file)
    folder = registries.folder
    url = registries.blobs_url("dev")
    variables = os.environ | read_variables(variables_file(folder, "dev"))
    found = {}
    for kind in _KINDS:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.object_transfer", kind, url, str(file), digest],
            env=variables,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise BenchmarkFailedError(f"{kind}: {done.stderr}")
        found[kind] = json.loads(done.stdout)
    shutil.rmtree(work)
    return found


def _whole_way(registries: Registries, work: Path, size_bytes: int) -> dict[str, dict[str, float]]:
    """Push and pull through a registry: the seconds, and the registry's growth."""
    found = {}
    for size in (KIB, size_bytes):
        bundle, pulled = make_bundle(work / "bundle", {"model.bin": size}), work / "pulled"
        pid = family(registries.pids())["dev"]
        if size == KIB:
            before = 0
        for step, arguments in (
            ("push", (MODEL, str(bundle))),
            ("pull", (f"{MODEL}@{1 if size == KIB else 2}", "--to", str(pulled))),
        ):
            reset_peak(pid)
            began = time.perf_counter()
            peak_of_command(registries.folder, step, *arguments)
            seconds = time.perf_counter() - began
            found[step] = {"seconds": seconds, "growth_bytes": peak_bytes(pid) - before}
        before = resident_bytes(pid)
        shutil.rmtree(bundle)
        shutil.rmtree(pulled)
    return found
