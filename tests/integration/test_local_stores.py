"""A federation that starts its own PostgreSQL server and S3 endpoint: up, at work, down, and up again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from tests.support.federation import CARNET, LocalFederation
from tests.support.forks import run_program

NAMES = ["postgres", "s3", "dev", "prod", "staging", "sync"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A federation that was made by the command, with stores of its own; tests leave it up or down."""
    folder = tmp_path_factory.mktemp("stores") / "carnet"
    base_port = random.SystemRandom().randrange(11000, 29000, 10)
    stores = ["--database", "postgres", "--blobs", "s3"]
    done = run_program(
        "carnet", "init", str(folder), "--base-port", str(base_port), *stores, environment=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert "postgres, s3, dev, prod, staging, sync" in done.stdout
    federation = LocalFederation(folder)
    assert list(federation.processes) == NAMES
    yield federation
    federation.stop()


@pytest.fixture
def down(made):
    """The federation, down."""
    made.stop()
    return made


@pytest.fixture
def up(made):
    """The federation, up."""
    made.start()
    return made


def family_of(federation) -> list[psutil.Process]:
    """Every process of the federation, and all that these have started."""
    found = [psutil.Process(process.pid()) for process in federation.processes.values()]
    return found + [child for each in found for child in each.children(recursive=True)]


def test_it_goes_up_works_goes_down_and_has_everything_when_it_is_up_again(down, tmp_path):
    federation = down
    up = federation.cli_json("up", "--detach")["processes"]
    assert [(each["name"], each["state"]) for each in up] == [(name, "serving") for name in NAMES]
    assert federation.cli_json("status")["processes"] == up
    family = family_of(federation)
    assert len(family) > len(NAMES)

    reference = federation.publish(tmp_path)
    promoted = federation.to_staging(reference)
    assert promoted.state == "SUCCEEDED", promoted.message
    for name in ("dev", "staging"):
        assert federation.query(name, "SELECT version FROM versions WHERE model = ?", "fraud") == [(1,)]
        bucket = federation.folder / "backends" / "s3" / f"carnet-{name}"
        assert [path for path in bucket.rglob("*") if path.is_file()]
        assert not list((federation.folder / "environments" / name).glob("data/*"))

    assert federation.cli_json("down")["stopped"] == NAMES[::-1]
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    for each in up:
        host, _, port = each["endpoint"].rpartition(":")
        with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
            pass
    down = federation.cli_json("status", check=8)["processes"]
    assert [(each["name"], each["state"], each["pid"]) for each in down] == [
        (name, "stopped", None) for name in NAMES
    ]

    federation.cli("up", "--detach")
    assert federation.cli_json("show", str(reference))["version"]["reference"] == str(reference)
    federation.cli("pull", "staging/risk/fraud@1", "--to", str(tmp_path / "pulled"))
    assert federation.cli_json("audit", "verify", identity="dave")["ok"]


@pytest.mark.parametrize("name", ["postgres", "s3"])
def test_a_store_that_died_is_seen_and_started_again_and_those_that_need_it_go_on(up, tmp_path, name):
    before = {each: process.pid() for each, process in up.processes.items()}
    up.kill(name)
    shown = {each["name"]: each["state"] for each in up.cli_json("status", check=8)["processes"]}
    assert shown.pop(name) == "stopped"
    assert "serving" in shown.values()
    up.cli("up", "--detach")
    after = {each: process.pid() for each, process in up.processes.items()}
    assert [each for each in NAMES if before[each] != after[each]] == [name]
    assert up.publish(tmp_path, f"risk/without-{name}").version == 1


def test_one_that_stays_starts_a_dead_store_again_and_stops_everything_at_its_end(up):
    federation = up
    with subprocess.Popen(
        [CARNET, "up", "--dir", str(federation.folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as staying:
        for line in staying.stdout:
            if "Ctrl-C" in line:
                break
        first = federation.processes["postgres"].pid()
        family = family_of(federation)
        psutil.Process(first).kill()
        end = time.monotonic() + 20
        while federation.processes["postgres"].pid() in (None, first):
            assert time.monotonic() < end, "it was not started again"
            time.sleep(0.05)
        family += family_of(federation)
        staying.send_signal(signal.SIGINT)
        assert staying.wait(30) == 0
    assert not [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_a_store_whose_port_is_taken_is_named_with_its_log(down):
    endpoint = down.cli_json("status", check=8)["processes"][0]["endpoint"]
    host, _, port = endpoint.rpartition(":")
    with socket.create_server((host, int(port))):
        done = down.cli("up", "--detach", check=8)
    assert "postgres ended while it started; see" in done.stderr
    assert "Address already in use" in done.stderr
    assert down.processes["dev"].pid() is None


KILLED_TESTS = {
    "a federation": """
        federation = LocalFederation(Path(sys.argv[1]) / "carnet", database="postgres", blobs="s3")
        federation.start()
    """,
    "servers": """
        backends.postgres_url(), backends.bucket_url()
    """,
}


@pytest.mark.parametrize("what", KILLED_TESTS)
def test_tests_that_are_killed_leave_nothing_running_and_nothing_in_the_way(tmp_path, what):
    code = (
        "import os, sys, tempfile\nfrom pathlib import Path\n"
        "tempfile.tempdir = sys.argv[1]\n"
        "from tests.support import backends\nfrom tests.support.federation import LocalFederation\n"
        f"{textwrap.dedent(KILLED_TESTS[what])}\n"
        "os.kill(os.getpid(), 9)\n"
    )
    before = set(psutil.pids())
    killed = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    family: set[psutil.Process] = set()
    while killed.poll() is None:
        family |= relatives(tmp_path, before)
        time.sleep(0.05)
    assert killed.returncode == -signal.SIGKILL
    assert len(family) > 2
    end = time.monotonic() + 30
    while [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < end, family
        time.sleep(0.1)
    if what == "servers":
        assert not list(tmp_path.iterdir())


def relatives(folder: Path, before: set[int]) -> set[psutil.Process]:
    """The processes that came since and have to do with a folder."""
    found = set()
    for pid in set(psutil.pids()) - before:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if any(str(folder) in argument for argument in process.cmdline()):
                found |= {process, *process.children(recursive=True)}
    return found
