from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from carnet.client.renewal import FollowedIdentity
from carnet_sync import reload
from carnet_sync.callers import CallersStore
from carnet_sync.environments.links import Links
from carnet_sync.reload import CallersReload
from tests.support.simulator import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from carnet_sync.config import SyncConfig
    from tests.support.simulator import SimulatedFederation

DAVE = "spiffe://carnet.internal/person/dave"
MALLORY = "spiffe://carnet.internal/person/mallory"


class Followed:
    """A configuration that is followed, and its file."""

    def __init__(self, config: SyncConfig) -> None:
        self.config = config
        assert config.path is not None
        self.path = config.path
        self.identity = FollowedIdentity(config.tls_identity(), every_seconds=0)
        self.callers = CallersStore(config.read_callers())
        self.reload = CallersReload(config, self.callers, self.identity)

    def change(self, **fields: Any) -> None:
        self.path.write_text(json.dumps(json.loads(self.path.read_text()) | fields))

    def let_in(self, *subjects: str) -> None:
        self.change(callers=[{"subject": each, "roles": ["reader"]} for each in subjects])


@pytest.fixture
def followed(make_config: Callable[..., SyncConfig]) -> Followed:
    return Followed(make_config())


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.name == reload.__name__]


async def test_nothing_happens_while_nothing_changes(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    before = followed.callers.current
    for _ in range(2):
        await followed.reload.look()
        followed.path.write_text(followed.path.read_text() + "\n")
    assert followed.callers.current is before
    assert said(caplog) == []


async def test_new_callers_and_revocations_are_in_force_at_the_next_look(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.let_in(MALLORY)
    await followed.reload.look()
    assert followed.callers.current.roles(MALLORY) == {"reader"}
    assert followed.callers.current.roles(DAVE) == frozenset()
    followed.change(revoked=[{"subject": MALLORY, "since": "2026-01-01T00:00:00Z", "reason": "lost"}])
    await followed.reload.look()
    assert followed.callers.current.roles(MALLORY) == frozenset()
    assert [each.rpartition("sync.yaml: ")[2] for each in said(caplog)] == [
        "callers: the new ones are in force",
        "revoked: the new ones are in force",
    ]


@pytest.mark.parametrize(
    "bad", ["", "callers: [", "schema: carnet.sync/v1\n", "\xff", "callers: []\ncallers: []\n"]
)
async def test_an_invalid_file_keeps_the_last_good_one_and_is_said_once(
    followed: Followed, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    await followed.reload.look()
    before, good = followed.callers.current, followed.path.read_text()
    followed.path.write_bytes(bad.encode("latin-1"))
    for _ in range(3):
        await followed.reload.look()
    assert followed.callers.current is before
    assert len(said(caplog)) == 1
    assert "NOT in force, the last good one stays: sync.yaml" in said(caplog)[0]
    followed.path.write_text(good)
    followed.let_in(MALLORY)
    await followed.reload.look()
    assert followed.callers.current.roles(MALLORY) == {"reader"}


async def test_a_file_that_is_gone_keeps_the_last_good_one(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    before = followed.callers.current
    followed.path.unlink()
    for _ in range(2):
        await followed.reload.look()
    assert followed.callers.current is before
    assert len(said(caplog)) == 1


async def test_callers_of_an_unknown_issuer_are_not_put_in_force(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    before = followed.callers.current
    followed.change(
        callers=[{"issuer": "https://issuer.example", "claims": {"ref": "main"}, "roles": ["operator"]}]
    )
    await followed.reload.look()
    assert followed.callers.current is before
    assert "not among the issuers" in caplog.text


async def test_what_needs_a_restart_is_named_once_and_the_rest_is_taken(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.change(routes=[], give_up_after_seconds=5, listen="127.0.0.1:1")
    followed.let_in(MALLORY)
    await followed.reload.look()
    assert followed.callers.current.roles(MALLORY) == {"reader"}
    followed.let_in(DAVE)
    await followed.reload.look()
    waiting = [each for each in said(caplog) if "restart only" in each]
    assert len(waiting) == 1
    assert "listen, routes, give_up_after_seconds: changed, and in force after a restart only" in waiting[0]


async def test_a_configuration_without_a_file_is_left_alone(
    make_config: Callable[..., SyncConfig], caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config()
    config._path = None
    callers = CallersStore(config.read_callers())
    before = callers.current
    await CallersReload(config, callers, FollowedIdentity(config.tls_identity())).look()
    assert callers.current is before
    assert said(caplog) == []


async def test_it_looks_by_itself_and_goes_on_after_a_defect(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reload, "LOOK_EVERY_SECONDS", 0.01)
    looked = []

    def defective(data: bytes, path: Path) -> Any:
        looked.append(path)
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(reload, "parse_config", defective)
        followed.reload.start()
        await eventually(lambda: len(looked) > 1)
    followed.let_in(MALLORY)
    await eventually(lambda: followed.callers.current.roles(MALLORY) == {"reader"})
    await followed.reload.stop()
    assert "looking at the configuration failed" in caplog.text
    followed.let_in(DAVE)
    await asyncio.sleep(0.05)
    assert followed.callers.current.roles(DAVE) == frozenset()


async def test_the_certificate_is_followed_and_a_first_connection_uses_the_one_that_is_good_now(
    followed: Followed, federation: SimulatedFederation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fresh = federation.authority.identity("sync", server_name="sync.carnet.internal")
    Path(followed.config.tls.certificate).write_bytes(fresh.certificate)
    Path(followed.config.tls.key).write_bytes(fresh.private_key)
    await followed.reload.look()
    assert followed.identity.generation == 1
    links = Links(followed.config.environments, followed.config.routes, followed.identity)
    assert links.registry("dev").connection.channel._used == fresh
    await links.close()
