"""A router follows its registry, and is never without an answer once it had one."""

from __future__ import annotations

import threading

import pytest

import carnet
from carnet import errors
from tests.unit.carnet.hosting.conftest import ALIAS, CHAMPION


def router_threads():
    return [each for each in threading.enumerate() if each.name == "carnet-traffic"]


def test_requests_go_where_the_registry_says_and_follow_it(client, book, until):
    book.share_out(ALIAS, (1, 1.0))
    with carnet.TrafficRouter(client, CHAMPION) as router:
        assert {router.route(f"key-{number}").version for number in range(50)} == {1}
        book.share_out(ALIAS, (1, 0.5), (2, 0.5), rollout=f"{ALIAS}/rollouts/1")
        until(lambda: router.traffic.revision == 2)
        by_key = {f"key-{number}": router.route(f"key-{number}") for number in range(50)}
        assert {choice.version for choice in by_key.values()} == {1, 2}
        assert {choice.rollout for choice in by_key.values()} == {1}
        assert all(router.route(key) == choice for key, choice in by_key.items())
        assert {router.route().version for _ in range(200)} == {1, 2}
        book.share_out(ALIAS, (1, 1.0), mirrored=[(2, 1.0)])
        until(lambda: router.traffic.revision == 3)
        choice = router.route("key-1")
        assert (choice.version, choice.bundle_digest) == (1, f"{1:064x}")
        assert [each.version for each in choice.mirrored] == [2]
    assert not router_threads()


def test_the_last_known_traffic_counts_while_the_registry_is_away(client, book, federation):
    book.share_out(ALIAS, (1, 1.0))
    with carnet.TrafficRouter(client, CHAMPION) as router:
        federation.servers["dev"].stop(None).wait()
        assert router.route().version == 1


def test_a_registry_that_was_put_back_counts_again(client, book, until):
    for version in (1, 2, 3):
        book.share_out(ALIAS, (version, 1.0))
    with carnet.TrafficRouter(client, CHAMPION) as router:
        assert router.traffic.revision == 3
        with book.changed:
            book.traffic.clear()
            book.share_out(ALIAS, (4, 1.0))
        until(lambda: router.route().version == 4)
        assert router.traffic.revision == 1


def test_the_host_makes_ready_before_traffic_counts(client, book, until):
    ready, asked, may_go_on = set(), threading.Event(), threading.Event()
    book.share_out(ALIAS, (1, 1.0))

    def prepare(traffic):
        if len(traffic.answering) == 2:
            asked.set()
            assert may_go_on.wait(30)
        ready.update(each.version for each in traffic.answering)

    with carnet.TrafficRouter(client, CHAMPION, prepare=prepare) as router:
        assert ready == {1}
        book.share_out(ALIAS, (1, 0.5), (2, 0.5))
        assert asked.wait(30)
        assert router.traffic.revision == 1
        may_go_on.set()
        until(lambda: router.traffic.revision == 2)
        assert ready == {1, 2}


def test_what_cannot_be_made_ready_does_not_count_and_is_tried_again(client, book, until, caplog):
    failures = [RuntimeError("no memory"), errors.UnavailableError("no blob")]
    book.share_out(ALIAS, (1, 1.0))

    def prepare(traffic):
        if traffic.revision == 2 and failures:
            raise failures.pop()

    with carnet.TrafficRouter(client, CHAMPION, prepare=prepare) as router:
        book.share_out(ALIAS, (2, 1.0))
        until(lambda: not failures)
        until(lambda: router.traffic.revision == 2)
        assert router.route().version == 2
    assert "no memory" in caplog.text
    assert "no blob" in caplog.text


def test_a_router_of_nothing_says_so_at_once_and_leaves_no_thread(client, book):
    with pytest.raises(errors.NotFoundError):
        carnet.TrafficRouter(client, CHAMPION)
    with pytest.raises(errors.InvalidInputError):
        carnet.TrafficRouter(client, "dev/risk/fraud@1")
    book.share_out(ALIAS, (1, 1.0))
    with pytest.raises(ZeroDivisionError):
        carnet.TrafficRouter(client, CHAMPION, prepare=lambda _: 1 / 0)
    assert not router_threads()
    book.share_out(ALIAS)
    with carnet.TrafficRouter(client, CHAMPION) as router, pytest.raises(errors.PreconditionFailedError):
        router.route("key")
