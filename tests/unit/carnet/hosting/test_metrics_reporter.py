"""A reporter loses nothing that it can keep, counts nothing twice, and never holds its host up."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

import pytest

import carnet
from carnet import errors
from carnet.client import channel
from tests.unit.carnet.hosting.conftest import ALIAS, CHAMPION

NAME = f"{ALIAS}/rollouts/1"
NEVER = timedelta(hours=1)


@pytest.fixture(autouse=True)
def one_attempt(monkeypatch):
    """A call is not repeated by itself: that the reporter repeats it is under test."""
    monkeypatch.setattr(channel, "_ATTEMPTS", 1)


@pytest.fixture
def rollout(client):
    return client.start_rollout(CHAMPION, share=0.1).rollout


@pytest.fixture
def reporter(client, rollout):
    with carnet.MetricsReporter(client, CHAMPION, interval=NEVER) as reporter:
        yield reporter


def observe(reporter, *values, version=2):
    for value in values:
        reporter.observe(version, "latency_ms", value, "lower_is_better")


def sums(book):
    return [
        [(each.version, each.count, each.sum) for each in batch.points] for batch in book.batches.values()
    ]


def test_what_was_observed_arrives_by_version(reporter, book):
    observe(reporter, 3.0, 5.0)
    observe(reporter, 1.0, version=1)
    reporter.flush()
    assert sums(book) == [[(2, 2, 8.0), (1, 1, 1.0)]]
    reporter.flush()
    assert len(book.batches) == 1


def test_other_versions_are_not_reported_and_neither_is_what_was_before_the_rollout(client, book):
    with carnet.MetricsReporter(client, CHAMPION, interval=NEVER) as reporter:
        observe(reporter, 1.0)
        reporter.flush()
        client.start_rollout(CHAMPION, share=0.1)
        book.held[NAME].create_time.FromDatetime(datetime.now(UTC))
        observe(reporter, 2.0)
        reporter.flush()
        assert book.batches == {}
        observe(reporter, 4.0)
        observe(reporter, 8.0, version=3)
        reporter.flush()
    assert sums(book) == [[(2, 1, 4.0)]]
    assert reporter.dropped_count == 0


def test_a_batch_whose_answer_was_lost_comes_again_as_the_same(reporter, book):
    observe(reporter, 3.0)
    book.answers_to_lose = 1
    with pytest.raises(errors.UnavailableError):
        reporter.flush()
    observe(reporter, 5.0)
    reporter.flush()
    assert sums(book) == [[(2, 1, 3.0)], [(2, 1, 5.0)]]


def test_windows_wait_in_order_while_the_registry_is_away_and_the_oldest_are_dropped(client, rollout, book):
    with carnet.MetricsReporter(client, CHAMPION, interval=NEVER, max_pending=2) as reporter:
        book.refusals_to_come = 3
        for value in (1.0, 2.0, 3.0):
            observe(reporter, value, value)
            with pytest.raises(errors.UnavailableError):
                reporter.flush()
        assert reporter.dropped_count == 2
        reporter.flush()
        assert sums(book) == [[(2, 2, 4.0)], [(2, 2, 6.0)]]


def test_windows_end_though_nobody_answers(reporter, book, federation):
    reporter.flush()
    federation.dev.lies["ListRollouts"] = _away
    for value in (1.0, 2.0):
        observe(reporter, value)
        with pytest.raises(errors.UnavailableError):
            reporter.flush()
    del federation.dev.lies["ListRollouts"]
    reporter.flush()
    assert sums(book) == [[(2, 1, 1.0)], [(2, 1, 2.0)]]


def _away(_):
    raise errors.UnavailableError("going down")


def test_a_batch_that_is_refused_is_dropped_and_said_so(reporter, book, caplog):
    with caplog.at_level(logging.WARNING):
        reporter.observe(2, "refused", 1.0)
        reporter.flush()
        observe(reporter, 1.0)
        reporter.flush()
    assert reporter.dropped_count == 1
    assert "no such metric" in caplog.text
    assert sums(book) == [[(2, 1, 1.0)]]


def test_it_reports_by_itself_as_often_as_the_registry_counts(client, rollout, book, until):
    book.reporting_interval = timedelta(milliseconds=10)
    with carnet.MetricsReporter(client, CHAMPION, interval=timedelta(milliseconds=50)) as reporter:
        observe(reporter, 1.0)
        until(lambda: len(book.batches) == 1)
        assert reporter._interval <= timedelta(milliseconds=50)
        until(lambda: reporter._interval == timedelta(milliseconds=10))
        book.refusals_to_come = 3
        observe(reporter, 2.0)
        until(lambda: len(book.batches) == 2)
    assert reporter.dropped_count == 0


def test_the_last_window_is_sent_when_it_is_closed(client, rollout, book):
    reporter = carnet.MetricsReporter(client, CHAMPION, interval=NEVER)
    observe(reporter, 1.0)
    reporter.close()
    reporter.close()
    assert sums(book) == [[(2, 1, 1.0)]]
    assert not [each for each in threading.enumerate() if each.name == "carnet-metrics"]
    with pytest.raises(errors.PreconditionFailedError, match="closed"):
        reporter.flush()


def test_closing_gives_up_and_says_what_is_lost(client, rollout, book, federation, caplog):
    reporter = carnet.MetricsReporter(client, CHAMPION, interval=NEVER)
    reporter.flush()
    observe(reporter, 1.0, 2.0)
    federation.dev.lies["ListRollouts"] = _away
    with caplog.at_level(logging.WARNING):
        reporter.close(timeout=5)
    assert "2 observations could not be reported" in caplog.text


def test_what_is_no_observation_is_refused(reporter):
    with pytest.raises(errors.InvalidInputError):
        reporter.observe(2, "latency_ms", float("nan"))
    with pytest.raises(errors.InvalidInputError):
        carnet.MetricsReporter(reporter._background.client, "dev/risk/fraud@1")
