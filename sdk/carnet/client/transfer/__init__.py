"""Carrying blobs: up from files, down to files, and through from one registry to another.

Responsible for what all of these share: only what is missing is sent, small blobs travel in batches, large
ones as streams of pieces that go on at the byte where they stopped, a peer that is away is waited for as
long as there is progress, and memory stays flat however large a blob is. What comes down is hashed as it is
written and is gone again if it is not what was asked for; what goes up is hashed by the registry.

Progress is told as bytes done and bytes in all, of what the function was asked to carry; what was there
already counts as done. Does not know manifests, and decides nothing about who may read or write.
"""

from carnet.client.transfer.blobs import (
    BATCH_BLOBS,
    BATCH_BYTES,
    SMALL_BLOB_BYTES,
    LocalBlob,
    NamedBlob,
    is_small,
    small_batches,
)
from carnet.client.transfer.calls import find_missing, read_messages, read_small, write_small
from carnet.client.transfer.counting import BlobCount, ByteCount
from carnet.client.transfer.download import download_blob, download_files, download_small
from carnet.client.transfer.local_files import PIECE_BYTES
from carnet.client.transfer.parallel import in_parallel
from carnet.client.transfer.patience import Patience
from carnet.client.transfer.relay import relay_blob, relay_small
from carnet.client.transfer.upload import upload_files

__all__ = [
    "BATCH_BLOBS",
    "BATCH_BYTES",
    "PIECE_BYTES",
    "SMALL_BLOB_BYTES",
    "BlobCount",
    "ByteCount",
    "LocalBlob",
    "NamedBlob",
    "Patience",
    "download_blob",
    "download_files",
    "download_small",
    "find_missing",
    "in_parallel",
    "is_small",
    "read_messages",
    "read_small",
    "relay_blob",
    "relay_small",
    "small_batches",
    "upload_files",
    "write_small",
]
