"""What happens to a PostgreSQL server and on the way to it: it is stopped, killed, and connections are lost."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

import psutil

from carnet_server.local.backends import postgres
from carnet_server.local.backends.configuration import HOST, BackendConfig
from carnet_server.local.initialise import free_ports
from tests.support.storage import PostgresServer

if TYPE_CHECKING:
    from pathlib import Path

_PASSWORD = "f00dfeedf00dfeed"


class OwnPostgres:
    """A server that one test starts and stops; durable, so that a kill loses nothing that was committed.

    Args:
        folder: Where it goes; must not exist.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._config = BackendConfig(free_ports(1, 29_100)[0], folder / "server")
        postgres.prepare(self._config, _PASSWORD)
        self._description = folder / "server.yaml"
        self._config.save(self._description, comment="A server for one test.")
        self._process: subprocess.Popen | None = None

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases."""
        endpoint = f"{HOST}:{self._config.port}"
        return f"postgresql://{postgres.ADMINISTRATOR}:{_PASSWORD}@{endpoint}/{database}"

    def start(self) -> PostgresServer:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", postgres.__name__, "--config", str(self._description)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not postgres.answers(self._config, 2):
            assert time.monotonic() < end, "PostgreSQL does not start"
            time.sleep(0.02)
        return PostgresServer(self.url(), self.url())

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End it, in order or by a kill, and wait until all its processes are gone."""
        process, self._process = self._process, None
        if process is None:
            return
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        process.wait(20)
        _, left = psutil.wait_procs(children, timeout=20)
        assert not left, "PostgreSQL does not end"


class Loss(Enum):
    """When a connection is lost."""

    BEFORE_COMMIT = auto()
    """The commit is sent and never arrives."""
    AFTER_COMMIT = auto()
    """The commit is made, and its answer never arrives."""
    BEFORE_STATEMENT = auto()
    """The statement that is waited for never arrives."""


class LosingProxy:
    """A way to a server on which connections are lost when a test says so.

    Args:
        host: The server's.
        port: The server's.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._armed: list[tuple[Loss, bytes]] = []
        self._open: set[socket.socket] = set()
        self._away = False
        self.lost = 0
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lose(self, loss: Loss, statement: bytes, times: int = 1) -> None:
        """Lose the next transactions that contain a statement, each one of them once."""
        with self._lock:
            self._armed += [(loss, statement)] * times

    def go_away(self) -> None:
        """Lose every connection, and take no other."""
        with self._lock:
            self._away = True
            for each in self._open:
                _end(each)

    def come_back(self) -> None:
        """Take connections again."""
        self._away = False

    def close(self) -> None:
        """End everything."""
        self.go_away()
        _end(self._listener)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._away:
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                self._open |= {client, server}
            seen = _Seen()
            for target in (self._to_server, self._to_client):
                thread = threading.Thread(target=target, args=(client, server, seen), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _to_server(self, client: socket.socket, server: socket.socket, seen: _Seen) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                loss = self._loss(data, seen)
                if loss is Loss.AFTER_COMMIT:
                    seen.silent = True
                elif loss is not None:
                    break
                server.sendall(data)
        self._end_both(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket, seen: _Seen) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if seen.silent:  # the answer to the commit: it was made
                    break
                client.sendall(data)
        self._end_both(client, server)

    def _loss(self, data: bytes, seen: _Seen) -> Loss | None:
        with self._lock:
            for armed in self._armed:
                loss, statement = armed
                if statement in data:
                    seen.statements.add(statement)
                now = data if loss is Loss.BEFORE_STATEMENT else b"COMMIT\0" in data
                if statement in seen.statements and now:
                    self._armed.remove(armed)
                    self.lost += 1
                    return loss
            if b"COMMIT\0" in data or b"ROLLBACK\0" in data:
                seen.statements.clear()
        return None

    def _end_both(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._open -= {client, server}
        for each in (client, server):
            _end(each)


class _Seen:
    """What passed on one connection."""

    def __init__(self) -> None:
        self.statements: set[bytes] = set()
        self.silent = False


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
