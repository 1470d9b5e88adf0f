"""How much memory processes have resident, and the most that they had; of Linux's ``/proc``.

Run as a module it is the ``carnet`` command that says its own peak afterwards:
``python -m benchmarks.peaks FILE ARGUMENTS…`` runs ``carnet ARGUMENTS…`` and writes the bytes to FILE.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.registries import BenchmarkFailedError
from benchmarks.sizes import KIB
from carnet.cli.main import main as carnet_command

_TIMEOUT_SECONDS = 1800
_RESET_PEAK = "5"  # proc(5), clear_refs: the peak becomes what is resident now


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * KIB
    raise BenchmarkFailedError(f"/proc/{pid}/status has no {name}: has the process ended?")


def resident_bytes(pid: int) -> int:
    """What a process has resident now."""
    return _field(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """The most that a process had resident since it began, or since its peak was reset."""
    return _field(pid, "VmHWM")


def reset_peak(pid: int) -> bool:
    """Make a process's peak what it has now; False where the system does not let this be done."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def family(pids: dict[str, int]) -> dict[str, int]:
    """Processes and their children, by name: a registry's child is its policy worker."""
    found = dict(pids)
    for name, pid in pids.items():
        children = psutil.Process(pid).children(recursive=True)
        for number, child in enumerate(children):
            found[f"{name}'s policy worker{f' {number + 1}' if number else ''}"] = child.pid
    return found


def peak_of_command(folder: Path, *arguments: str) -> int:
    """Run ``carnet`` in a process of its own.

    Args:
        folder: The federation's folder; the file with the peak is beside it for a moment.
        arguments: The command line without the program's name.

    Returns:
        The most that the process had resident.

    Raises:
        BenchmarkFailedError: The command failed.
    """
    told = folder.with_suffix(".peak")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peaks", str(told), *arguments],
        env=os.environ | {"CARNET_DIR": str(folder), "CARNET_IDENTITY": "ci", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(
            f"carnet {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    try:
        return int(told.read_text(encoding="ascii"))
    finally:
        told.unlink()


def _main() -> int:
    told, *arguments = sys.argv[1:]
    code = carnet_command(arguments)
    Path(told).write_text(str(peak_bytes(os.getpid())), encoding="ascii")
    return code


if __name__ == "__main__":
    sys.exit(_main())
