"""A lane runs the steps of one stream in order, a few ahead, and stops at the first that fails."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from carnet.errors import StorageFullError
from carnet_server.blobs.lane import STEPS_AHEAD, Lane


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as threads:
        yield threads


async def test_steps_run_in_order_and_never_two_at_once(threads):
    lane, ran, inside = Lane(threads), [], threading.Lock()

    def step(number: int) -> None:
        assert inside.acquire(blocking=False)
        ran.append(number)
        inside.release()

    for number in range(200):
        await lane.put(lambda number=number: step(number))
    assert await lane.start(lambda: "last") == "last"
    assert ran == list(range(200))


async def test_a_stream_that_is_faster_than_its_steps_waits(threads):
    lane, gate, ran = Lane(threads), threading.Event(), []
    await lane.put(gate.wait)
    for number in range(STEPS_AHEAD):
        await lane.put(lambda number=number: ran.append(number))
    waiting = asyncio.ensure_future(lane.put(lambda: ran.append("late")))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    gate.set()
    await waiting
    await lane.start(lambda: None)
    assert ran == [*range(STEPS_AHEAD), "late"]


async def test_after_the_first_failure_no_step_is_run_and_all_say_why(threads):
    lane, ran, gate = Lane(threads), [], threading.Event()

    def fail() -> None:
        gate.wait()
        raise StorageFullError("full")

    await lane.put(fail)
    await lane.put(lambda: ran.append(1))
    waiting = lane.start(lambda: ran.append(2))
    gate.set()
    with pytest.raises(StorageFullError):
        await waiting
    with pytest.raises(StorageFullError):
        await lane.put(lambda: ran.append(3))
    with pytest.raises(StorageFullError):
        await lane.start(lambda: ran.append(4))
    assert ran == []


async def test_the_last_step_runs_behind_the_others_even_after_a_failure(threads):
    lane, ran = Lane(threads), []
    lane.start(lambda: 1 / 0)
    await lane.end(lambda: ran.append("closed"))
    assert ran == ["closed"]


async def test_the_last_step_runs_even_if_nobody_waits_for_it_any_longer(threads):
    lane, gate, ran, closed = Lane(threads), threading.Event(), [], threading.Event()

    def close() -> None:
        ran.append("closed")
        closed.set()

    await lane.put(gate.wait)
    await lane.put(lambda: ran.append("step"))
    ending = asyncio.ensure_future(lane.end(close))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    gate.set()
    assert await asyncio.to_thread(closed.wait, 10)
    assert ran == ["step", "closed"]


async def test_cancelling_a_wait_cancels_no_step(threads):
    lane, gate, ran = Lane(threads), threading.Event(), []
    waiting = asyncio.ensure_future(asyncio.wait_for(lane.start(lambda: (gate.wait(), ran.append(1))), 0.01))
    with pytest.raises(TimeoutError):
        await waiting
    gate.set()
    await lane.end(lambda: ran.append("closed"))
    assert ran == [1, "closed"]
