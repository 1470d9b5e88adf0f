"""How long promoting a new large file between two registries takes, against peers in the same run.

Timed from the call of ``promote`` to the verified SUCCEEDED: the signed request, policy, transfer over mutual
TLS, hashing, durable storage, admission and the record at the source. The peers, on the same bytes: one
``openssl dgst -sha256`` of the file, and ``skopeo copy`` of it as an image's layer between two container
registries over TLS. Everything takes its turn within a round and rounds are repeated, so that a noisy
neighbour meets all alike; ratios are of one round, and their medians are told. What comes before (publishing,
evidence) is not timed, and is on disk before the clock starts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import image_registries
from benchmarks.bundles import describe, make_bundle, write_layer
from benchmarks.image_registries import ImageRegistries, file_digest
from benchmarks.registries import BenchmarkFailedError, Registries, Transfer, promote
from benchmarks.report import Report, Row
from benchmarks.sizes import GIB, KIB, MIB, in_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE_BYTES = GIB
QUICK_FILE_BYTES = 64 * MIB
ROUNDS = 5
QUICK_ROUNDS = 2
_OPENSSL_SECONDS = 300
OPENSSL = "openssl dgst -sha256"
SKOPEO = "skopeo copy over TLS"
_PROMOTIONS: dict[Transfer, str] = {"pull": "promote (pull)", "relay": "promote (relay)"}


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder with room for seven times the file."""
    size_bytes = QUICK_FILE_BYTES if quick else FILE_BYTES
    numbers = range(QUICK_ROUNDS if quick else ROUNDS)
    rounds = [_round(work / f"round-{number}", size_bytes) for number in numbers]
    absent = image_registries.why_absent()
    notes = [f"medians of {len(rounds)} rounds; each ratio is the median of the rounds' own ratios"]
    if absent:
        notes.append(f"{SKOPEO} was left out: {absent}")
    return Report(
        name="promotion_speed",
        question=f"Speed: promoting a new {in_words(size_bytes)} file, against peers on the same bytes",
        rows=_rows(rounds, judged=not quick),
        figures={"file_bytes": size_bytes, "seconds": rounds},
        notes=notes,
    )


def _rows(rounds: list[dict[str, float]], *, judged: bool) -> list[Row]:
    rows = []
    for name in (*_PROMOTIONS.values(), SKOPEO):
        for peer in (SKOPEO, OPENSSL):
            if name == peer or not {name, peer} <= rounds[0].keys():
                continue
            ratio = median(each[name] / each[peer] for each in rounds)
            rows.append(
                Row(
                    what=f"{name}, against {peer}",
                    measured=f"{median(each[name] for each in rounds):.2f} s",
                    against=f"{median(each[peer] for each in rounds):.2f} s",
                    ratio=ratio,
                    held=ratio < 1 if judged and peer == SKOPEO else None,
                )
            )
    return rows


def _round(work: Path, size_bytes: int) -> dict[str, float]:
    """Take the seconds of everything once, on a file that nobody has seen."""
    work.mkdir()
    layer = work / "bundle" / "model.bin"
    layer.parent.mkdir()
    write_layer(layer, size_bytes)
    describe(layer.parent, [layer.name])
    seconds = {}
    try:
        for transfer, name in _PROMOTIONS.items():
            seconds[name] = _promotion_seconds(work, transfer, layer.parent)
            if not image_registries.why_absent() and SKOPEO not in seconds:
                seconds[SKOPEO] = _image_seconds(work, layer)
        seconds[OPENSSL] = _timed(lambda: _openssl(layer))
    finally:
        shutil.rmtree(work)
    return seconds


def _timed(work: Callable[[], object]) -> float:
    os.sync()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _promotion_seconds(work: Path, transfer: Transfer, bundle: Path) -> float:
    with Registries(work / transfer, transfer) as registries, registries.client() as client:
        with contextlib.ExitStack() as leftovers:
            small = work / f"small-{transfer}"
            leftovers.callback(shutil.rmtree, small)
            first = registries.push(make_bundle(small, {"model.bin": KIB}))
        registries.evaluate(first)
        promote(client, first)  # processes that have promoted before, as those of a registry in use have
        reference = registries.push(bundle)
        registries.evaluate(reference)
        return _timed(lambda: promote(client, reference))


def _image_seconds(work: Path, layer: Path) -> float:
    with ImageRegistries(work / "images") as images:
        tag = images.put(layer, file_digest(layer))
        return _timed(lambda: images.copy(tag))


def _openssl(path: Path) -> None:
    try:
        subprocess.run(
            ["openssl", "dgst", "-sha256", str(path)],
            check=True,
            capture_output=True,
            timeout=_OPENSSL_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchmarkFailedError(f"{OPENSSL} is what speed is measured against: {error}") from error
