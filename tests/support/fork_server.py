"""Fork for each program that is asked for, with everything imported: ``python -m tests.support.fork_server SOCKET``.

Importing is most of what a command or a service costs, so it is done once. A fork has what a process that was
started anew would have: arguments, environment, folder, standard streams, a session if it is asked for, and an
exit code. This process itself runs nothing, has one thread, and ends with whoever holds the other end of its
socket. Services that a fork starts, as ``carnet up`` does, are forks too.

A request is a JSON object with four file descriptors: the standard streams, and a pipe that is told the
process's id at once, and its exit code when it has ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import types

from tests.support import forks
from tests.support.forks import PROGRAMS

# What they import when they come to need it.
_LATER = ("alembic.command", "obstore.store", "psycopg", "sqlalchemy.dialects.sqlite.pysqlite")
REQUEST_BYTES = 1 << 20


def import_everything() -> None:
    """Import our programs and their commands, and nothing that starts a thread."""
    for name in (*PROGRAMS.values(), *_LATER):
        importlib.import_module(name)
    import click

    from carnet.cli.application import build

    root = build()
    context = click.Context(root)
    for name in root.list_commands(context):
        root.get_command(context, name)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("something that was imported has started a thread, which a fork would not have")
    gc.collect()
    gc.freeze()


class Children:
    """The forks that run, each with the pipe that is told of it."""

    def __init__(self, ready: select.poll) -> None:
        self._ready = ready
        self._known: dict[int, tuple[int, int]] = {}

    def add(self, child: int, pipe: int) -> None:
        """Tell of a fork, and see to it that its end is told."""
        process = os.pidfd_open(child)
        self._known[process] = child, pipe
        self._ready.register(process, select.POLLIN)
        _tell(pipe, child)

    def bury(self, process: int) -> None:
        """Tell that a fork has ended."""
        self._ready.unregister(process)
        child, pipe = self._known.pop(process)
        _tell(pipe, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os.close(process)
        os.close(pipe)

    def forget(self) -> None:
        """Let go of the others, in a fork."""
        for process, (_, pipe) in self._known.items():
            os.close(process)
            os.close(pipe)


def _tell(pipe: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody is there to be told
        os.write(pipe, f"{number}\n".encode())


def serve(asking: socket.socket, forks_asking: socket.socket) -> tuple[dict, list[int]] | None:
    """Fork for every request.

    Args:
        asking: What tests ask by.
        forks_asking: What forks ask by.

    Returns:
        In a fork, what it is to run and its standard streams; None when nobody is left to ask.
    """
    ready = select.poll()
    sockets = {each.fileno(): each for each in (asking, forks_asking)}
    for number in sockets:
        ready.register(number, select.POLLIN)
    children = Children(ready)
    while True:
        for number, _ in ready.poll():
            if number not in sockets:
                children.bury(number)
                continue
            request, passed, _, _ = socket.recv_fds(sockets[number], REQUEST_BYTES, 4)
            if not request:
                return None
            *streams, pipe = passed
            child = os.fork()
            if child == 0:
                children.forget()
                asking.close()
                forks_asking.close()
                os.close(pipe)
                return json.loads(request), streams
            for stream in streams:
                os.close(stream)
            children.add(child, pipe)


def run(request: dict, streams: list[int], asking: socket.socket) -> int:
    """Become the program that is asked for, in a fork, and run it.

    Args:
        request: What is asked for.
        streams: Its standard streams.
        asking: What it asks for forks by.
    """
    from carnet_server.local import processes

    forks.ask_by(asking)
    processes.subprocess = types.SimpleNamespace(Popen=forks.start_service, DEVNULL=subprocess.DEVNULL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["program"], *request["arguments"]]
    return importlib.import_module(PROGRAMS[request["program"]]).main()


def main(number: str) -> int:
    """Serve until nobody is left to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    asking = socket.socket(fileno=int(number))
    forks_asking, forks_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    import_everything()
    asked = serve(asking, forks_asking)
    return 0 if asked is None else run(*asked, forks_end)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
