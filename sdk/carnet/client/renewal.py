"""Certificates that are renewed while a party runs: an identity that follows its files, and channels on it.

Responsible for noticing that a certificate, its key or the authorities changed on the disk, and for taking
the new ones only when they fit together and are valid now: what cannot be used is said in the log, and the
last good ones stay. Writes nothing, and makes no certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from carnet.client.channel import TlsIdentity
from carnet.errors import CarnetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import grpc.aio

LOOK_EVERY_SECONDS = 1.0
# A call that is under way on the channel of an old certificate may take so long to end.
LAST_CALLS_SECONDS = 3600.0

logger = logging.getLogger(__name__)


class FollowedIdentity:
    """A TLS identity that follows its files; thread-safe.

    Args:
        identity: The identity as it was loaded; one that was not loaded from files stays as it is.
        every_seconds: How often the files are looked at, at most.

    Attributes:
        current: The identity that is good now.
        generation: How often it changed.
    """

    def __init__(self, identity: TlsIdentity, *, every_seconds: float = LOOK_EVERY_SECONDS) -> None:
        self.current = identity
        self.generation = 0
        self._every_seconds = every_seconds
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._seen: object = None
        self._refused: object = None

    def look(self) -> TlsIdentity:
        """Look at the files if it is time to, and return the identity that is good now."""
        files = self.current.files
        if files is None or time.monotonic() < self._next_look:
            return self.current
        with self._lock:
            self._next_look = time.monotonic() + self._every_seconds
            stamps = tuple(map(_stamp, files))
            if stamps != self._seen:
                self._take(files, stamps)
        return self.current

    def _take(self, files: tuple[Path, Path, Path], stamps: object) -> None:
        try:
            fresh = TlsIdentity.load(*files)
            if fresh != self.current:
                fresh.check()
        except CarnetError as error:
            # Files that are replaced one after the other do not fit for a moment, so it is tried again.
            if stamps != self._refused:
                logger.error(  # noqa: TRY400  a file to correct, not a defect
                    "the renewed certificate is not used, the last good one stays: %s", error.message
                )
            self._refused = stamps
            return
        self._seen, self._refused = stamps, None
        if fresh != self.current:
            self.current = fresh
            self.generation += 1
            logger.info("the certificate in %s was renewed", files[0])


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class RenewedChannel:
    """A channel that is opened anew when its identity changes; calls under way end on the old one.

    Args:
        open_one: Opens a channel with an identity.
        identity: The identity, which follows its files.

    Raises:
        CertificateExpiredError: The caller's own certificate is not valid now.
    """

    def __init__(self, open_one: Callable[[TlsIdentity], grpc.aio.Channel], identity: TlsIdentity) -> None:
        self._open_one = open_one
        self._identity = FollowedIdentity(identity)
        self._used = identity
        self._channel = open_one(identity)
        self._ending: set[asyncio.Task[None]] = set()

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as ``grpc.aio.Channel.unary_unary`` does."""
        return self._method("unary_unary", arguments, options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as ``grpc.aio.Channel.unary_stream`` does."""
        return self._method("unary_stream", arguments, options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as ``grpc.aio.Channel.stream_unary`` does."""
        return self._method("stream_unary", arguments, options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as ``grpc.aio.Channel.stream_stream`` does."""
        return self._method("stream_stream", arguments, options)

    async def close(self) -> None:
        """Close every channel; calls under way are cancelled."""
        for task in self._ending:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._ending, return_exceptions=True)
        await self._channel.close()

    def _method(self, kind: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        made_on = self._channel
        made = getattr(made_on, kind)(*arguments, **options)

        def call(*values: Any, **named: Any) -> Any:
            nonlocal made_on, made
            channel = self._present()
            if channel is not made_on:
                made_on, made = channel, getattr(channel, kind)(*arguments, **options)
            return made(*values, **named)

        return call

    def _present(self) -> grpc.aio.Channel:
        identity = self._identity.look()
        if identity is not self._used:
            old, self._channel, self._used = self._channel, self._open_one(identity), identity
            ending = asyncio.get_running_loop().create_task(old.close(LAST_CALLS_SECONDS))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        return self._channel
