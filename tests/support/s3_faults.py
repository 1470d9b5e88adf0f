"""A proxy in front of an S3 endpoint that fails in the ways in which networks and stores do.

Requests go through as they are, their Host header included, so that signatures stay valid.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length"})


@dataclass
class Fault:
    """What happens to a request.

    Attributes:
        kind: ``status``, ``cut_request``, ``lose_answer``, ``cut_response``, ``flip``, ``truncate``,
            ``delay`` or ``hang``.
        method: Which requests; empty for all.
        path: What the path of one has in it.
        times: How many of them; the others go through.
        skip: How many of them go through before.
        status: What ``status`` answers.
        code: The code in that answer.
        seconds: How long ``delay`` waits.
    """

    kind: str
    method: str = ""
    path: str = ""
    times: int = 1
    skip: int = 0
    status: int = 503
    code: str = "SlowDown"
    seconds: float = 0.0
    hits: int = 0


@dataclass
class Faults:
    """What a test tells the proxy, and what it saw.

    Attributes:
        conditional: Whether ``If-None-Match: *`` is enforced with 412, as S3 does.
        seen: The method and path of every request.
        during: Called with every request's method and path before it goes on.
    """

    conditional: bool = False
    seen: list[tuple[str, str]] = field(default_factory=list)
    during: Callable[[str, str], None] = lambda method, path: None
    _planned: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, **how: object) -> Fault:
        fault = Fault(kind, **how)
        with self._lock:
            self._planned.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()
            self.seen.clear()

    def count(self, method: str, path: str = "") -> int:
        with self._lock:
            return sum(seen == method and path in where for seen, where in self.seen)

    def take(self, method: str, path: str) -> Fault | None:
        """Note a request; return what is to happen to it."""
        with self._lock:
            self.seen.append((method, path))
            for fault in self._planned:
                if fault.method not in ("", method) or fault.path not in path or not fault.times:
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                fault.hits += 1
                return fault
        return None


class FaultyProxy:
    """The proxy; stops with its holder.

    Attributes:
        address: Its host and port.
        faults: What it does.

    Args:
        upstream: The host and port of the endpoint.
        exists: Tells whether there is an object at the path of a request; for `Faults.conditional`.
    """

    def __init__(self, upstream: tuple[str, int], exists: Callable[[str], bool] = lambda path: False):
        self.faults = Faults()
        self.upstream = upstream
        self.exists = exists
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.address: tuple[str, int] = self._server.server_address
        self.stopping = threading.Event()
        self._locks: dict[str, threading.Lock] = {}
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def alone_at(self, path: str) -> threading.Lock:
        """What makes a comparison and a put at a path one step."""
        return self._locks.setdefault(path, threading.Lock())

    def stop(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    request_queue_size = 64

    def __init__(self, *arguments):
        self._open = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self):
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(2)

    def handle_error(self, request, client_address):
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def _handle(self):
        proxy = self.server.proxy
        length = int(self.headers.get("Content-Length", 0))
        fault = proxy.faults.take(self.command, self.path)
        proxy.faults.during(self.command, self.path)
        kind = fault.kind if fault else ""
        if kind == "cut_request":
            self.rfile.read(length // 2)
            self._cut()
            return
        body = self.rfile.read(length)
        if kind == "status":
            self._answer(fault.status, _error_body(fault.code))
        elif kind == "hang":
            proxy.stopping.wait()
            self._cut()
        else:
            if kind == "delay":
                time.sleep(fault.seconds)
            self._forward(body, kind)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle  # noqa: N815  http.server names them so

    def _forward(self, body: bytes, kind: str) -> None:
        proxy = self.server.proxy
        conditional = proxy.faults.conditional and self.headers.get("If-None-Match") == "*"
        with proxy.alone_at(self.path) if conditional else contextlib.nullcontext():
            if conditional and proxy.exists(self.path.partition("?")[0]):
                self._answer(412, _error_body("PreconditionFailed"))
                return
            status, headers, content = self._ask(body)
        if kind == "lose_answer":
            self._cut()
        elif kind == "flip" and content:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            self._answer(status, content, headers)
        elif kind == "truncate":
            self._answer(status, content[: len(content) // 2], headers)
        elif kind == "cut_response":
            self._answer(status, content[: len(content) // 2], headers, stated=len(content))
            self._cut()
        else:
            self._answer(status, content, headers)

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, body: bytes, headers: list[tuple[str, str]] = (), *, stated: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        stated = len(body) if stated is None else stated
        if self.command == "HEAD":
            stated = int({name.lower(): value for name, value in headers}.get("content-length", stated))
        self.send_header("Content-Length", str(stated))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)


def _error_body(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
