"""What a full offline verification costs against a bare loop that hashes and verifies as much; its memory.

The peer, in the same run: reading and hashing (SHA-256) every file of the export, and verifying the very same
signatures with ``cryptography``, out of envelopes that were parsed for it in time that is not counted. Both
are timed by the processor's clock in a process of their own, which others on the machine disturb least. The
verifier's peak is that of its process, with the interpreter and all libraries in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.audited_logs import Federation
from benchmarks.registries import BenchmarkFailedError
from benchmarks.report import Report, Row
from benchmarks.sizes import MIB, in_words

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = 1_000_000
QUICK_ENTRIES = 20_000
LIMIT_RATIO = 3.0
LIMIT_BYTES = 200 * MIB
_TIMEOUT_SECONDS = 3600


def run(work: Path, *, quick: bool) -> Report:
    """Measure; ``work`` is an empty folder with room for the export."""
    federation = Federation()
    entries = federation.write(work / "export", QUICK_ENTRIES if quick else ENTRIES)
    federation.cut_back(work / "export", work / "before")
    most = sum(federation.sizes_before.values())
    (work / "pins.json").write_text(json.dumps(federation.pins_data()), encoding="utf-8")
    peer = _ask("peer", work)
    full = _ask("full", work)
    _ask("before", work)
    resumed = _ask("resumed", work)
    if not (resumed["ok"] and full["ok"] and resumed["verified_from"] == most and not full["verified_from"]):
        raise BenchmarkFailedError(f"the export did not verify: {full}, {resumed}")
    ratio = full["seconds"] / peer["seconds"]
    rows = [
        Row(
            f"full verification of {entries:,} entries",
            f"{full['seconds']:.3g} s",
            f"{peer['seconds']:.3g} s, hashing and verifying alone",
            ratio,
            held=ratio <= LIMIT_RATIO,
        ),
        Row(
            "its peak memory",
            in_words(full["peak_bytes"]),
            in_words(LIMIT_BYTES),
            full["peak_bytes"] / LIMIT_BYTES,
            held=full["peak_bytes"] <= LIMIT_BYTES,
        ),
        Row(
            f"going on with the last {entries - most:,} entries",
            f"{resumed['seconds']:.3g} s",
            f"{full['seconds']:.3g} s, in full",
            resumed["seconds"] / full["seconds"],
        ),
    ]
    return Report(
        name="verification",
        question=f"Verifying an export of {entries:,} entries and {peer['signatures']:,} signatures offline",
        rows=rows,
        figures={
            "entries": entries,
            "signatures": peer["signatures"],
            "state_bytes": sum(each.stat().st_size for each in (work / "verified").iterdir()),
            "peer": peer,
            "full": full,
            "resumed": resumed,
        },
        notes=[
            "seconds are of the processor; both sides read every file",
            f"{peer['signatures'] / entries:.0%} of the entries rest on a signature of their own",
        ],
    )


def _ask(what: str, work: Path) -> dict[str, Any]:
    """Do one thing in a process of its own, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.verifying", what, str(work)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(f"{what}: {done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said
