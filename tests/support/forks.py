"""Run our own programs as forks of a process that has imported them: what a fresh start costs is paid once.

A fork is a process of its own in everything that a test sees. Where there are no pidfds, programs are started
anew; see ``fork_server``.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAMS = {
    "carnet": "carnet.cli.main",
    "carnet_server": "carnet_server.__main__",
    "carnet_sync": "carnet_sync.__main__",
    "tests.support.dying_registry": "tests.support.dying_registry",
}
AVAILABLE = hasattr(os, "pidfd_open")
ROOT = Path(__file__).parents[2]
CARNET = str(Path(sysconfig.get_path("scripts")) / "carnet")
NOTHING = Path(os.devnull)


class _Server:
    """The process that has everything imported; it ends with this one."""

    def __init__(self) -> None:
        self.asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self.stop)

    def stop(self) -> None:
        self.asking.close()
        self._process.wait()


@functools.cache
def _server() -> _Server:
    return _Server()


_inherited: list[socket.socket] = []


def ask_by(asking: socket.socket) -> None:
    """Ask the server of which this process is a fork."""
    _inherited.append(asking)


class Fork:
    """A program that was started; as much of ``subprocess.Popen`` as is asked of one.

    Args:
        program: One of ``PROGRAMS``.
        arguments: Its command line, without its name.
        streams: Its standard streams.
        environment: Its environment variables.
        session: Whether it leads a session of its own.
    """

    def __init__(
        self,
        program: str,
        arguments: list[str],
        *,
        streams: tuple[int, int, int],
        environment: dict[str, str],
        session: bool = False,
    ) -> None:
        request = {
            "program": program,
            "arguments": arguments,
            "environment": environment,
            "folder": str(Path.cwd()),
            "session": session,
        }
        self._told, telling = os.pipe()
        try:
            asking = _inherited[0] if _inherited else _server().asking
            socket.send_fds(asking, [json.dumps(request).encode()], [*streams, telling])
        finally:
            os.close(telling)
        self._text = b""
        self._command = [program, *arguments]
        self.pid = self._next(None)
        self.returncode: int | None = None

    def _next(self, end: float | None) -> int:
        told = select.poll()
        told.register(self._told, select.POLLIN)
        while b"\n" not in self._text:
            left = None if end is None else max(end - time.monotonic(), 0) * 1000
            if not told.poll(left):
                raise subprocess.TimeoutExpired(self._command, 0)
            more = os.read(self._told, 64)
            if not more:
                raise RuntimeError(f"the fork server is gone, and with it {self._command}")
            self._text += more
        line, _, self._text = self._text.partition(b"\n")
        return int(line)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns its exit code, a signal's number below zero."""
        if self.returncode is None:
            self.returncode = self._next(None if timeout is None else time.monotonic() + timeout)
            self.close()
        return self.returncode

    def close(self) -> None:
        """Ask no more of it."""
        if self._told >= 0:
            os.close(self._told)
            self._told = -1


def run_program(
    program: str, *arguments: str, environment: Mapping[str, str], timeout: float = 110
) -> subprocess.CompletedProcess[str]:
    """Run a program with nothing to read, and collect what it prints.

    Args:
        program: One of ``PROGRAMS``.
        arguments: Its command line, without its name.
        environment: Its environment variables.
        timeout: After how many seconds it is killed, and the test fails.
    """
    if not AVAILABLE:
        command = [CARNET] if program == "carnet" else [sys.executable, "-m", program]
        options = {"env": environment, "timeout": timeout, "stdin": subprocess.DEVNULL, "text": True}
        return subprocess.run([*command, *arguments], capture_output=True, check=False, **options)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, NOTHING.open("rb") as nothing:
        streams = nothing.fileno(), out.fileno(), err.fileno()
        fork = Fork(program, [*arguments], streams=streams, environment=dict(environment))
        try:
            code = fork.wait(timeout)
        except subprocess.TimeoutExpired:
            os.kill(fork.pid, signal.SIGKILL)
            fork.wait()
            raise
        texts = [_text_of(file) for file in (out, err)]
    return subprocess.CompletedProcess([program, *arguments], code, *texts)


def _text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def start_service(command: Sequence[str], **options: Any) -> Fork | subprocess.Popen[bytes]:
    """Stand in for ``subprocess.Popen`` where a federation's processes are started: services are forked.

    What they print must go to files.
    """
    _, *flags = command
    if not AVAILABLE or flags[:1] != ["-m"] or flags[1] not in PROGRAMS:
        return subprocess.Popen(command, **options)
    with NOTHING.open("rb") as nothing:
        streams = nothing.fileno(), options["stdout"].fileno(), options["stderr"].fileno()
        fork = Fork(flags[1], flags[2:], streams=streams, environment=options["env"], session=True)
    fork.close()
    return fork
