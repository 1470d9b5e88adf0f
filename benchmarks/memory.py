"""Whether memory stays flat while a large file is pushed, promoted and pulled.

A small version goes the whole way first, so that every process is there and has loaded what it needs: the
registries, their policy workers, the promotion service. Then the large one goes, each step under a ``carnet``
process of its own. A service's growth is its peak during the step less what it had resident before the large
version began; a command's is its peak less that of the same command for the small version. Both ways of
carrying blobs are measured, each with processes of its own.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from benchmarks.bundles import make_bundle
from benchmarks.peaks import family, peak_bytes, peak_of_command, reset_peak, resident_bytes
from benchmarks.registries import MODEL, Registries, Transfer
from benchmarks.report import Report, Row
from benchmarks.sizes import GIB, KIB, MIB, in_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT_BYTES = 64 * MIB
FILE_BYTES = 2 * GIB
QUICK_FILE_BYTES = 64 * MIB
COMMAND = "the carnet command"
_STEPS = ("push", "promote", "pull")


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder with room for four times the file."""
    size_bytes = QUICK_FILE_BYTES if quick else FILE_BYTES
    growths: dict[str, dict[str, dict[str, int]]] = {}
    exact = True
    for transfer in ("pull", "relay"):
        growths[transfer], could_reset = _measure(work, transfer, size_bytes)
        exact = exact and could_reset
    notes = ["a step's growth is its peak less what the process had resident before the large file came"]
    if not exact:
        notes.append("peaks could not be reset here: a figure may be that of an earlier step")
    return Report(
        name="memory",
        question=f"Memory: the most that a process grows by while {in_words(size_bytes)} goes through it",
        rows=_rows(growths),
        figures={"file_bytes": size_bytes, "limit_bytes": LIMIT_BYTES, "growth_bytes": growths},
        notes=notes,
    )


def _rows(growths: dict[str, dict[str, dict[str, int]]]) -> list[Row]:
    """A row a process and step; pushing and pulling are the same both times, and the worse one is told."""
    worst: dict[str, int] = {}
    for transfer, steps in growths.items():
        for step, processes in steps.items():
            for process, growth in processes.items():
                what = f"{step} ({transfer}): {process}" if step == "promote" else f"{step}: {process}"
                worst[what] = max(growth, worst.get(what, growth))
    return [
        Row(what, in_words(growth), in_words(LIMIT_BYTES), growth / LIMIT_BYTES, held=growth <= LIMIT_BYTES)
        for what, growth in worst.items()
    ]


def _measure(work: Path, transfer: Transfer, size_bytes: int) -> tuple[dict[str, dict[str, int]], bool]:
    with Registries(work / transfer, transfer) as registries:
        small = _carry(registries, make_bundle(work / "small", {"model.bin": KIB}), dict)
        before = {name: resident_bytes(pid) for name, pid in family(registries.pids()).items()}

        def since_before() -> dict[str, int]:
            return _growth_and_reset(registries, before)

        could_reset = [reset_peak(pid) for pid in family(registries.pids()).values()]
        large = _carry(registries, make_bundle(work / "large", {"model.bin": size_bytes}), since_before)
    growths = {
        step: {COMMAND: large[step]["peak"] - small[step]["peak"], **large[step]["services"]}
        for step in _STEPS
    }
    return growths, all(could_reset)


def _growth_and_reset(registries: Registries, before: dict[str, int]) -> dict[str, int]:
    found = {}
    for name, pid in family(registries.pids()).items():
        found[name] = peak_bytes(pid) - before.get(name, 0)
        reset_peak(pid)
    return found


def _carry(
    registries: Registries, bundle: Path, services: Callable[[], dict[str, int]]
) -> dict[str, dict[str, Any]]:
    """Take a bundle from its folder through both registries to another folder, and remove both folders."""
    pulled = bundle.with_name("pulled")
    found: dict[str, dict[str, Any]] = {}

    def step(name: str, *arguments: str) -> None:
        found[name] = {"peak": peak_of_command(registries.folder, *arguments), "services": services()}

    step("push", "push", MODEL, str(bundle))
    with registries.client() as client:
        reference = str(client.versions(MODEL)[0].reference)
    shutil.rmtree(bundle)
    registries.evaluate(reference)
    step("promote", "promote", reference, "--to", "staging", "--wait")
    step("pull", "pull", reference.replace("dev/", "staging/", 1), "--to", str(pulled))
    shutil.rmtree(pulled)
    return found
