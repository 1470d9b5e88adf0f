"""The engine's end of the worker process.

Responsible for starting the worker, asking it within a deadline and a bound on its memory, and killing and
replacing it when it overruns, dies, or talks nonsense. Invariants: one request at a time; every question gets
an answer, and a question that the worker did not answer gets an error that says why. The worker inherits no
file descriptor but its socket.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil

from carnet_policies.protocol import (
    READY,
    Answer,
    ProtocolError,
    Question,
    decode_answer,
    encode_questions,
    frame,
    read_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

_START_SECONDS = 20.0
_WATCH_SECONDS = 0.02


class _StoppedError(Exception):
    """The worker was stopped, or stopped by itself; the text says why."""


def _error(text: str) -> Answer:
    return Answer("error", value=False, text=text, values={})


class WorkerProcess:
    """A worker that is started when it is first needed, and started anew after it was stopped.

    Args:
        deadline_seconds: The time for all the questions of one request, the worker's start aside.
        address_space_bytes: The limit that the worker sets itself, where the platform enforces one.
        resident_bytes: The resident memory at which the worker is killed.
    """

    def __init__(self, *, deadline_seconds: float, address_space_bytes: int, resident_bytes: int) -> None:
        self._deadline_seconds = deadline_seconds
        self._address_space_bytes = address_space_bytes
        self._resident_bytes = resident_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """The running worker's process id; None when there is none."""
        return None if self._process is None else self._process.pid

    def ask(self, questions: Sequence[Question], facts: bytes) -> list[Answer]:
        """Have questions answered; thread-safe.

        Args:
            questions: The expressions.
            facts: A serialised ``PolicyFacts``.

        Returns:
            One answer per question, in order.
        """
        answers: list[Answer] = []
        with self._lock:
            try:
                self._start()
                for answer in self._answers(questions, facts):
                    answers.append(answer)  # noqa: PERF402 - those before a failure are kept
            except (_StoppedError, ProtocolError, OSError) as error:
                answers.append(_error(self._why_stopped(error)))
                self._stop()
            except BaseException:
                self._stop()
                raise
        skipped = _error("not evaluated: the evaluation of another rule was stopped")
        return answers + [skipped] * (len(questions) - len(answers))

    def close(self) -> None:
        """Stop the worker; a later question starts another."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._connection = ours
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "carnet_policies.worker", str(self._address_space_bytes)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                close_fds=True,
                start_new_session=True,
            )
        if self._read(time.monotonic() + _START_SECONDS) != READY:
            raise ProtocolError("it did not say that it is ready")

    def _answers(self, questions: Sequence[Question], facts: bytes) -> Iterator[Answer]:
        deadline = time.monotonic() + self._deadline_seconds
        self._send(frame(encode_questions(questions)) + frame(facts), deadline)
        for _ in questions:
            answer = decode_answer(self._read(deadline))
            yield answer
            if answer.kind == "memory":
                self._stop()
                return

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, data: bytes, deadline: float) -> None:
        assert self._connection is not None
        self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            self._connection.sendall(data)
        except TimeoutError as error:
            raise self._overrun() from error

    def _read(self, deadline: float) -> bytes:
        return read_frame(lambda size: self._receive(size, deadline))

    def _receive(self, size: int, deadline: float) -> bytes:
        assert self._connection is not None
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise self._overrun()
            self._connection.settimeout(min(remaining, _WATCH_SECONDS))
            try:
                return self._connection.recv(size)
            except TimeoutError:
                self._watch_memory()

    def _watch_memory(self) -> None:
        assert self._process is not None
        try:
            resident = psutil.Process(self._process.pid).memory_info().rss
        except psutil.Error:
            return
        if resident > self._resident_bytes:
            raise _StoppedError(
                f"stopped at {resident >> 20} MiB of memory; {self._resident_bytes >> 20} are allowed"
            )

    def _overrun(self) -> _StoppedError:
        return _StoppedError(f"stopped at the deadline ({self._deadline_seconds:g} s for an evaluation)")

    def _why_stopped(self, error: Exception) -> str:
        if isinstance(error, _StoppedError):
            return str(error)
        code = None if self._process is None else self._process.poll()
        return f"the evaluating process ended ({error}{'' if code is None else f', status {code}'})"
