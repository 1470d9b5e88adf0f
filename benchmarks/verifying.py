"""A verifier, or the bare loop that it is compared with: ``python -m benchmarks.verifying WHAT WORK``.

A process of its own that loads nothing but what it needs, so that its peak is a verifier's. Says what it
measured on a line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from carnet.client.audit_memory import read_pins, verify_offline, verify_remembering
from carnet.signing.dsse import pae, parse_envelope

_BATCH = 1000


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
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "verified_from": sum(each.verified_from for each in report.environments.values()),
    }


def _main() -> None:
    what, work = sys.argv[1], Path(sys.argv[2])
    print(json.dumps(_hash_and_verify(work) if what == "peer" else _verify(work, what)))


if __name__ == "__main__":
    _main()
