"""What a full offline verification costs against a bare loop that hashes and verifies as much; its memory.

The peer, in the same run: reading and hashing (SHA-256) every file of the export, and verifying the very same
signatures with ``cryptography``, out of envelopes that were parsed for it in time that is not counted. Both
are timed by the processor's clock in a process of their own, which others on the machine disturb least. The
verifier's peak is that of its process, with the interpreter and all libraries in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from benchmarks.audited_logs import Federation
from benchmarks.peaks import peak_bytes
from benchmarks.registries import BenchmarkFailedError
from benchmarks.report import Report, Row
from benchmarks.sizes import MIB, in_words
from carnet.client.audit_memory import read_pins, verify_offline, verify_remembering
from carnet.signing.dsse import pae, parse_envelope

ENTRIES = 1_000_000
QUICK_ENTRIES = 20_000
LIMIT_RATIO = 3.0
LIMIT_BYTES = 200 * MIB
_TIMEOUT_SECONDS = 3600
_BATCH = 1000


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
        [sys.executable, "-m", "benchmarks.verification", what, str(work)],
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


def _hash_and_verify(work: Path) -> dict[str, Any]:
    """Be the peer: hash every byte of the export, and verify every signature in it."""
    keys = {
        key_id: load_pem_public_key(key.pem.encode())
        for key_id, key in read_pins(work / "pins.json").all_keys.items()
    }
    scheme = ec.ECDSA(hashes.SHA256())
    size_bytes = signatures = 0
    hashing = verifying = 0.0
    paths = (Path(parent, name) for parent, _, names in os.walk(work / "export") for name in names)
    while batch := list(islice(paths, _BATCH)):
        began = time.process_time()
        read = [path.read_bytes() for path in batch]
        for data in read:
            hashlib.sha256(data).digest()
        hashing += time.process_time() - began
        size_bytes += sum(map(len, read))
        envelopes = [parse_envelope(data) for data in read if data.startswith(b'{"payload":')]
        signed: list[tuple[Any, bytes, bytes]] = [
            (keys[each.keyid], each.sig, pae(envelope.payload, envelope.payload_type))
            for envelope in envelopes
            for each in envelope.signatures
        ]
        began = time.process_time()
        for key, signature, data in signed:
            key.verify(signature, data, scheme)
        verifying += time.process_time() - began
        signatures += len(signed)
    return {
        "seconds": hashing + verifying,
        "hashing_seconds": hashing,
        "verifying_seconds": verifying,
        "bytes": size_bytes,
        "signatures": signatures,
    }


def _verify(work: Path, what: str) -> dict[str, Any]:
    """Verify in full, or what was there before the last hundredth, or from there on."""
    pins, memory = read_pins(work / "pins.json"), work / "verified"
    began = time.process_time()
    if what == "full":
        report = verify_offline(work / "export", pins)
    else:
        export = work / ("before" if what == "before" else "export")
        report = verify_remembering(export, pins, memory, resume=what == "resumed")
    seconds = time.process_time() - began
    return {
        "ok": report.ok,
        "seconds": seconds,
        "peak_bytes": peak_bytes(os.getpid()),
        "verified_from": sum(each.verified_from for each in report.environments.values()),
    }


def _main() -> None:
    what, work = sys.argv[1], Path(sys.argv[2])
    print(json.dumps(_hash_and_verify(work) if what == "peer" else _verify(work, what)))


if __name__ == "__main__":
    _main()
