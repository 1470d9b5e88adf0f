"""What waits for a thread: in order, all of it, woken no more often than it has something to do."""

from __future__ import annotations

import threading
import time

import pytest

from carnet_server.log.inbox import GATHER_SECONDS, Inbox

FOREVER = 30.0


def drained(inbox):
    taken = []
    while (item := inbox.take()) is not None:
        taken.append(item)
    return taken


def test_it_gives_what_came_in_its_order():
    inbox = Inbox()
    for number in range(1, 4):
        inbox.put(number)
    assert len(inbox) == 3
    assert drained(inbox) == [1, 2, 3]
    assert inbox.take() is None


def test_nothing_is_waited_for_as_long_as_asked_and_no_longer():
    inbox = Inbox()
    inbox.wait(0.01, many=5)
    assert len(inbox) == 0


def test_whoever_is_alone_is_not_waited_for(monkeypatch):
    inbox = Inbox()
    inbox.put("alone")
    monkeypatch.setattr(inbox._ready, "wait", lambda timeout: pytest.fail(f"it waited for {timeout} s"))
    inbox.wait(FOREVER, many=1)
    assert drained(inbox) == ["alone"]


@pytest.mark.parametrize("many", [2, 64])
def test_as_many_as_are_worth_it_are_gathered_in_one_waking(many):
    inbox, woken = Inbox(), []

    def take():
        while sum(woken) < 20 * many:
            inbox.wait(FOREVER, many=many)
            woken.append(len(drained(inbox)))

    taker = threading.Thread(target=take)
    taker.start()
    for _ in range(20):
        while len(inbox):
            time.sleep(0.001)
        for number in range(many):
            inbox.put(number)
    taker.join(FOREVER)
    assert sum(woken) == 20 * many


def test_who_does_not_come_is_not_waited_for_forever():
    inbox = Inbox()
    inbox.put("came")
    began = time.monotonic()
    inbox.wait(FOREVER, many=64)
    assert drained(inbox) == ["came"]
    assert time.monotonic() - began < FOREVER / 2


def test_those_who_keep_coming_are_waited_for_in_all_so_long(monkeypatch):
    inbox, looks = Inbox(), []
    clock = iter(range(100))

    def another(timeout):
        looks.append(timeout)
        inbox.put(len(looks))
        return False

    monkeypatch.setattr("carnet_server.log.inbox.time.monotonic", lambda: next(clock) * GATHER_SECONDS / 4)
    inbox.put(0)
    monkeypatch.setattr(inbox._ready, "wait", another)
    inbox.wait(FOREVER, many=64)
    assert len(looks) < 6
    assert len(inbox) == len(looks) + 1


def test_what_is_urgent_wakes_at_once():
    inbox = Inbox()
    inbox.put("first")
    seen = []
    taker = threading.Thread(target=lambda: (inbox.wait(FOREVER, many=64), seen.extend(drained(inbox))))
    taker.start()
    inbox.put("stop", urgent=True)
    taker.join(FOREVER)
    assert "first" in seen


def test_nothing_is_lost_between_many_who_hand_over():
    inbox, taken = Inbox(), []

    def hand_over(who):
        for number in range(500):
            inbox.put((who, number))

    def take():
        while len(taken) < 2000:
            inbox.wait(FOREVER, many=4)
            taken.extend(drained(inbox))

    threads = [threading.Thread(target=hand_over, args=(who,)) for who in range(4)]
    threads.append(threading.Thread(target=take))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(FOREVER)
    assert len(taken) == 2000
    for who in range(4):
        assert [number for by, number in taken if by == who] == list(range(500))
