"""What travels between registries, by relay and by pull: every blob that is lacked, and no other."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import pytest

from carnet_server.local.plan import DEFAULT_PLAN
from tests.support.bundles import make_bundle_directory
from tests.support.federation import LocalFederation

LARGE_BYTES = 9 * (1 << 20) + 7


def with_large_file(folder):
    """Put bytes into the bundle's model file that travel as a stream."""
    path = next(path for path in sorted(folder.iterdir()) if path.is_file() and path.name != "carnet.yaml")
    path.write_bytes(os.urandom(LARGE_BYTES))
    return folder


def digests(folder):
    """The SHA-256 of each of a bundle's files, by its path in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "carnet.yaml"
    }


def promote(federation, reference, target="staging"):
    with federation.client("ci") as ci:
        return ci.wait(ci.promote(str(reference), target).id, timeout=60)


@pytest.fixture(scope="module")
def relayed(tmp_path_factory):
    """A federation whose registries cannot see each other: the promotion service passes the blobs on."""
    routes = tuple((source, target, "relay") for source, target, _ in DEFAULT_PLAN.routes)
    folder = tmp_path_factory.mktemp("relayed") / "carnet"
    federation = LocalFederation(folder, plan=replace(DEFAULT_PLAN, routes=routes))
    federation.start("dev", "staging", "sync")
    yield federation
    federation.stop()


def test_small_and_large_blobs_are_relayed(relayed, tmp_path):
    folder = with_large_file(make_bundle_directory(tmp_path, files=5))
    with relayed.client("ci") as ci:
        reference = ci.push("dev/risk/relayed", folder).reference
    relayed.evaluate(reference)
    ended = promote(relayed, reference)
    assert (ended.state, ended.transfer) == ("SUCCEEDED", "relay"), ended.message
    with relayed.client("ci") as ci:
        pulled = ci.pull("staging/risk/relayed@1", tmp_path / "pulled")
    sent, got = digests(folder), digests(pulled.path)
    assert {path: got[path] for path in sent} == sent


def test_only_the_file_that_changed_travels(federation, tmp_path):
    folder = make_bundle_directory(tmp_path, files=100)
    model = "risk/hundred"
    with federation.client("ci") as ci:
        first = ci.push(f"dev/{model}", folder).reference
    federation.evaluate(first)
    assert promote(federation, first).state == "SUCCEEDED"
    changed = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "carnet.yaml")[41]
    changed.write_bytes(b"changed " * 1000)
    with federation.client("ci") as ci:
        second = ci.push(f"dev/{model}", folder).reference
    federation.evaluate(second)
    ended = promote(federation, second)
    assert ended.state == "SUCCEEDED", ended.message
    assert ended.total_bytes == ended.transferred_bytes == 8000
