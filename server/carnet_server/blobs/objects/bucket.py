"""The few things that are done with an object store, in Carnet's errors.

Responsible for what differs between stores: whether a put can be made conditional, whether deleting what is
not there is an error, and how a failure is told. Knows nothing of blobs. Everything here blocks and may be
called on any thread; how often and how long a request is tried again is the client's own setting.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError

from carnet.errors import UnavailableError
from carnet_server.blobs.objects.buffers import new_buffer
from carnet_server.blobs.objects.errors import OBSTORE_ERRORS, read_failure, store_error, typed_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from obstore import GetResult
    from obstore.store import ObjectStore as Client

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a listing.

    Attributes:
        path: Where it is.
        size_bytes: How many bytes it has.
        stored_at: When it was written, by the store's clock.
    """

    path: str
    size_bytes: int
    stored_at: datetime


def _collect(result: GetResult, buffer: memoryview) -> memoryview:
    """Read an answer into a buffer of its size; what comes beyond the size is not taken."""
    filled = 0
    for chunk in result.stream(min_chunk_size=0):
        taken = memoryview(chunk)[: len(buffer) - filled]
        buffer[filled : filled + len(taken)] = taken
        filled += len(taken)
    return buffer[:filled]


class Bucket:
    """A bucket, or what is below a prefix in one.

    Attributes:
        name: What a person knows it by, without secrets.
        client: obstore's.

    Args:
        client: obstore's.
        name: What a person knows it by.
    """

    def __init__(self, client: Client, name: str) -> None:
        self.name = name
        self.client = client
        self._conditional = True

    def put(self, path: str, data: bytes | memoryview) -> None:
        """Write an object, over any that is there.

        Args:
            path: Where.
            data: Its bytes, which must not change until this returns.

        Raises:
            StorageFullError: The store has no room.
            UnavailableError: The store failed.
        """
        with typed_errors(self.name):
            obstore.put(self.client, path, data, mode="overwrite", use_multipart=False)

    def create(self, path: str, data: bytes | memoryview) -> bool:
        """Write an object if there is none, as far as the store can tell.

        Args:
            path: Where.
            data: Its bytes.

        Returns:
            False when another was there and still is; True also where the store knows no conditions and
            another was replaced, and False also where an answer was lost and it is our own.

        Raises:
            StorageFullError: The store has no room.
            UnavailableError: The store failed.
        """
        if self._conditional:
            try:
                obstore.put(self.client, path, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            except OBSTORE_ERRORS as error:
                if not read_failure(error).no_condition:
                    raise store_error(self.name, error) from None
                self._conditional = False
            else:
                return True
        self.put(path, data)
        return True

    def get(self, path: str, *, at_most: int) -> memoryview | None:
        """Read an object.

        Args:
            path: Where.
            at_most: How many bytes it can have, at most.

        Returns:
            Its bytes; None when it is not there or has more.

        Raises:
            UnavailableError: The store failed.
        """
        try:
            result = obstore.get(self.client, path)
            size_bytes = result.meta["size"]
            if size_bytes > at_most:
                return None
            return _collect(result, new_buffer(size_bytes))
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except OBSTORE_ERRORS as error:
            raise store_error(self.name, error) from None

    def size_of(self, path: str) -> int | None:
        """Return how many bytes an object has; None when it is not there.

        Raises:
            UnavailableError: The store failed.
        """
        try:
            return obstore.head(self.client, path)["size"]
        except FileNotFoundError as error:
            self._require_bucket(error)
            return None
        except OBSTORE_ERRORS as error:
            raise store_error(self.name, error) from None

    def _require_bucket(self, error: FileNotFoundError) -> None:
        """Insist that only an object is absent: an absent bucket is no answer about what it held."""
        if read_failure(error).no_bucket:
            raise UnavailableError(
                f"the object store {self.name} is gone: its bucket does not exist"
            ) from None

    def objects_below(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects below a prefix, in no order, a page at a time.

        Args:
            prefix: Whole segments of the path, without a slash behind.

        Raises:
            UnavailableError: The store failed.
        """
        with typed_errors(self.name):
            pages = obstore.list(self.client, prefix, chunk_size=_PAGE)
        while True:
            with typed_errors(self.name):
                page = next(pages, None)
            if page is None:
                return
            for each in page:
                yield StoredObject(each["path"], each["size"], each["last_modified"])

    def prefixes_below(self, prefix: str) -> list[str]:
        """Return the prefixes one segment below a prefix.

        Raises:
            UnavailableError: The store failed.
        """
        with typed_errors(self.name):
            return list(obstore.list_with_delimiter(self.client, prefix)["common_prefixes"])

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; one that is not there is none to delete.

        Raises:
            UnavailableError: The store failed.
        """
        for start in range(0, len(paths), _PAGE):
            self._delete(paths[start : start + _PAGE])

    def _delete(self, paths: Sequence[str]) -> None:
        with typed_errors(self.name):
            try:
                obstore.delete(self.client, paths)
            except FileNotFoundError:
                for path in paths:
                    with contextlib.suppress(FileNotFoundError):
                        obstore.delete(self.client, path)
