"""Run the benchmarks: ``python -m benchmarks [--quick] [NAME…]``.

Each prints a table of ratios and writes its figures to ``benchmarks/results``. The exit code is 0 when all
that was demanded held, 1 when something missed it or failed, 2 for a wrong command line. Everything that is
made on the way is removed, also when it is interrupted.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from benchmarks import (
    appending,
    changed_file,
    database_backends,
    deciding,
    features,
    guardrails,
    memory,
    object_storage,
    promotion_speed,
    rollback,
    rollouts,
)
from benchmarks.registries import BenchmarkFailedError
from benchmarks.sizes import GIB, in_words
from carnet.errors import CarnetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.report import Report

BENCHMARKS: dict[str, Callable[..., Report]] = {
    "appending": appending.run,
    "changed_file": changed_file.run,
    "database_backends": database_backends.run,
    "deciding": deciding.run,
    "features": features.run,
    "guardrails": guardrails.run,
    "memory": memory.run,
    "object_storage": object_storage.run,
    "promotion_speed": promotion_speed.run,
    "rollouts": rollouts.run,
    "rollback": rollback.run,
}
RESULTS = Path(__file__).parent / "results"
_ROOM_BYTES = 12 * GIB
_QUICK_ROOM_BYTES = GIB


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _run(name: str, folder: Path | None, *, quick: bool) -> bool:
    """Run one in a folder of its own; returns whether it held."""
    with tempfile.TemporaryDirectory(prefix="carnet-bench-", dir=folder) as made:
        wanted = _QUICK_ROOM_BYTES if quick else _ROOM_BYTES
        free = shutil.disk_usage(made).free
        if free < wanted:
            raise BenchmarkFailedError(
                f"{made} has {in_words(free)} free, and {in_words(wanted)} are needed: name a folder with "
                "more room with --work, or use --quick"
            )
        report = BENCHMARKS[name](Path(made), quick=quick)
    report.show()
    report.save(RESULTS, quick=quick)
    return report.held


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named, or all.

    Args:
        arguments: The command line without the program's name; None for the process's.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, as ratios in one run."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--work", type=Path, help="where files are made for a while; 12 GiB are needed")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, _stop)
    try:
        held = [_run(name, options.work, quick=options.quick) for name in options.names or BENCHMARKS]
    except (BenchmarkFailedError, CarnetError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
