"""The HTTP listener: its end, its limits, its certificate."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import urllib.error
import urllib.request
import uuid

import pytest
from aiohttp import web
from pydantic import ValidationError

from carnet.client.channel import TlsIdentity
from carnet.client.renewal import FollowedIdentity
from carnet.errors import NotFoundError, PreconditionFailedError, UnavailableError
from carnet.serving.http import listening
from carnet.serving.http.document import HttpDocument
from carnet.serving.http.listening import HttpListener
from carnet_server.local.authority import Authority

PLAIN = HttpDocument(listen="127.0.0.1:0", tls=False)


@pytest.fixture
def identity(tmp_path):
    return issue(tmp_path)


def issue(folder):
    """The identity of a service, by an authority of its own, in place of the one that was there."""
    authority = Authority.create("carnet.test")
    fresh = folder / uuid.uuid4().hex
    authority.save(fresh)
    authority.issue(fresh, spiffe_id="spiffe://carnet.test/registry/dev", server_name="dev.carnet.test")
    for name in ("tls.pem", "tls-key.pem", "ca.pem"):
        shutil.copy(fresh / name, folder / name)
    return TlsIdentity.load(folder / "tls.pem", folder / "tls-key.pem", folder / "ca.pem")


async def get(listener, path="/", *, context=None):
    """One request; returns the status and the body."""
    url = f"{'https' if context else 'http'}://{listener.address}{path}"

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=10, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    return await asyncio.to_thread(ask)


async def started(routes, identity, document=PLAIN):
    listener = HttpListener(routes)
    await listener.start(document, FollowedIdentity(identity, every_seconds=0))
    return listener


async def test_a_request_that_is_under_way_when_it_stops_is_answered_and_a_new_one_is_sent_away(identity):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request):
        entered.set()
        await leave.wait()
        return web.Response(text="done")

    listener = await started([web.get("/", slow)], identity)
    under_way = asyncio.create_task(get(listener))
    await entered.wait()
    stopping = asyncio.create_task(listener.stop())
    await asyncio.sleep(0)
    assert (await get(listener))[0] == 503
    leave.set()
    await stopping
    assert await under_way == (200, b"done")


async def test_what_takes_too_long_is_cut_off(identity, monkeypatch):
    monkeypatch.setattr(listening, "REQUEST_SECONDS", 0.05)

    async def hangs(_request):
        await asyncio.Event().wait()

    listener = await started([web.get("/", hangs)], identity)
    assert (await get(listener))[0] == 408
    await listener.stop()


async def test_more_requests_at_once_than_there_may_be_are_sent_away(identity, monkeypatch):
    monkeypatch.setattr(listening, "REQUESTS_AT_ONCE", 1)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request):
        entered.set()
        await leave.wait()
        return web.Response(text="done")

    listener = await started([web.get("/", slow)], identity)
    first = asyncio.create_task(get(listener))
    await entered.wait()
    assert (await get(listener))[0] == 503
    leave.set()
    assert (await first)[0] == 200
    assert (await get(listener))[0] == 200
    await listener.stop()


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotFoundError("gone"), 404), (UnavailableError("away"), 503), (RuntimeError("secret"), 500)],
)
async def test_errors_become_statuses_and_defects_say_nothing(error, status, identity):
    async def fails(_request):
        raise error

    listener = await started([web.get("/", fails)], identity)
    answered, body = await get(listener)
    assert answered == status
    assert b"secret" not in body
    await listener.stop()


async def test_a_renewed_certificate_is_shown_without_a_restart(identity, tmp_path):
    async def answer(_request):
        return web.Response(text="here")

    listener = await started([web.get("/", answer)], identity, HttpDocument(listen="127.0.0.1:0"))

    def believing(ca):
        context = ssl.create_default_context(cadata=ca.decode())
        context.check_hostname = False
        return context

    old = believing(identity.ca)
    assert await get(listener, context=old) == (200, b"here")
    renewed = issue(tmp_path)
    assert await get(listener, context=believing(renewed.ca)) == (200, b"here")
    with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
        await get(listener, context=old)
    await listener.stop()


async def test_an_address_that_is_taken_is_refused(identity):
    listener = await started([], identity)
    with pytest.raises(PreconditionFailedError, match="is another process there"):
        await started([], identity, HttpDocument(listen=listener.address, tls=False))
    await listener.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.0.0.1", "carnet.example"])
def test_without_tls_only_this_machine_is_listened_to(host):
    with pytest.raises(ValidationError, match="only this machine itself"):
        HttpDocument(listen=f"{host}:7480", tls=False)
    HttpDocument(listen=f"{host}:7480")
    for own in ("127.0.0.1", "[::1]", "localhost"):
        HttpDocument(listen=f"{own}:7480", tls=False)
