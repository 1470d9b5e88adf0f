"""Callers, issuers and revocations that change while the promotion service runs, and its certificate.

Responsible for noticing that ``sync.yaml`` changed, for reading it as at the start, and for putting
``callers``, ``oidc`` and ``revoked`` in force together. A file that is invalid is never loaded: the last good
one stays, and the log of the process says so once. What else changed needs a restart, and the log names it.
Keeps no history: what a caller may start is decided by each target, whose trust document is in its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from carnet.documents import read_file
from carnet.errors import CarnetError
from carnet_sync.config import SyncConfig, parse_config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from carnet.client.renewal import FollowedIdentity
    from carnet_sync.callers import CallersStore

LOOK_EVERY_SECONDS = 1.0
FOLLOWED = ("callers", "oidc", "revoked")
"""The fields of ``sync.yaml`` that are taken anew without a restart."""

logger = logging.getLogger(__name__)


class CallersReload:
    """Follows ``sync.yaml`` and the files of the service's certificate.

    Args:
        config: What the service was started with.
        callers: Who may do what now; it is changed here, and nowhere else.
        identity: The service's certificate and authorities.
    """

    def __init__(self, config: SyncConfig, callers: CallersStore, identity: FollowedIdentity) -> None:
        self._started = config
        self._in_force = config
        self._callers = callers
        self._identity = identity
        self._seen: bytes | None = None
        self._refused = ""
        self._waiting: Sequence[str] = ()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, again and again, until ``stop``; needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="reload")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                await self.look()
            except Exception:
                logger.exception("looking at the configuration failed")

    async def look(self) -> None:
        """Look at the files now, and put in force what is new."""
        await asyncio.to_thread(self._identity.look)
        path = self._started.path
        if path is None:
            return
        try:
            fresh = await asyncio.to_thread(self._read, path)
            if fresh is not None:
                self._take(fresh, path)
        except CarnetError as error:
            if self._refused != error.message:
                logger.error(  # noqa: TRY400  a file to correct, not a defect
                    "%s changed and is NOT in force, the last good one stays: %s", path, error.message
                )
            self._refused = error.message

    def _read(self, path: Path) -> SyncConfig | None:
        """Return the configuration as it is on the disk; None where it is as it was last taken."""
        data = read_file(path, what="the promotion service's configuration")
        if data == self._seen:
            self._refused = ""
            return None
        fresh = parse_config(data, path)
        self._seen, self._refused = data, ""
        return fresh

    def _take(self, fresh: SyncConfig, path: Path) -> None:
        changed = _differing(fresh, self._in_force, FOLLOWED)
        if changed:
            self._callers.current = fresh.read_callers()
            self._in_force = fresh
            logger.warning("%s: %s: the new ones are in force", path, ", ".join(changed))
        others = tuple(name for name in SyncConfig.model_fields if name not in FOLLOWED)
        waiting = _differing(fresh, self._started, others)
        if waiting and waiting != self._waiting:
            logger.warning("%s: %s: changed, and in force after a restart only", path, ", ".join(waiting))
        self._waiting = waiting


def _differing(one: SyncConfig, other: SyncConfig, names: Sequence[str]) -> list[str]:
    return [name for name in names if getattr(one, name) != getattr(other, name)]
