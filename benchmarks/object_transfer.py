"""One transfer between a file and an object store, in a process of its own.

Run as ``python -m benchmarks.object_transfer KIND URL FILE DIGEST`` with the credentials in the environment;
prints one JSON object with the seconds that the transfer took and the bytes that the process grew by. KIND is
``store-in`` or ``store-out`` for Carnet's store of blobs, ``bare-in`` or ``bare-out`` for obstore alone, with
its own defaults. What comes out is counted and dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.store import S3Store

from benchmarks.peaks import peak_bytes, reset_peak, resident_bytes
from carnet_server.blobs.domain import PIECE_BYTES, Blob
from carnet_server.blobs.opening import open_store

BARE_PATH = "bare/blob"
WARM_UP = Blob("0" * 64, 1)


def store_in(url: str, file: Path, blob: Blob) -> int:
    """Write a file into Carnet's store."""
    store = open_store(url)
    store.find_missing([WARM_UP])
    with file.open("rb") as source, contextlib.closing(store.open_upload("bench", blob)) as upload:
        while data := source.read(PIECE_BYTES):
            upload.append(data)
        upload.finish()
    return blob.size_bytes


def store_out(url: str, _file: Path, blob: Blob) -> int:
    """Read a blob from Carnet's store."""
    store = open_store(url)
    with contextlib.closing(store.open_blob(blob)) as reading:
        return sum(len(piece.data) for piece in iter(reading.next_piece, None))


def bare_in(url: str, file: Path, blob: Blob) -> int:
    """Write a file with obstore alone."""
    obstore.put(_bare(url), BARE_PATH, file)
    return blob.size_bytes


def bare_out(url: str, _file: Path, _blob: Blob) -> int:
    """Read an object with obstore alone."""
    return sum(len(chunk) for chunk in obstore.get(_bare(url), BARE_PATH).stream())


def _bare(url: str) -> S3Store:
    parsed = urlsplit(url)
    where = dict(parse_qsl(parsed.query))
    return S3Store(
        parsed.netloc,
        endpoint=where["endpoint"],
        region=where["region"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


KINDS = {"store-in": store_in, "store-out": store_out, "bare-in": bare_in, "bare-out": bare_out}


def main() -> None:
    """Make the transfer that the command line names."""
    kind, url, name, digest = sys.argv[1:]
    file = Path(name)
    blob = Blob(digest, file.stat().st_size)
    me = os.getpid()
    before = resident_bytes(me)
    reset_peak(me)
    began = time.perf_counter()
    moved = KINDS[kind](url, file, blob)
    seconds = time.perf_counter() - began
    if moved != blob.size_bytes:
        sys.exit(f"{kind}: {moved} of {blob.size_bytes} bytes came")
    print(json.dumps({"seconds": seconds, "growth_bytes": peak_bytes(me) - before}))


if __name__ == "__main__":
    main()
