"""One stream's blocking work: in order, off the event loop, and never far ahead.

Responsible for running the steps of one stream (hash and write this piece, …) one after another on a shared
pool of threads. A stream that waits for its peer holds no thread; one that is faster than the disk waits here
once a few steps are ahead, and by flow control its peer does too, so memory stays flat. After the first step
that fails no other is run, and its error is every later one's. Cancelling a wait cancels no step: whatever a
step works on is let go of by the last one, behind all others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

STEPS_AHEAD = 4

Result = TypeVar("Result")


class _Step(NamedTuple):
    """A step, and who waits for what it returns."""

    work: Callable[[], Any]
    waiting: asyncio.Future[Any] | None


class Lane:
    """The steps of one stream; used on one event loop.

    Args:
        threads: The pool; a lane uses one of its threads at a time.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._steps: list[_Step] = []
        self._running: asyncio.Future[list[Any]] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._error: BaseException | None = None

    async def put(self, work: Callable[[], object]) -> None:
        """Add a step whose outcome nobody waits for; waits while too many are ahead.

        Args:
            work: What to run.

        Raises:
            CarnetError: An earlier step failed with it.
        """
        while self._running is not None and len(self._steps) >= STEPS_AHEAD:
            await asyncio.wait([self._running])
        if self._error is not None:
            raise self._error
        self._add(_Step(work, None))

    def start(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Add a step.

        Args:
            work: What to run.

        Returns:
            What the step will return, or the error that it or an earlier one failed with.
        """
        waiting: asyncio.Future[Result] = self._loop.create_future()
        self._add(_Step(work, waiting))
        return waiting

    async def end(self, work: Callable[[], object]) -> None:
        """Run a last step behind those that are ahead, even if they failed or this wait is cancelled.

        Args:
            work: What to run: closing what the others used.
        """
        self._ending = self._loop.create_task(self._run_last(work))
        await asyncio.shield(self._ending)

    async def _run_last(self, work: Callable[[], object]) -> None:
        while self._running is not None:
            await asyncio.wait([self._running])
        await self._loop.run_in_executor(self._threads, work)

    def _add(self, step: _Step) -> None:
        self._steps.append(step)
        if self._running is None:
            self._go_on()

    def _go_on(self) -> None:
        steps, self._steps = self._steps, []
        if self._error is not None:
            _settle(steps, [], self._error)
            return
        self._running = self._loop.run_in_executor(self._threads, _work_off, steps)
        self._running.add_done_callback(lambda done: self._stopped(steps, done))

    def _stopped(self, steps: list[_Step], done: asyncio.Future[list[Any]]) -> None:
        self._running = None
        outcomes = done.result()
        if isinstance(outcomes[-1], _Failure):
            self._error = outcomes.pop().error
        _settle(steps, outcomes, self._error)
        if self._steps:
            self._go_on()


class _Failure(NamedTuple):
    """How a step failed."""

    error: BaseException


def _work_off(steps: list[_Step]) -> list[Any]:
    """Run steps until one fails; return what each returned, and the failure last."""
    outcomes: list[Any] = []
    for step in steps:
        try:
            outcomes.append(step.work())
        except BaseException as error:  # noqa: BLE001  handed to whoever waits for the stream
            outcomes.append(_Failure(error))
            break
    return outcomes


def _settle(steps: list[_Step], outcomes: list[Any], error: BaseException | None) -> None:
    for number, step in enumerate(steps):
        if step.waiting is None or step.waiting.done():
            continue
        if number < len(outcomes):
            step.waiting.set_result(outcomes[number])
        else:
            step.waiting.set_exception(error or RuntimeError("a step was not run"))
            step.waiting.exception()  # seen: it is the stream's error whether this one is awaited or not
