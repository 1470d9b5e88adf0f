"""The bucket that holds every blob of an environment, each under its digest.

Responsible for the promises of ``carnet_server.blobs.port`` where nothing can be renamed or appended to: a
small blob is one object, put as a whole; a larger one is parts, and an index that is put last and makes it
visible (``docs/adr/0007``). ``names`` says where objects are.

Not responsible for who has a blob, nor for deciding what may go. Everything here blocks. Namespaces and
digests are names that were checked before.
"""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

import obstore

from carnet.canonical import sha256_hex
from carnet.errors import ConflictError, DataLossError, DigestMismatchError, UnavailableError
from carnet_server.blobs.domain import Blob
from carnet_server.blobs.objects.attempts import find_attempt, group_attempts
from carnet_server.blobs.objects.errors import typed_start_errors
from carnet_server.blobs.objects.lookahead import PartThreads
from carnet_server.blobs.objects.names import (
    PART_BYTES,
    PARTS,
    PROBES,
    STORED_PREFIXES,
    digest_of,
    index_path,
    probe_path,
    single_path,
)
from carnet_server.blobs.objects.reading import ObjectReading
from carnet_server.blobs.objects.single_upload import SingleUpload
from carnet_server.blobs.objects.stored import (
    fetch_single,
    find_index,
    is_single,
    is_stored,
    store_single,
)
from carnet_server.blobs.objects.upload import ObjectUpload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from carnet_server.blobs.objects.bucket import Bucket
    from carnet_server.blobs.objects.names import Attempt

THREADS = 16


class ObjectStore:
    """A store of blobs in a bucket.

    Args:
        bucket: The bucket.
        credentials: What a person checks when they are refused.
    """

    def __init__(self, bucket: Bucket, *, credentials: str = "the credentials") -> None:
        self._bucket = bucket
        self._credentials = credentials
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="objects")
        self._parts = PartThreads()
        self._lock = Lock()
        self._writing: set[tuple[str, str]] = set()

    def check(self) -> None:
        """Insist that the bucket can be written, read, listed and deleted from, by doing so.

        Raises:
            InvalidInputError: It is not there, or the credentials are wrong; says what to do.
            StorageFullError: It has no room.
            UnavailableError: It cannot be reached, or does not give back what was written.
        """
        client, path, written = self._bucket.client, probe_path(), secrets.token_bytes(32)
        with typed_start_errors(self._bucket.name, credentials=self._credentials):
            obstore.put(client, path, written, use_multipart=False)
            try:
                read = bytes(obstore.get(client, path).bytes())
                listed = any(each["path"] == path for page in obstore.list(client, PROBES) for each in page)
            finally:
                obstore.delete(client, path)
        if read != written or not listed:
            raise UnavailableError(
                f"blobs: {self._bucket.name} does not give back or list what was just written: it is not a "
                "store that blobs can be kept in",
                metadata={"field": "blobs"},
            )

    def find_missing(self, blobs: Sequence[Blob]) -> list[Blob]:
        """Tell which blobs are not there whole; see the port.

        Raises:
            UnavailableError: The store failed.
        """
        if len(blobs) == 1:
            return [] if is_stored(self._bucket, blobs[0]) else [blobs[0]]
        stored = self._threads.map(partial(is_stored, self._bucket), blobs)
        return [blob for blob, there in zip(blobs, stored, strict=True) if not there]

    def uploaded_bytes(self, namespace: str, blob: Blob) -> int:
        """Tell how much of an upload is held, in whole parts: where a write goes on.

        Raises:
            UnavailableError: The store failed.
        """
        if is_single(blob):
            return 0
        _, run = find_attempt(self._bucket, namespace, blob)
        return min(len(run) * PART_BYTES, blob.size_bytes)

    def open_upload(self, namespace: str, blob: Blob) -> ObjectUpload | SingleUpload:
        """Begin an upload, or take it up at the part where it stands.

        Args:
            namespace: Whose upload it is.
            blob: The blob.

        Raises:
            ConflictError: Another in this process is writing this blob to this namespace now.
            UnavailableError: The store failed.
        """
        claim = self._claim(namespace, blob.digest)
        if claim is None:
            raise ConflictError(
                f"blob {blob.digest} is being written to this namespace by another caller: ask again where "
                "its upload stands, and go on when it has stopped"
            )
        with contextlib.ExitStack() as unless_opened:
            unless_opened.callback(claim.release)
            if is_single(blob):
                unless_opened.pop_all()
                return SingleUpload(self._bucket, blob, released=claim.release)
            attempt, run = find_attempt(self._bucket, namespace, blob)
            unless_opened.pop_all()
        return ObjectUpload(self._bucket, self._parts, blob, attempt, run, released=claim.release)

    def _claim(self, namespace: str, digest: str) -> _Claim | None:
        with self._lock:
            if (namespace, digest) in self._writing:
                return None
            self._writing.add((namespace, digest))
        return _Claim(self._writing, self._lock, (namespace, digest))

    def write_small(self, namespace: str, contents: Sequence[tuple[str, bytes]]) -> None:  # noqa: ARG002
        """Store small blobs, several at once.

        Args:
            namespace: Whose upload it is; small blobs leave nothing behind under its name.
            contents: Each blob's digest and bytes.

        Raises:
            DigestMismatchError: The bytes of one are not those of its digest; it is named.
            StorageFullError: The store has no room.
            UnavailableError: The store failed.
        """
        for digest, data in contents:
            if (found := sha256_hex(data)) != digest:
                raise DigestMismatchError(
                    f"the {len(data)} bytes that were written as blob {digest} have the digest {found}: no "
                    "blob of this batch was stored",
                    metadata={"expected": digest, "found": found},
                )
        puts = [self._threads.submit(store_single, self._bucket, digest, data) for digest, data in contents]
        try:
            for put in puts:
                put.result()
        finally:
            for put in puts:
                put.cancel()

    def open_blob(self, blob: Blob, offset: int = 0, length: int = 0) -> ObjectReading:
        """Begin to read a stored blob; see `ObjectReading` for the arguments and for what it raises."""
        return ObjectReading(self._bucket, self._parts, blob, offset, length)

    def read_small(self, blob: Blob) -> bytes:
        """Read a small blob whole.

        Raises:
            DataLossError: The stored bytes are damaged or gone.
            UnavailableError: The store failed.
        """
        if is_single(blob):
            return bytes(fetch_single(self._bucket, blob))
        with contextlib.closing(self.open_blob(blob)) as reading:
            return b"".join(piece.data for piece in iter(reading.next_piece, None))

    def discard_uploads(self, before: datetime) -> int:
        """Clear away the attempts that nobody wrote to since a time and that no index names.

        Args:
            before: The time.

        Returns:
            How many attempts.

        Raises:
            UnavailableError: The store failed.
        """
        discarded = 0
        for namespace in self._bucket.prefixes_below(PARTS):
            states = group_attempts(self._bucket.objects_below(namespace))
            old: dict[tuple[str, str], list[Attempt]] = {}
            for attempt, state in states.items():
                if state.newest < before:
                    old.setdefault((attempt.namespace, attempt.digest), []).append(attempt)
            discarded += sum(self._threads.map(partial(self._discard, before), old.values()))
        return discarded

    def _discard(self, before: datetime, attempts: Sequence[Attempt]) -> int:
        """Delete those of a namespace's attempts at one blob that may go."""
        claim = self._claim(attempts[0].namespace, attempts[0].digest)
        if claim is None:
            return 0
        try:
            index = find_index(self._bucket, attempts[0].digest)
            named = None if index is None else index.attempt
            return sum(self._discard_one(before, attempt) for attempt in attempts if attempt != named)
        except DataLossError:
            return 0  # the index is damaged: it may be one of these that it named
        finally:
            claim.release()

    def _discard_one(self, before: datetime, attempt: Attempt) -> bool:
        found = list(self._bucket.objects_below(attempt.prefix))
        if not found or max(each.stored_at for each in found) >= before:
            return False
        self._bucket.delete([each.path for each in found])
        return True

    def stored_before(self, before: datetime) -> Iterator[str]:
        """Yield the digest of every blob whose object or index was written before a time.

        Args:
            before: The time.

        Raises:
            UnavailableError: The store failed.
        """
        for prefix in STORED_PREFIXES:
            for stored in self._bucket.objects_below(prefix):
                digest = digest_of(stored.path)
                if digest is not None and stored.stored_at < before:
                    yield digest

    def find(self, digest: str) -> Blob | None:
        """Tell how large a stored blob is, by its object or its index; None when it is not there.

        Raises:
            DataLossError: The index is damaged.
            UnavailableError: The store failed.
        """
        size_bytes = self._bucket.size_of(single_path(digest))
        if size_bytes is None:
            index = find_index(self._bucket, digest)
            size_bytes = None if index is None else index.size_bytes
        return None if size_bytes is None else Blob(digest, size_bytes)

    def remove(self, digest: str) -> bool:
        """Take a blob out of the store: what makes it visible first, then its parts.

        Returns:
            Whether it was there.

        Raises:
            UnavailableError: The store failed.
        """
        try:
            index = find_index(self._bucket, digest)
            indexed = index is not None
        except DataLossError:
            index, indexed = None, True
        single = self._bucket.size_of(single_path(digest)) is not None
        self._bucket.delete([single_path(digest)] * single + [index_path(digest)] * indexed)
        if index is not None:
            named = {index.path_of(number) for number in range(len(index.parts))}
            stored = {each.path for each in self._bucket.objects_below(index.attempt.prefix)}
            self._bucket.delete(sorted(named & stored))
        return single or indexed

    def close(self) -> None:
        """End the threads; what they are at is finished."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._parts.close()


class _Claim:
    """The right to be the one writer of a blob in a namespace, in this process."""

    def __init__(self, held: set[tuple[str, str]], lock: Lock, place: tuple[str, str]) -> None:
        self._held = held
        self._lock = lock
        self._place = place

    def release(self) -> None:
        """Let another write."""
        with self._lock:
            self._held.discard(self._place)
