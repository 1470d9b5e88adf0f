"""Starting, finding and stopping the processes of a local federation.

Responsible for one process a registry, one for the promotion service, and one for each store that the
federation starts itself, each a session leader of its own with a log file and a process-id file below
``run/``. A process id counts only together with the process's start time, so that a number that was given to
somebody else is never signalled, and of several commands only one at a time starts or stops it. Knows nothing
of what the processes do.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from carnet.errors import NotFoundError, UnavailableError
from carnet_server.local.files import read_variables
from carnet_server.local.initialise import MARKER
from carnet_server.local.stores import BACKENDS, POSTGRES, S3, SYNC, variables_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STOP_TIMEOUT_SECONDS = 15.0
_KILL_TIMEOUT_SECONDS = 5.0
_LOG_TAIL_LINES = 15
_START_TIME_TOLERANCE_SECONDS = 0.5
# What of this terminal's own environment would lead a process to another database or store than its own.
_OTHERS_VARIABLES = ("PG", "AWS_", "RCLONE_")


@dataclass(frozen=True)
class Process:
    """One process of a federation, running or not.

    Attributes:
        name: ``sync``, the environment's name, or ``postgres`` or ``s3``.
        folder: The federation's folder.
        module: The Python module that it runs.
        config: Its configuration file.
        stop_signal: What asks it to stop.
    """

    name: str
    folder: Path
    module: str
    config: Path
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def is_store(self) -> bool:
        """Whether it is a store, which others need to start."""
        return self.name in _STORES

    @property
    def pid_file(self) -> Path:
        """Where its process id is kept."""
        return self.folder / "run" / f"{self.name}.pid"

    @property
    def log_file(self) -> Path:
        """Where its output goes."""
        return self.folder / "run" / f"{self.name}.log"

    def pid(self) -> int | None:
        """Its process id; None where it does not run."""
        try:
            recorded = json.loads(self.pid_file.read_text())
            found = psutil.Process(int(recorded["pid"]))
            same = abs(found.create_time() - float(recorded["started"])) < _START_TIME_TOLERANCE_SECONDS
            running = same and found.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None
        return found.pid if running else None

    def start(self) -> int:
        """Start it, detached from this terminal, unless it runs.

        Returns:
            Its process id.

        Raises:
            UnavailableError: It cannot be started.
        """
        with self._alone():
            return self.pid() or self._start()

    def revive(self) -> bool:
        """Start it again if it died; one that was stopped stays so.

        Returns:
            Whether it had died.

        Raises:
            UnavailableError: It cannot be started.
        """
        with self._alone():
            if self.stopped or self.pid() is not None:
                return False
            self._start()
            return True

    @property
    def stopped(self) -> bool:
        """Whether it was stopped, or never started; one that died was not."""
        return not self.pid_file.exists()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other commands from starting or stopping it meanwhile."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.pid_file.with_suffix(".lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _start(self) -> int:
        command = [sys.executable, "-m", self.module, "--config", str(self.config)]
        try:
            with self.log_file.open("ab") as log:
                child = subprocess.Popen(  # noqa: S603  our own module
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=self._environment(),
                )
            started = psutil.Process(child.pid).create_time()
        except (OSError, psutil.Error) as error:
            raise UnavailableError(f"{self.name} cannot be started: {error}") from error
        temporary = self.pid_file.with_suffix(".pid.new")
        temporary.write_text(json.dumps({"pid": child.pid, "started": started}))
        temporary.replace(self.pid_file)
        # It is meant to outlive this object, which would warn of a child that nobody waits for: `reap` does.
        child.returncode = 0
        return child.pid

    def _environment(self) -> dict[str, str]:
        variables = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
        own = read_variables(variables_file(self.folder, self.name))
        if not own and not self.is_store:
            return variables
        for name in [name for name in variables if name.startswith(_OTHERS_VARIABLES)]:
            del variables[name]
        return variables | own

    def signal(self, number: signal.Signals) -> bool:
        """Send it a signal; False where it does not run."""
        pid = self.pid()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def stop(self, timeout_seconds: float = STOP_TIMEOUT_SECONDS) -> bool:
        """Ask it to stop, and end it where it does not.

        Returns:
            Whether it ran.
        """
        if self.stopped:
            return False
        with self._alone():
            ran = self.signal(self.stop_signal)
            if ran and not self._ends_within(timeout_seconds):
                self.signal(signal.SIGKILL)
                self._ends_within(_KILL_TIMEOUT_SECONDS)
            reap()
            self.pid_file.unlink(missing_ok=True)
            return ran

    def _ends_within(self, timeout_seconds: float) -> bool:
        end = time.monotonic() + timeout_seconds
        while self.pid() is not None:
            if time.monotonic() >= end:
                return False
            reap()
            time.sleep(0.02)
        return True

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def reap() -> None:
    """Collect children of this process that have ended, so that they are not found as running."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


# SIGINT is PostgreSQL's fast shutdown; at SIGTERM it would wait for its clients to leave.
_STORES = {
    POSTGRES: ("carnet_server.local.backends.postgres", signal.SIGINT),
    S3: ("carnet_server.local.backends.object_storage", signal.SIGTERM),
}


def processes_of(folder: Path) -> list[Process]:
    """The processes of a federation in the order of their starting: stores, registries, promotion service.

    Args:
        folder: The federation's folder.

    Raises:
        NotFoundError: There is no federation.
    """
    if not (folder / MARKER).is_file():
        raise NotFoundError(f"there is no federation in {folder}: make one with `carnet init {folder}`")
    folder = folder.resolve()
    stores = [
        Process(name, folder, module, config, stop_signal)
        for name, (module, stop_signal) in _STORES.items()
        if (config := folder / BACKENDS / f"{name}.yaml").is_file()
    ]
    registries = [
        Process(config.parent.name, folder, "carnet_server", config)
        for config in sorted(folder.glob("environments/*/environment.yaml"))
    ]
    return [*stores, *registries, Process(SYNC, folder, "carnet_sync", folder / "sync" / "sync.yaml")]


def stop_all(processes: Sequence[Process]) -> list[str]:
    """Stop processes in the reverse order of their starting, so that none finds what it needs gone.

    Args:
        processes: The processes, in the order of their starting.

    Returns:
        The names of those that ran.
    """
    return [process.name for process in reversed(processes) if process.stop()]
