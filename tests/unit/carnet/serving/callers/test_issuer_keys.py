"""The keys of an issuer: kept, fetched anew when they rotate, and asked for within bounds."""

from __future__ import annotations

import asyncio
import json

import pytest

from carnet.errors import UnauthenticatedError, UnavailableError
from carnet.serving.callers import issuer_keys
from carnet.serving.callers.issuer_keys import (
    FETCH_MAX_BYTES,
    FRESH_SECONDS,
    REFETCH_SECONDS,
    STALE_SECONDS,
    IssuerKeys,
    fetch_json,
)
from tests.support.oidc import CONFIGURATION, KEY_SET, Key


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(issuer, clock):
    return IssuerKeys(issuer.url, clock=clock)


async def test_keys_are_fetched_once_and_kept(issuer, keys):
    for _ in range(3):
        await keys.key(issuer.keys[0].id, "RS256")
    assert issuer.asked == [CONFIGURATION, KEY_SET]


async def test_calls_at_once_fetch_once(issuer, keys):
    issuer.delay_seconds = 0.05
    await asyncio.gather(*(keys.key(issuer.keys[0].id, "RS256") for _ in range(20)))
    assert len(issuer.asked) == 2


async def test_who_stops_waiting_for_keys_does_not_stop_others_from_having_them(issuer, keys):
    issuer.delay_seconds = 0.1
    impatient = asyncio.create_task(keys.key(issuer.keys[0].id, "RS256"))
    await asyncio.sleep(0.05)
    impatient.cancel()
    assert await keys.key(issuer.keys[0].id, "RS256")
    assert len(issuer.asked) == 2


async def test_a_rotated_key_is_found_and_the_old_one_is_not_any_more(issuer, keys, clock):
    old = issuer.keys[0].id
    await keys.key(old, "RS256")
    issuer.rotate("ES256")
    clock.now += REFETCH_SECONDS + 1
    await keys.key(issuer.keys[0].id, "ES256")
    with pytest.raises(UnauthenticatedError, match="does not publish"):
        await keys.key(old, "RS256")


async def test_a_key_that_was_taken_away_is_believed_no_longer_than_keys_are_fresh(issuer, keys, clock):
    old = issuer.keys[0].id
    await keys.key(old, "RS256")
    issuer.rotate()
    clock.now += FRESH_SECONDS + 1
    with pytest.raises(UnauthenticatedError):
        await keys.key(old, "RS256")


async def test_unknown_key_ids_do_not_make_it_ask_all_the_time(issuer, keys, clock):
    await keys.key(issuer.keys[0].id, "RS256")
    for number in range(50):
        with pytest.raises(UnauthenticatedError):
            await keys.key(f"made-up-{number}", "RS256")
    assert len(issuer.asked) == 2
    clock.now += REFETCH_SECONDS + 1
    with pytest.raises(UnauthenticatedError):
        await keys.key("made-up", "RS256")
    assert len(issuer.asked) == 4


async def test_an_issuer_that_is_away_leaves_its_known_keys_for_a_day(issuer, keys, clock):
    known = issuer.keys[0].id
    await keys.key(known, "RS256")
    issuer.answers[CONFIGURATION] = (500, b"")
    clock.now += FRESH_SECONDS + 1
    await keys.key(known, "RS256")
    with pytest.raises(UnavailableError, match="HTTP 500"):
        await keys.key("new", "RS256")
    clock.now += STALE_SECONDS
    with pytest.raises(UnavailableError):
        await keys.key(known, "RS256")


@pytest.mark.parametrize(
    ("path", "status", "body", "said"),
    [
        (CONFIGURATION, 404, b"", "HTTP 404"),
        (CONFIGURATION, 200, b"<html>", "cannot be asked"),
        (CONFIGURATION, 200, b"[]", "JSON object"),
        (CONFIGURATION, 200, b"[" * 100_000, "cannot be asked"),
        (CONFIGURATION, 200, b'{"issuer": "https://elsewhere.example", "jwks_uri": "x"}', "says it is"),
        (CONFIGURATION, 302, b"http://127.0.0.1:1/", "HTTP 302"),
        (CONFIGURATION, 200, b" " * (FETCH_MAX_BYTES + 10), "more than"),
        (KEY_SET, 200, b'{"keys": {}}', "no list"),
        (KEY_SET, 200, json.dumps({"keys": [{}] * 200}).encode(), "no list"),
    ],
)
async def test_an_issuer_that_answers_with_something_else_is_unavailable(
    issuer, keys, path, status, body, said
):
    issuer.answers[path] = (status, body)
    with pytest.raises(UnavailableError, match=said):
        await keys.key(issuer.keys[0].id, "RS256")


@pytest.mark.parametrize(
    "where", ["http://carnet.example/jwks", "file:///etc/passwd", "ftp://127.0.0.1/x", 7]
)
async def test_keys_are_fetched_over_tls_only(issuer, keys, where):
    issuer.answers[CONFIGURATION] = (200, json.dumps({"issuer": issuer.url, "jwks_uri": where}).encode())
    with pytest.raises(UnavailableError, match="https://|jwks_uri"):
        await keys.key(issuer.keys[0].id, "RS256")


async def test_an_issuer_that_is_slow_is_given_up(issuer, keys, monkeypatch):
    monkeypatch.setattr(issuer_keys, "FETCH_SECONDS", 0.1)
    issuer.delay_seconds = 0.5
    with pytest.raises(UnavailableError):
        await keys.key(issuer.keys[0].id, "RS256")


async def test_keys_that_are_no_good_are_passed_over(issuer, keys):
    good = issuer.keys[0]
    weak, other = Key(bits=1024), Key("ES256")
    entries = [
        weak.jwk,
        other.jwk | {"use": "enc"},
        {"kid": "secret", "kty": "oct", "k": "AAAA", "alg": "HS256"},
        {"kid": "broken", "kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": "RSA"},
        "nonsense",
        good.jwk,
    ]
    issuer.answers[KEY_SET] = (200, json.dumps({"keys": entries}).encode())
    assert await keys.key(good.id, "RS256")
    for key_id in (weak.id, other.id, "secret", "broken"):
        for algorithm in ("RS256", "ES256"):
            with pytest.raises(UnauthenticatedError):
                await keys.key(key_id, algorithm)


def test_nothing_is_asked_without_tls_elsewhere():
    with pytest.raises(UnavailableError, match="https://"):
        fetch_json("http://token.example/")
